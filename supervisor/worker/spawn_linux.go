package worker

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// workerOOMScore makes the kernel choose the worker, which can be restarted, before the supervisor.
const workerOOMScore = "500"

// bindToParent asks the kernel for a SIGTERM when the thread that started the child ends. The thread is held for the
// child's life (process.wait), so that is when the supervisor dies. The Go runtime closes the race with a parent that
// died before the request. It is TERM because the guard follows with KILL.
func bindToParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

func offerToOOMKiller(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(workerOOMScore), 0o600)
}

// oomKills counts the kernel's OOM kills in our control group; -1 when it cannot be told.
func oomKills() int64 {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return -1
	}
	path, ok := strings.CutPrefix(strings.TrimSpace(string(own)), "0::")
	if !ok {
		return -1
	}
	data, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.events")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return -1
			}
			return n
		}
	}
	return -1
}
