package preflight

import (
	"fmt"
	"strconv"
	"strings"

	"qie/supervisor/host"
)

// What the full Qwen-Image-Edit in BF16 needs, in bytes. One source: README and set-up say the same.
const (
	FullMemory = 64 * gibibyte // memory is sold in GiB, and a "64 GB" machine has 64 of them
	FullDisk   = 70 * gigabyte
	FullBytes  = 57_700_000_000 // of its weights
	gigabyte   = 1_000_000_000
	gibibyte   = 1 << 30
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
	Need   int64  `json:"need_bytes" doc:"weights as they lie in memory"`
	Have   int64  `json:"have_bytes" doc:"memory of the device, or of the machine where they are one"`
	Fits   bool   `json:"fits"`
	Tight  bool   `json:"tight" doc:"other programs have to be closed"`
}

// Shares of all memory, as the worker's own gate before a load has them (worker/memory.go).
const (
	tightShare = 0.85
	fitsShare  = 0.95
)

// PlanOf tells how weights (bytes in BF16) would run on this machine. All of them stay in memory: there is no plan yet
// that needs less.
func PlanOf(h host.Facts, kind, name string, weights int64) Plan {
	p := Plan{Model: name, Device: kind, DType: "bfloat16", Need: weights, Have: h.MemoryTotal}
	switch kind {
	case "cpu":
		p.DType, p.Need = "float32", 2*weights
	case "cuda":
		p.Have = gpuMemory(h.GPU)
	}
	share := float64(p.Need) / float64(max(p.Have, 1))
	p.Fits, p.Tight = p.Have > 0 && share < fitsShare, share >= tightShare && share < fitsShare
	return p
}

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
	full := PlanOf(h, f.Kind(), "full", FullBytes)
	if !f.Demo {
		return selectedMemory(f, title)
	}
	where := "this machine has"
	if full.Device == "cuda" {
		where = "this GPU has"
	}
	switch {
	case float64(h.MemoryTotal) < demoMemory*sold:
		return Finding{Level: Error, Title: title, Cause: "even the demo model needs a machine with 4 GB",
			Advice: "use a machine with more memory"}
	case full.Fits && float64(full.Have) >= FullMemory*sold:
		title += "; plan: the demo now, and the full model in " + dtypeName(full) + " fits"
		if full.Tight || full.Have < 2*full.Need && full.Device == "mps" {
			title += " with other programs closed"
		}
		return ok("%s", title)
	}
	return Finding{Level: Warning, Title: title + "; plan: the demo model",
		Cause: fmt.Sprintf("the full model's weights take %.0f GB in %s, and %s %.0f GB", float64(full.Need)/gigabyte, dtypeName(full),
			where, sizeGiB(full.Have)),
		Advice: "nothing for the demo; the full model needs a Mac with 64 GB, or an NVIDIA GPU with 80 GB"}
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
	bytes := f.Model.Bytes
	if bytes == 0 {
		bytes = FullBytes // it is not here yet
	}
	p := PlanOf(f.Host, f.Kind(), f.Model.ID, bytes)
	need := fmt.Sprintf("the selected model takes %.1f GB in %s", float64(p.Need)/gigabyte, dtypeName(p))
	switch {
	case !p.Fits:
		return Finding{Level: Error, Title: title, Cause: fmt.Sprintf("%s, and there are %.0f GB", need, sizeGiB(p.Have)),
			Fix: "QIE_MODEL=demo ./start"}
	case p.Tight:
		return Finding{Level: Warning, Title: title + "; plan: all weights in memory", Cause: need + ", which is nearly all there is",
			Advice: "close other programs before an edit"}
	}
	return ok("%s; plan: all weights in memory, %.1f GB in %s", title, float64(p.Need)/gigabyte, dtypeName(p))
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
	if !PlanOf(f.Host, f.Kind(), "full", FullBytes).Fits {
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
