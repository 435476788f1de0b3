package preflight

import (
	"fmt"
	"strconv"
	"strings"

	"qie/supervisor/host"
)

// What the wheels of the pinned torch need: macosx_14_0_arm64, manylinux_2_28_x86_64 and manylinux_2_28_aarch64. A test
// holds them to the version in the lock.
const (
	torchPinned = "2.15.0"
	macOSMin    = 14
	glibcMinor  = 28 // of glibc 2
)

func machine(f Facts) Finding {
	h := f.Host
	name := machineName(h)
	switch {
	case h.AppleSilicon():
		return ok("Apple Silicon: %s", name)
	case h.OS == "darwin" && h.Translated:
		return Finding{Level: Error, Title: "Apple Silicon, but this qie was built for Intel and runs under Rosetta",
			Cause: "a program for Intel cannot reach the GPU, and torch no longer exists for it", Fix: "./setup.sh"}
	case h.OS == "darwin":
		return Finding{Level: Error, Title: "Intel Mac: " + name,
			Cause:  "torch " + torchPinned + " exists for Macs with Apple Silicon only",
			Advice: "use a Mac with an M1 or newer, or a Linux machine"}
	case h.OS != "linux" || h.Arch != "amd64" && h.Arch != "arm64":
		return Finding{Level: Error, Title: name,
			Cause:  "torch " + torchPinned + " exists for Apple Silicon and for Linux on x86-64 and arm64 only",
			Advice: "use one of these machines"}
	case h.GPU != "":
		return ok("%s with %s", name, h.GPU)
	}
	return Finding{Level: Warning, Title: name + ", no GPU that qie can use",
		Cause:  "the CPU computes everything: the demo model takes seconds for an edit, the full model would take hours",
		Advice: "nothing for the demo; for the full model use a Mac with Apple Silicon and 64 GB, or an NVIDIA GPU"}
}

func machineName(h host.Facts) string {
	name := h.CPU
	if name == "" {
		name = h.OS
	}
	return fmt.Sprintf("%s, %d cores, %s/%s", strings.TrimSpace(name), h.Cores, h.OS, h.Arch)
}

func system(f Facts) Finding {
	h := f.Host
	title := strings.TrimSpace(h.Platform + " " + h.Version)
	if title == "" {
		title = h.OS
	}
	switch {
	case h.AppleSilicon() || h.Translated:
		major, _, _ := strings.Cut(h.Version, ".")
		if n, err := strconv.Atoi(major); err == nil && n < macOSMin {
			return Finding{Level: Error, Title: title,
				Cause:  fmt.Sprintf("torch %s needs macOS %d or newer", torchPinned, macOSMin),
				Advice: "update macOS: System Settings, General, Software Update"}
		}
	case h.Libc == "musl":
		return Finding{Level: Error, Title: title + " with musl",
			Cause:  fmt.Sprintf("torch %s needs glibc 2.%d or newer, and this system has musl instead", torchPinned, glibcMinor),
			Advice: "use a distribution with glibc, for example Debian 11 or newer"}
	case strings.HasPrefix(h.Libc, "2."):
		if n, err := strconv.Atoi(strings.TrimPrefix(h.Libc, "2.")); err == nil && n < glibcMinor {
			return Finding{Level: Error, Title: title + " with glibc " + h.Libc,
				Cause:  fmt.Sprintf("torch %s needs glibc 2.%d or newer", torchPinned, glibcMinor),
				Advice: "upgrade the system, for example to Debian 11 or newer"}
		}
	}
	return ok("%s", title)
}

// Kind is what the worker will choose: mps, cuda or cpu.
func (f Facts) Kind() string { return KindOf(f.Device, f.Host) }

// KindOf is Kind while the other facts are still gathered. asked is QIE_DEVICE.
func KindOf(asked string, h host.Facts) string {
	switch {
	case asked == "mps" || asked == "cuda" || asked == "cpu":
		return asked
	case h.AppleSilicon() || h.Translated:
		return "mps"
	case h.GPU != "":
		return "cuda"
	}
	return "cpu"
}

func kindName(kind string) string {
	return map[string]string{"mps": "MPS in BF16", "cuda": "CUDA in BF16", "cpu": "CPU in FP32"}[kind]
}

