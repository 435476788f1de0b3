package worker

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/job"
)

const limitedRole = "QIE_TEST_FEW_DESCRIPTORS"

// Row 53, in a process of its own that may open 64 descriptors and holds them all: the worker that dies then cannot be
// started again, which costs pauses and neither the program nor the job; once there are descriptors, it starts.
func TestFault53_DescriptorsRunOut(t *testing.T) {
	if os.Getenv(limitedRole) == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestFault53_DescriptorsRunOut$", "-test.v")
		cmd.Env = append(os.Environ(), limitedRole+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "", func(c *Config) { c.Limits.HalfOpen = 20 * time.Millisecond })
	r.finishes("while there are enough")
	release := holdAll(t)
	defer release()
	if err := syscall.Kill(r.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	died := await[Died](r)
	if died.Err.Code != job.CodeWorkerDied {
		t.Errorf("got %+v", died.Err)
	}
	// The dead worker gave three descriptors back; a start needs more.
	for _, state := range []State{Backoff, Broken} {
		s := r.until(string(state)+" for want of descriptors", func(e Event) bool {
			c, ok := e.(StatusChanged)
			return ok && c.Status.State == string(state) && strings.Contains(c.Status.Reason, "too many open files")
		}).(StatusChanged).Status
		if s.Done == "" || s.Hint == "" || state == Broken && s.RetryInS <= 0 {
			t.Errorf("it says %+v", s)
		}
	}
	release()
	r.state(Cold)
	r.finishes("there are enough again")
}

// holdAll opens descriptors until there are no more.
func holdAll(t *testing.T) (release func()) {
	t.Helper()
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return func() {
				for _, f := range held {
					_ = f.Close()
				}
				held = nil
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, f)
	}
}
