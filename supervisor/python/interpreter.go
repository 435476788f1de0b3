package python

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
)

// fallbackPython is what uv brings when the machine has no fitting interpreter.
const fallbackPython = "3.12"

// appleFallback names the processor too: a uv for Intel would bring a Python for Intel, for which there is no torch.
const appleFallback = "cpython-3.12-macos-aarch64-none"

// Found is an interpreter of this machine.
type Found struct {
	Path, Version string
	Arch          string // as Python names it: arm64, x86_64, aarch64
}

// fits tells whether the worker's packages exist for it.
func (f Found) fits(goos, goarch string) bool {
	return f.Path != "" && (goos != "darwin" || goarch != "arm64" || f.Arch == "arm64")
}

// Find gives the machine's own Python 3.11 to 3.13, one for this processor before any other; zero when there is none.
func Find(ctx context.Context) Found {
	var other Found
	for _, name := range []string{"python3.12", "python3.13", "python3.11", "python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		// A virtual environment on PATH, or a shim, leads to the interpreter that it was made from: that one stays.
		out, err := exec.CommandContext(ctx, path, "-I", "-c", "import sys, platform; "+
			"print(platform.python_version(), platform.machine(), getattr(sys, '_base_executable', sys.executable))").Output()
		if err != nil {
			continue
		}
		found := foundOf(string(out))
		if found.fits(runtime.GOOS, runtime.GOARCH) {
			return found
		}
		if other.Path == "" {
			other = found
		}
	}
	return other
}

// foundOf reads "3.12.4 arm64 PATH"; zero for a version that the worker does not run on.
func foundOf(text string) Found {
	parts := strings.SplitN(strings.TrimSpace(text), " ", 3)
	if len(parts) != 3 {
		return Found{}
	}
	for _, minor := range []string{"3.11.", "3.12.", "3.13."} {
		if strings.HasPrefix(parts[0], minor) {
			return Found{Version: parts[0], Arch: parts[1], Path: parts[2]}
		}
	}
	return Found{}
}

// request is what uv is asked for: a path, or a version that it brings.
func request(f Found, goos, goarch string) string {
	switch {
	case f.fits(goos, goarch):
		return f.Path
	case goos == "darwin" && goarch == "arm64":
		return appleFallback
	}
	return fallbackPython
}
