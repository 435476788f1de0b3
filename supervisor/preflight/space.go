package preflight

import (
	"fmt"
	"strconv"
	"strings"

	"qie/supervisor/host"
	"qie/supervisor/model"
	"qie/supervisor/plan"
)

// What the full Qwen-Image-Edit in BF16 needs, in bytes. One source: README and set-up say the same.
const (
	FullBytes = 57_700_000_000 // of its weights
	gigabyte  = 1_000_000_000
	gibibyte  = 1 << 30
	// demoMemory holds the worker with the demo (1.1 GB measured after 6 edits) and the rest of a desktop.
	demoMemory = 4 * gibibyte
	// diskFloor is what must stay free: below it nothing starts (supervisor.DiskFloor).
	diskFloor = 2 * gigabyte
	// sold is what firmware and GPU leave of the memory on the box.
	sold = 0.93
)

// Plan is how much memory a model takes on a device.
type Plan struct {
	Model  string `json:"model"`
	Device string `json:"device" doc:"mps, cuda or cpu"`
	DType  string `json:"dtype"`
	Memory string `json:"memory_plan" enum:"resident,staged,tiled"`
	Need   int64  `json:"need_bytes" doc:"predicted: what an edit of one photo holds at the most"`
	Have   int64  `json:"have_bytes" doc:"memory of the device, or of the machine where they are one"`
	Fits   bool   `json:"fits"`
	Tight  bool   `json:"tight" doc:"other programs have to be closed"`
}

// Has is what a device of this kind can hold on this machine, and the format of its numbers, before a worker has said so.
func Has(h host.Facts, kind string) (bytes int64, dtype string) {
	switch kind {
	case "cpu":
		return h.MemoryTotal, "float32"
	case "cuda":
		return gpuMemory(h.GPU), "bfloat16"
	case "mps":
		return int64(plan.WorkingShare * float64(h.MemoryTotal)), "bfloat16"
	}
	return h.MemoryTotal, "bfloat16"
}

// PlanOf tells how an edit with a model would run on this machine. Which plan fits is plan.Judge's to say; here is only
// what this machine has.
func PlanOf(h host.Facts, kind string, spec model.Spec) Plan {
	p := Plan{Model: spec.ID, Device: kind}
	p.Have, p.DType = Has(h, kind)
	_, choice := plan.Judge(spec, plan.ItemBytes(p.DType), plan.Room{Total: p.Have})
	p.Memory, p.Need, p.Fits, p.Tight = choice.Profile, choice.Peak(), p.Have > 0 && !choice.Refused, choice.Tight
	return p
}

// full is the model that set-up offers, before it is here.
func full() model.Spec { return model.Published("full", "full model", model.ClassEditPlus, FullBytes) }

// Full is how the full model would run on this machine.
func Full(h host.Facts, kind string) Plan { return PlanOf(h, kind, full()) }

// gpuMemory reads what nvidia-smi says, for example "NVIDIA H100, 81559 MiB"; 0 when it does not tell.
func gpuMemory(gpu string) int64 {
	_, text, _ := strings.Cut(gpu, ",")
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || unit != "MiB" {
		return 0
	}
	return n << 20
}

func memory(f Facts) Finding {
	h := f.Host
	if h.MemoryTotal == 0 {
		return Finding{Level: Warning, Title: "memory unknown", Cause: "the system does not tell",
			Advice: "nothing for the demo; the full model needs 64 GB"}
	}
	title := fmt.Sprintf("%.0f GB memory, %.0f GB of it free", sizeGiB(h.MemoryTotal), float64(h.MemoryAvailable)/gibibyte)
	full := Full(h, f.Kind())
	if !f.Demo {
		return selectedMemory(f, title)
	}
	switch {
	case float64(h.MemoryTotal) < demoMemory*sold:
		return Finding{Level: Error, Title: title, Cause: "even the demo model needs a machine with 4 GB",
			Advice: "use a machine with more memory"}
	case full.Fits:
		title += fmt.Sprintf("; plan: the demo now, and the full model in %s fits with %s", dtypeName(full), plan.Word(full.Memory))
		if full.Tight {
			title += " and other programs closed"
		}
		return ok("%s", title)
	}
	return Finding{Level: Warning, Title: title + "; plan: the demo model",
		Cause:  fmt.Sprintf("an edit with the full model takes %.0f GB in %s, and %s", float64(full.Need)/gigabyte, dtypeName(full), has(h, full)),
		Advice: "nothing for the demo; the full model needs a Mac with 64 GB, or an NVIDIA GPU with 48 GB"}
}

// has says what there is for a plan.
func has(h host.Facts, p Plan) string {
	switch p.Device {
	case "cuda":
		return fmt.Sprintf("this GPU has %.0f GB", sizeGiB(p.Have))
	case "mps":
		return fmt.Sprintf("the GPU of a Mac with %.0f GB should hold about %.0f GB", sizeGiB(h.MemoryTotal), float64(p.Have)/gigabyte)
	}
	return fmt.Sprintf("this machine has %.0f GB", sizeGiB(p.Have))
}

