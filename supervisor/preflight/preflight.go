// Package preflight judges whether this machine can run the selected model. It is pure: facts in, findings out, each
// with its cause and the one command that helps. Gathering the facts and printing are its callers'.
package preflight

import (
	"fmt"
	"strconv"
	"strings"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
)

// Level of a finding. Only Error stops the selected model on this machine.
type Level string

// The levels and their marks: [✓] [!] [✗].
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// What the full Qwen-Image-Edit in BF16 needs, in bytes. One source: README and setup.sh say the same.
const (
	FullMemory = 64 * gigabyte
	FullDisk   = 70 * gigabyte
	gigabyte   = 1e9
	// gibibyte is what memory is sold in: a "64 GB" machine has 64 GiB.
	gibibyte = 1 << 30
	// demoMemory holds the worker with the demo (about 1.5 GB at its peak) and the rest of a desktop.
	demoMemory = 4 * gibibyte
	demoDisk   = 2 * gigabyte
	macOSMin   = 14 // BF16 on MPS needs it
)

// Finding is what one check says.
type Finding struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	Title string `json:"title"`
	Cause string `json:"cause,omitempty"`
	Fix   string `json:"fix,omitempty" doc:"the one command or action that helps"`
}

// Facts is everything the checks look at.
type Facts struct {
	Host        host.Facts
	Device      string // as set: auto, mps, cuda or cpu
	Model       model.Spec
	ModelErr    error  // the selected model is missing or damaged
	Demo        bool   // the embedded demo is selected
	Interpreter string // of the environment, or what would be used to build it
	UV          bool   // uv is there to build an environment
	EnvDir      string
	EnvErr      error
	Node        string // version; empty when not found
	Page        bool   // the page is in the binary
	DataDir     string
	DataErr     error // the data folder cannot be written
	Port        int
	PortHolder  string // who listens on it; empty when free
	PortIsOurs  bool   // it is the qie of this data folder
}

type check struct {
	name, about string
	run         func(Facts) Finding
}

var checks = []check{
	{"machine", "Apple Silicon, or what else computes", machine},
	{"memory", "memory for the selected model", memory},
	{"disk", "space for the selected model", space},
	{"system", "version of the operating system", system},
	{"device", "what the worker computes on", device},
	{"python", "an interpreter for the worker", interpreter},
	{"environment", "the worker's packages", environment},
	{"model", "the selected model's files", modelFiles},
	{"page", "the page in the binary, and Node to build it", page},
	{"data", "the data folder", data},
	{"port", "the port of the page", port},
}

// Names lists the checks with what each is about.
func Names() [][2]string {
	var names [][2]string
	for _, c := range checks {
		names = append(names, [2]string{c.name, c.about})
	}
	return names
}

// Run judges the facts by the named checks, or by all.
func Run(f Facts, names ...string) ([]Finding, error) {
	findings := []Finding{}
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	for _, c := range checks {
		if len(names) > 0 && !wanted[c.name] {
			continue
		}
		delete(wanted, c.name)
		finding := c.run(f)
		finding.Name = c.name
		findings = append(findings, finding)
	}
	for n := range wanted {
		return nil, job.Errorf(job.CodeInputBad, "there is no check %q; see: qie doctor --list-checks", n)
	}
	return findings, nil
}

// Worst of the findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func ok(format string, args ...any) Finding {
	return Finding{Level: OK, Title: fmt.Sprintf(format, args...)}
}

func machine(f Facts) Finding {
	h := f.Host
	name := strings.TrimSpace(fmt.Sprintf("%s, %d cores, %s/%s", h.CPU, h.Cores, h.OS, h.Arch))
	switch {
	case h.AppleSilicon():
		return ok("Apple Silicon: %s", name)
	case h.OS == "darwin":
		return Finding{Level: Error, Title: name, Cause: "an Intel Mac has no BF16 on its GPU, and torch no longer supports it",
			Fix: "use a Mac with Apple Silicon, or Linux"}
	case h.GPU != "":
		return ok("%s with %s", name, h.GPU)
	}
	return Finding{Level: Warning, Title: name, Cause: "not Apple Silicon and no NVIDIA GPU: everything is computed on the CPU. " +
		"The demo model runs in seconds; the full model would take hours for an edit",
		Fix: "use a Mac with Apple Silicon and 64 GB, or a machine with an NVIDIA GPU, for the full model"}
}

func memory(f Facts) Finding {
	total := float64(f.Host.MemoryTotal)
	title := fmt.Sprintf("%.0f GB memory, %.0f GB available", total/gibibyte, float64(f.Host.MemoryAvailable)/gibibyte)
	need := float64(FullMemory)
	if f.Demo {
		need = demoMemory
	}
	// Firmware and GPU take a little of what is sold.
	const sold = 0.93
	switch {
	case f.Host.MemoryTotal == 0:
		return Finding{Level: Warning, Title: "memory unknown", Cause: "the system does not tell"}
	case total < need*sold:
		return Finding{Level: Error, Title: title, Cause: fmt.Sprintf("the selected model needs %.0f GB", need/gigabyte),
			Fix: "choose a smaller model: QIE_MODEL=demo ./start"}
	case total < FullMemory*sold:
		return Finding{Level: Warning, Title: title, Cause: "enough for the selected model; the full Qwen-Image-Edit in BF16 needs 64 GB",
			Fix: "nothing to do for the demo; the full model needs a machine with 64 GB"}
	}
	return ok("%s", title)
}

