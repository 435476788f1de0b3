package host

import (
	"errors"
	"syscall"
	"time"
)

// Named is a process as a person knows it.
type Named struct {
	PID  int
	Name string
	Env  string // the value that was looked for
}

const endPoll = 20 * time.Millisecond

// End asks a process to go, and kills it after grace; false when it is still there. A pid below 0 is a process group.
// still tells whether the pid means the same process as before.
func End(pid int, grace time.Duration, still func() bool) bool {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if !still() {
			return true
		}
		// Of a group it may only mean that its last processes are zombies.
		if err := syscall.Kill(pid, signal); pid > 0 && errors.Is(err, syscall.EPERM) {
			return false
		}
		_ = syscall.Kill(pid, syscall.SIGCONT) // a stopped process takes no TERM
		for end := time.Now().Add(grace); time.Now().Before(end); time.Sleep(endPoll) {
			if !still() {
				return true
			}
		}
	}
	return !still()
}
