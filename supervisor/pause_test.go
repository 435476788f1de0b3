package supervisor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
	"qie/supervisor/worker"
)

const (
	pausedHome = "QIE_TEST_PAUSED_HOME"
	// pausedFor is longer than a pause must be to be noticed, and six times the patience with a silent worker.
	pausedFor = 6300 * time.Millisecond
)

// TestFault06_Child is the supervisor that the test below stops; by itself it has nothing to do.
func TestFault06_Child(t *testing.T) {
	home := os.Getenv(pausedHome)
	if home == "" {
		return
	}
	s := st.New(t, st.Home(home), st.Script("step takes 20ms; at step 50: flood 1"), func(c *supervisor.Config) { c.Worker.Limits.Beat = time.Second })
	sub := s.Subscribe("", -1)
	defer sub.Close()
	id := submitSteps(t, s, "make it sepia", 100)
	told := false
	for {
		<-sub.C()
		events, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch {
			case e.Type == event.TypeWorkerChanged && e.Worker.State == string(worker.Suspect):
				t.Errorf("the worker was judged: %s", e.Worker.Reason)
			case e.Progress != nil && e.Progress.Step > 1 && !told:
				told = true
				write(t, filepath.Join(home, "running"), "")
			case e.Job != nil && e.Job.ID == id && e.Job.State.Terminal():
				if e.Job.State != job.Succeeded || e.Job.Attempt != 1 || s.State().Worker.Generation != 1 {
					t.Errorf("ended as %s after attempt %d in generation %d", e.Job.State, e.Job.Attempt, s.State().Worker.Generation)
				}
				return
			}
		}
	}
}

// Row 6: the supervisor is stopped while a job runs, for longer than its patience with a silent worker, and goes on. What
// the worker says meanwhile fills its pipes, and it waits there; nothing is judged hung, and the job ends in its first
// attempt.
func TestFault06_StoppedSupervisorGoesOn(t *testing.T) {
	home := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe, "-test.run=^TestFault06_Child$")
	child.Env = append(os.Environ(), pausedHome+"="+home)
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waitFile(t, filepath.Join(home, "running"), &out)
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(pausedFor) // not a wait for something: the pause is the fault
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
}