// sizeGiB rounds what the system tells up to what was sold: firmware takes a little.
func sizeGiB(bytes int64) float64 {
	size := float64(bytes) / gibibyte
	for _, box := range []float64{4, 8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512} {
		if size <= box && size >= box*sold {
			return box
		}
	}
	return size
}

func dtypeName(p Plan) string {
	if p.DType == "float32" {
		return "FP32"
	}
	return "BF16"
}

func selectedMemory(f Facts, title string) Finding {
	spec := f.Model
	if spec.Bytes == 0 {
		spec = full() // it is not here yet
	}
	p := PlanOf(f.Host, f.Kind(), spec)
	need := fmt.Sprintf("an edit with the selected model takes %.1f GB in %s", float64(p.Need)/gigabyte, dtypeName(p))
	switch {
	case !p.Fits:
		return Finding{Level: Error, Title: title, Cause: need + ", and " + has(f.Host, p), Fix: "QIE_MODEL=demo ./start"}
	case p.Tight:
		return Finding{Level: Warning, Title: title + "; plan: " + plan.Word(p.Memory), Cause: need + ", which is nearly all there is",
			Advice: "close other programs before an edit"}
	}
	return ok("%s; plan: %s, up to %.1f GB in %s", title, plan.Word(p.Memory), float64(p.Need)/gigabyte, dtypeName(p))
}

// withReserve adds the tenth that a download needs beside its own size.
func withReserve(bytes int64) int64 { return bytes + bytes/10 }

func disk(f Facts) Finding {
	free := f.Host.DiskFree
	if f.Host.DiskTotal == 0 {
		return Finding{Level: Warning, Title: "disk unknown", Cause: "the system does not tell how much is free",
			Advice: "see that " + f.Data.Path + " has room"}
	}
	title := fmt.Sprintf("%s free for %s", gb(free), f.Data.Path)
	var need int64
	for _, i := range f.Fetch {
		if i.Elsewhere > 0 {
			if want := withReserve(i.Disk); i.Elsewhere < want {
				return tooSmall(f, fmt.Sprintf("%s free for %s", gb(i.Elsewhere), i.Name), want, i.Elsewhere, []Item{i})
			}
			continue
		}
		need += withReserve(i.Disk)
	}
	if free < need+diskFloor {
		return tooSmall(f, title, need+diskFloor, free, f.Fetch)
	}
	if need > 0 {
		title += "; still to be fetched: " + list(f.Fetch)
	}
	// Who cannot run the full model need not make room for it.
	if !Full(f.Host, f.Kind()).Fits {
		return ok("%s", title)
	}
	other := "/mnt/other/models"
	if f.Host.OS == "darwin" {
		other = `"/Volumes/Other disk/models"`
	}
	var later int64
	for _, i := range f.Later {
		if i.Elsewhere == 0 {
			later += withReserve(i.Disk)
		} else if i.Elsewhere < withReserve(i.Disk) {
			later, free = withReserve(i.Disk), i.Elsewhere
			break
		}
	}
	if later > 0 && free < need+later+diskFloor {
		return Finding{Level: Warning, Title: title,
			Cause:  fmt.Sprintf("enough for the demo, but the full model would need %s", gb(need+later+diskFloor)),
			Fix:    "HF_HOME=" + other + " ./start",
			Advice: "nothing for the demo; for the full model free some space, or name a larger disk like this"}
	}
	return ok("%s", title)
}

func tooSmall(f Facts, title string, need, free int64, items []Item) Finding {
	cause := fmt.Sprintf("%s must stay free, or nothing starts", gb(diskFloor))
	if len(items) > 0 {
		cause = fmt.Sprintf("%s are needed (%s, a tenth more while it is fetched, and what must stay free): %s too little", gb(need),
			list(items), gb(need-free))
	}
	fix := "qie cleanup --hours 24"
	if f.Jobs.There {
		return Finding{Level: Error, Title: title, Cause: cause, Fix: fix, Advice: "or empty the trash, or name another disk: QIE_HOME=/path ./start"}
	}
	return Finding{Level: Error, Title: title, Cause: cause, Advice: "empty the trash, or name another disk: QIE_HOME=/path ./setup.sh"}
}

func list(items []Item) string {
	var texts []string
	for _, i := range items {
		texts = append(texts, fmt.Sprintf("%s %s", i.Name, gb(i.Disk)))
	}
	return strings.Join(texts, ", ")
}

func gb(bytes int64) string {
	if bytes < 10*gigabyte {
		return fmt.Sprintf("%.1f GB", float64(bytes)/gigabyte)
	}
	return fmt.Sprintf("%.0f GB", float64(bytes)/gigabyte)
}
