package worker

import (
	"os"
	"strconv"
	"syscall"
)

// workerOOMScore makes the kernel choose the worker, which can be restarted, before the supervisor.
const workerOOMScore = "500"

// bindToParent asks the kernel for a SIGHUP when the thread that started the child ends. The thread is held for the
// child's life (process.wait), so that is when the supervisor dies. The Go runtime closes the race with a parent that
// died before the request. It is not TERM, which a living supervisor sends too: at this moment its other threads may
// still hold the pipes and be the parent, and the worker could not tell that it must take its children along.
func bindToParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGHUP }

func offerToOOMKiller(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(workerOOMScore), 0o600)
}