func device(f Facts) Finding {
	h := f.Host
	title := kindName(f.Kind())
	if f.Device != "auto" && f.Device != "" {
		title += ", as QIE_DEVICE says"
	}
	switch {
	case f.Device == "mps" && !h.AppleSilicon():
		return Finding{Level: Error, Title: "QIE_DEVICE=mps", Cause: "MPS exists on Apple Silicon only", Fix: "QIE_DEVICE=auto ./start"}
	case f.Device == "cuda" && (h.GPU == "" || h.OS == "darwin"):
		return Finding{Level: Error, Title: "QIE_DEVICE=cuda", Cause: "nvidia-smi finds no NVIDIA GPU here", Fix: "QIE_DEVICE=auto ./start"}
	case f.Numeric.Err != nil && f.Numeric.Tests == 0:
		return Finding{Level: Error, Title: title + ": it could not be tried", Cause: message(f.Numeric.Err), Fix: "qie doctor --fix environment"}
	case f.Numeric.Err != nil:
		return Finding{Level: Error, Title: title + " computes wrong", Cause: message(f.Numeric.Err), Fix: "QIE_DEVICE=cpu ./start",
			Advice: "also report it: qie doctor --report"}
	case f.Handshake.Done && f.Handshake.Err == nil && f.Handshake.Device != f.Kind():
		return Finding{Level: Warning, Title: fmt.Sprintf("the worker chose %s, not %s", kindName(f.Handshake.Device), kindName(f.Kind())),
			Cause: "torch " + f.Handshake.Torch + " does not see the GPU that the system names", Fix: "qie doctor --fix environment",
			Advice: "with an NVIDIA GPU also look at the driver: nvidia-smi"}
	case !f.Demo && f.Kind() == "cpu":
		return Finding{Level: Warning, Title: title, Cause: "the full model takes hours for an edit on a CPU, and twice the memory of BF16",
			Fix: "QIE_MODEL=demo ./start"}
	case f.Numeric.Done:
		return ok("%s; %d operations agree with the CPU (worst: %s, %.0f %% of what is allowed)", title, f.Numeric.Tests,
			f.Numeric.Worst, 100*f.Numeric.Share)
	}
	return ok("%s", title)
}

func interpreter(f Facts) Finding {
	p := f.Python
	wrong := f.Host.AppleSilicon() && p.Arch == "x86_64"
	switch {
	case p.Path != "" && !wrong:
		return ok("Python %s", p.Version)
	case f.UV && wrong:
		return ok("Python %s here is for Intel; uv brings one for Apple Silicon", p.Version)
	case f.UV:
		return ok("no Python 3.11 to 3.13 here; uv brings its own")
	case wrong:
		return Finding{Level: Error, Title: "Python " + p.Version + " is for Intel",
			Cause: "torch exists for Python for Apple Silicon only, and uv that would bring one is missing", Fix: "./setup.sh"}
	}
	return Finding{Level: Error, Title: "no Python 3.11 to 3.13",
		Cause: "the worker needs one, and uv that would bring it is missing", Fix: "./setup.sh"}
}

func node(f Facts) Finding {
	switch {
	case f.Node != "" && f.Page:
		return ok("Node %s; only a new build of the page needs it", f.Node)
	case f.Node != "":
		return ok("Node %s", f.Node)
	case f.Page:
		return ok("no Node, and none is needed: the page is built")
	}
	return Finding{Level: Warning, Title: "no Node", Cause: "the page is not built, and Node builds it", Fix: "./setup.sh"}
}

func page(f Facts) Finding {
	if f.Page {
		return ok("the page is in the program")
	}
	return Finding{Level: Warning, Title: "the page is not in the program",
		Cause: "this program was built without web/dist; commands and the API work", Fix: "./setup.sh"}
}

func battery(f Facts) Finding {
	const pause, low = 5, 20 // per cent; the worker pauses the queue at the first (worker/power.go)
	b := f.Battery
	switch {
	case b == nil:
		return ok("no battery, or the system does not tell")
	case !b.OnBattery:
		return ok("on power, battery at %d %%", b.Percent)
	case b.Percent <= low:
		return Finding{Level: Warning, Title: fmt.Sprintf("battery at %d %%", b.Percent),
			Cause:  fmt.Sprintf("an edit uses the GPU at full power, and at %d %% qie pauses the queue", pause),
			Advice: "plug in the charger"}
	}
	return ok("on battery at %d %%; the queue pauses at %d %%", b.Percent, pause)
}

func clock(f Facts) Finding {
	const day = 24
	if f.Now.IsZero() || f.Built.IsZero() || f.Built.Sub(f.Now).Hours() < day {
		return ok("the clock is plausible")
	}
	fix := "sudo timedatectl set-ntp true"
	if f.Host.OS == "darwin" {
		fix = "sudo sntp -sS time.apple.com"
	}
	return Finding{Level: Warning, Title: "the clock says " + f.Now.UTC().Format("2006-01-02"),
		Cause: "that is before this program was built (" + f.Built.UTC().Format("2006-01-02") + "), so secure downloads are refused", Fix: fix}
}