func space(f Facts) Finding {
	free := float64(f.Host.DiskFree)
	title := fmt.Sprintf("%.0f GB free for %s", free/gigabyte, f.DataDir)
	switch {
	case f.Host.DiskTotal == 0:
		return Finding{Level: Warning, Title: "disk unknown", Cause: "the system does not tell"}
	case free < demoDisk:
		return Finding{Level: Error, Title: title, Cause: "an edit may not find room for its result",
			Fix: "free some space: qie cleanup --hours 24, or move the data: QIE_HOME=/path ./start"}
	case free < FullDisk && f.Demo:
		return Finding{Level: Warning, Title: title, Cause: "enough for the demo; the full model's download and environment need 70 GB",
			Fix: "for the full model free some space, or move its cache: HF_HOME=/path ./start"}
	}
	return ok("%s", title)
}

func system(f Facts) Finding {
	title := strings.TrimSpace(f.Host.Platform + " " + f.Host.Version)
	if f.Host.OS != "darwin" {
		return ok("%s", title)
	}
	major, _, _ := strings.Cut(f.Host.Version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < macOSMin {
		return Finding{Level: Error, Title: title, Cause: fmt.Sprintf("BF16 on MPS needs macOS %d", macOSMin),
			Fix: "update macOS in System Settings, General, Software Update"}
	}
	return ok("%s", title)
}

func device(f Facts) Finding {
	h := f.Host
	switch {
	case f.Device == "mps" && !h.AppleSilicon():
		return Finding{Level: Error, Title: "QIE_DEVICE=mps", Cause: "MPS exists on Apple Silicon only", Fix: "QIE_DEVICE=auto ./start"}
	case f.Device == "cuda" && (h.GPU == "" || h.OS == "darwin"):
		return Finding{Level: Error, Title: "QIE_DEVICE=cuda", Cause: "nvidia-smi finds no NVIDIA GPU here", Fix: "QIE_DEVICE=auto ./start"}
	case f.Device != "auto" && f.Device != "":
		return ok("%s, as set", f.Device)
	case h.AppleSilicon():
		return ok("MPS in BF16")
	case h.GPU != "":
		return ok("CUDA in BF16")
	case f.Demo:
		return ok("CPU in FP32")
	}
	return Finding{Level: Warning, Title: "CPU in FP32", Cause: "the full model takes hours for an edit on a CPU, and twice the memory of BF16",
		Fix: "QIE_MODEL=demo ./start"}
}

func interpreter(f Facts) Finding {
	switch {
	case f.Interpreter != "":
		return ok("Python %s", f.Interpreter)
	case f.UV:
		return ok("no Python 3.11 to 3.13 here; uv brings its own")
	}
	return Finding{Level: Error, Title: "no Python 3.11 to 3.13", Cause: "the worker needs one, and uv that would bring it is missing",
		Fix: "./setup.sh"}
}

func environment(f Facts) Finding {
	if f.EnvErr != nil {
		e := job.AsError(f.EnvErr)
		return Finding{Level: Error, Title: "the Python environment is not usable", Cause: e.Message, Fix: "./setup.sh"}
	}
	return ok("environment in %s", f.EnvDir)
}

func modelFiles(f Facts) Finding {
	if f.ModelErr != nil {
		e := job.AsError(f.ModelErr)
		fix := e.Hint
		if fix == "" {
			fix = "QIE_MODEL=demo ./start"
		}
		if f.Demo {
			fix = "qie doctor --fix model"
		}
		return Finding{Level: Error, Title: "the selected model is not usable", Cause: e.Message, Fix: fix}
	}
	if f.Model.ID == "" {
		return ok("the demo is unpacked at the first start")
	}
	return ok("%s, %.2f GB of weights", f.Model.ID, float64(f.Model.Bytes)/gigabyte)
}

func page(f Facts) Finding {
	node := "Node is not needed any more"
	if f.Node != "" {
		node = "Node " + f.Node
	}
	if f.Page {
		return ok("the page is in the binary; %s", node)
	}
	return Finding{Level: Warning, Title: "the page is not in the binary", Cause: "this binary was built without web/dist; the API works",
		Fix: "./setup.sh"}
}

func data(f Facts) Finding {
	if f.DataErr != nil {
		return Finding{Level: Error, Title: "the data folder " + f.DataDir + " cannot be written", Cause: f.DataErr.Error(),
			Fix: "give it back to yourself: chmod -R u+rwX " + f.DataDir + ", or choose another: QIE_HOME=/path ./start"}
	}
	return ok("data in %s", f.DataDir)
}

func port(f Facts) Finding {
	switch {
	case f.Port == 0:
		return ok("any free port")
	case f.PortIsOurs:
		return ok("qie runs on port %d", f.Port)
	case f.PortHolder == "":
		return ok("port %d is free", f.Port)
	}
	return Finding{Level: Error, Title: fmt.Sprintf("port %d is taken", f.Port), Cause: f.PortHolder + " listens on it",
		Fix: fmt.Sprintf("stop it, or ./start --port %d", f.Port+1)}
}
