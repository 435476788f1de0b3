package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// toolLimit bounds the system's small tools.
const toolLimit = 2 * time.Second

// A control group is Linux's.
func oomKills() int64 { return -1 }

func pressure() int {
	level, err := syscall.SysctlUint32("kern.memorystatus_vm_pressure_level")
	if err != nil {
		return 0
	}
	return int(level)
}

func jetsam(since time.Time) bool {
	reports, _ := filepath.Glob("/Library/Logs/DiagnosticReports/JetsamEvent-*.ips")
	for _, path := range reports {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(since) {
			return true
		}
	}
	return false
}

func ask(name string, args ...string) (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), toolLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err == nil
}

func processFacts(pid int) (Process, bool) {
	text, ok := ask("ps", "-o", "state=,time=", "-p", strconv.Itoa(pid))
	if !ok {
		return Process{}, false
	}
	return processOfPS(text)
}

func battery() (Battery, bool) {
	text, ok := ask("pmset", "-g", "batt")
	if !ok {
		return Battery{}, false
	}
	return batteryOf(text)
}

// keepAwake runs caffeinate: -i against idle sleep, -s against system sleep on power. -w ends it with the worker, also
// when this program is killed. Closing the lid still sleeps.
func keepAwake(pid int) func() {
	cmd := exec.Command("caffeinate", "-i", "-s", "-w", strconv.Itoa(pid))
	if cmd.Start() != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return func() {
		_ = cmd.Process.Kill()
		<-done
	}
}

// translated asks the kernel whether this process runs under Rosetta.
func translated() bool {
	is, err := syscall.SysctlUint32("sysctl.proc_translated")
	return err == nil && is == 1
}

func libc(context.Context) string { return "" }
