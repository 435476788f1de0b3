package supervisor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
	"qie/supervisor/worker"
)

// The names of these tests carry the numbers of the fault table in the design (supervision.md B).

func TestFault01_KilledWorkerIsRetriedOnce(t *testing.T) {
	s := st.Fault(t, st.Script("at step 2 in gen 1: kill"))
	j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if j.State != job.Succeeded || j.Attempt != 2 {
		t.Fatalf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	if len(j.Notices) == 0 || j.Notices[0].Code != "retried" {
		t.Errorf("notices %+v do not tell of the retry", j.Notices)
	}
}

func TestFault16_CleanExitInTheMiddleIsACrash(t *testing.T) {
	s := st.Fault(t, st.Script("at step 2 in gen 1: exit 0"))
	j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if j.State != job.Succeeded || j.Attempt != 2 {
		t.Fatalf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
}

func TestFault17_WrongHashIsNoSuccess(t *testing.T) {
	for _, how := range []string{"wronghash", "missing"} {
		t.Run(how, func(t *testing.T) {
			home := t.TempDir()
			s := st.Fault(t, st.Home(home))
			j := st.WaitEnd(t, s, st.Submit(t, s, "fake: at result: "+how).ID)
			if j.State != job.Failed || j.Error.Code != job.CodeInternal || j.Attempt != 2 || j.Result != nil {
				t.Fatalf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
			}
			if _, err := s.OpenResult(t.Context(), j.ID); err == nil {
				t.Error("a result that was not verified is served")
			}
			if left, _ := filepath.Glob(filepath.Join(home, "jobs", string(j.ID), "attempt-*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFault18_LateEventsAreDropped(t *testing.T) {
	s := st.Fault(t)
	j := st.WaitEnd(t, s, st.Submit(t, s, "fake: at step 2: stale").ID)
	if j.State != job.Succeeded || j.Attempt != 1 || j.Steps != 3 {
		t.Fatalf("ended as %+v", j)
	}
}

func TestFault31_PoisonIsParkedAndTheQueueGoesOn(t *testing.T) {
	s := st.Fault(t)
	bad := st.Submit(t, s, "fake: at step 1: kill")
	good := st.Submit(t, s, "make it sepia")
	j := st.WaitEnd(t, s, bad.ID)
	if j.State != job.Failed || j.Error.Code != job.CodePoison || j.Attempt != 2 {
		t.Errorf("the bad job ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	next := st.WaitEnd(t, s, good.ID)
	if next.State != job.Succeeded || next.StartedAt.Before(*j.FinishedAt) {
		t.Errorf("the next job is %s, started %v, the bad one ended %v", next.State, next.StartedAt, j.FinishedAt)
	}
}

func TestFault33_CancelWhileQueued(t *testing.T) {
	s := st.Fault(t)
	first := st.Submit(t, s, "fake: at step 1: wait /nowhere")
	second := st.Submit(t, s, "make it sepia")
	j, err := s.Cancel(t.Context(), second.ID)
	if err != nil || j.State != job.Canceled || j.Attempt != 0 {
		t.Fatalf("canceled at once as %+v, %v", j, err)
	}
	if _, err := s.Cancel(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, first.ID); j.State != job.Canceled {
		t.Errorf("the running one is %s", j.State)
	}
}

func TestFault34_CancelDuringLoad(t *testing.T) {
	s := st.Fault(t, st.Script("load takes 60000ms"))
	j := st.Submit(t, s, "make it sepia")
	st.WaitJob(t, s, j.ID, "load", func(j job.Job) bool { return j.Phase == job.Loading && s.State().Worker.State == "loading" })
	cancelNow(t, s, j.ID)
}

func TestFault35_CancelInEveryPhase(t *testing.T) {
	s := st.Fault(t)
	for _, phase := range []job.Phase{job.Encode, job.Denoise, job.Decode, job.Save} {
		t.Run(string(phase), func(t *testing.T) {
			j := st.Submit(t, s, "fake: at "+string(phase)+": wait /nowhere")
			st.WaitJob(t, s, j.ID, string(phase), func(j job.Job) bool { return j.Phase == phase })
			cancelNow(t, s, j.ID)
			if _, err := s.OpenResult(t.Context(), j.ID); err == nil {
				t.Error("a canceled job has a result")
			}
		})
	}
}

// A job after a cancel is not stopped by it, nor by one that came for a job that had ended.
func TestFault38_TheNextJobIsNotPoisonedByACancel(t *testing.T) {
	s := st.Fault(t)
	for range 3 {
		held := st.Submit(t, s, "fake: at step 2: wait /nowhere")
		st.WaitJob(t, s, held.ID, "step 1", func(j job.Job) bool { return j.Step == 1 })
		cancelNow(t, s, held.ID)
		if _, err := s.Cancel(t.Context(), held.ID); err != nil {
			t.Error(err)
		}
	}
	if j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); j.State != job.Succeeded {
		t.Errorf("the job after the cancels is %s: %+v", j.State, j.Error)
	}
}

func cancelNow(t *testing.T, s *supervisor.Supervisor, id job.ID) {
	t.Helper()
	begin := time.Now()
	if _, err := s.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	j := st.WaitEnd(t, s, id)
	t.Logf("canceled after %v", time.Since(begin))
	if j.State != job.Canceled || j.Attempt != 1 {
		t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
}

func TestFault36_CancelRacesCompletion(t *testing.T) {
	s := st.Fault(t)
	for range 10 {
		j := st.Submit(t, s, "make it sepia")
		st.WaitJob(t, s, j.ID, "save", func(j job.Job) bool { return j.Phase == job.Save || j.State.Terminal() })
		if _, err := s.Cancel(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		j = st.WaitEnd(t, s, j.ID)
		if (j.State == job.Succeeded) != (j.Result != nil) || j.State != job.Succeeded && j.State != job.Canceled {
			t.Errorf("ended as %s with result %v: %+v", j.State, j.Result, j.Error)
		}
	}
}

func TestFault37_CancelTwiceAndUnknown(t *testing.T) {
	s := st.Fault(t)
	j := st.Submit(t, s, "fake: at step 1: wait /nowhere")
	for range 2 {
		if _, err := s.Cancel(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := st.WaitEnd(t, s, j.ID); got.State != job.Canceled {
		t.Errorf("ended as %s", got.State)
	}
	if got, err := s.Cancel(t.Context(), j.ID); err != nil || got.State != job.Canceled {
		t.Errorf("cancel after the end: %s, %v", got.State, err)
	}
	if _, err := s.Cancel(t.Context(), job.NewID()); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("cancel of an unknown id: %v", err)
	}
}

// A page that comes back in mid-job gets the step from a snapshot, not at the next event.
func TestFault48_SnapshotShowsTheStep(t *testing.T) {
	s := st.New(t)
	id := submitSteps(t, s, "fake: at step 21: wait /nowhere", 40)
	st.WaitJob(t, s, id, "step 20", func(j job.Job) bool { return j.Step == 20 })
	sub := s.Subscribe("", -1)
	defer sub.Close()
	begin := time.Now()
	<-sub.C()
	events, err := sub.Next()
	if err != nil || len(events) == 0 || events[0].State == nil || len(events[0].State.Jobs) != 1 {
		t.Fatalf("first frame: %+v, %v", events, err)
	}
	if took := time.Since(begin); took > 200*time.Millisecond {
		t.Errorf("the snapshot took %v", took)
	}
	if j := events[0].State.Jobs[0]; j.ID != id || j.Step != 20 || j.Steps != 40 || j.Phase != job.Denoise {
		t.Errorf("the snapshot shows step %d of %d in %q", j.Step, j.Steps, j.Phase)
	}
	cancelNow(t, s, id)
}

func submitSteps(t *testing.T, s *supervisor.Supervisor, prompt string, steps int) job.ID {
	t.Helper()
	st.WaitModel(t, s)
	j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: prompt, Steps: steps},
		Uploads: []supervisor.Upload{st.Upload(t, s, st.Picture(96, 64))}})
	if err != nil {
		t.Fatal(err)
	}
	return j.ID
}

func TestFault19_BrokenEnvironmentPausesTheQueue(t *testing.T) {
	s := st.Fault(t, st.Script("at hello in gen 1: exit 66"))
	j := st.Submit(t, s, "make it sepia")
	st.Until(t, s, "a broken worker", func() bool { return s.State().Worker.State == string(worker.Broken) })
	if len(s.Ready()) == 0 {
		t.Error("a broken worker is ready")
	}
	if got, _ := s.Job(t.Context(), j.ID); got.State.Terminal() {
		t.Fatalf("the job ended as %s: %+v", got.State, got.Error)
	}
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := st.WaitEnd(t, s, j.ID); got.State != job.Succeeded {
		t.Errorf("ended as %s: %+v", got.State, got.Error)
	}
}

const childHome = "QIE_TEST_CHILD_HOME"

// TestFault02_Child is the supervisor that the test below kills; by itself it has nothing to do.
func TestFault02_Child(t *testing.T) {
	home := os.Getenv(childHome)
	if home == "" {
		return
	}
	s := st.New(t, st.Home(home), st.Script("at step 2: wait /nowhere"))
	st.Submit(t, s, "first")
	st.Submit(t, s, "second")
	st.Until(t, s, "step 1", func() bool {
		for _, j := range s.State().Jobs {
			if j.Step == 1 {
				return true
			}
		}
		return false
	})
	if err := os.WriteFile(filepath.Join(home, "running"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {} // until the kill
}

// Row 2, the supervisor's part: nothing that was acknowledged is lost by kill -9, and the worker does not outlive it.
func TestFault02_KilledSupervisorLosesNothing(t *testing.T) {
	home := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe, "-test.run=^TestFault02_Child$")
	child.Env = append(os.Environ(), childHome+"="+home)
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waitFile(t, filepath.Join(home, "running"), &out)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	s := st.New(t, st.Home(home))
	jobs := s.State().Jobs
	if len(jobs) != 2 {
		t.Fatalf("%d jobs after the kill, want 2", len(jobs))
	}
	second, first := jobs[0], jobs[1] // newest first
	if first.Recipe.Prompt != "first" {
		first, second = second, first
	}
	a, b := st.WaitEnd(t, s, first.ID), st.WaitEnd(t, s, second.ID)
	if a.State != job.Succeeded || a.Attempt != 2 || b.State != job.Succeeded || b.Attempt != 1 {
		t.Errorf("first %s attempt %d (%+v), second %s attempt %d", a.State, a.Attempt, a.Error, b.State, b.Attempt)
	}
	if !a.StartedAt.Before(*b.StartedAt) {
		t.Error("the order was not kept")
	}
}

func waitFile(t *testing.T, path string, out *strings.Builder) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(st.Patience)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s; the child said: %s", path, out)
		}
	}
}

func TestReopen_KeepsTheQueueAndTheEnds(t *testing.T) {
	home := t.TempDir()
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home)))
	if err != nil {
		t.Fatal(err)
	}
	done := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	held := st.Submit(t, s, "fake: at step 1 in gen 1: wait /nowhere")
	st.WaitJob(t, s, held.ID, "running", func(j job.Job) bool { return j.State == job.Running })
	waiting := st.Submit(t, s, "make it blue")
	st.Close(t, s)

	s = st.New(t, st.Home(home), st.Script(""), func(c *supervisor.Config) {})
	if j, err := s.Job(t.Context(), done.ID); err != nil || j.State != job.Succeeded || j.Result.SHA256 != done.Result.SHA256 {
		t.Errorf("the ended job is %+v, %v", j, err)
	}
	if _, err := s.Cancel(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	st.WaitEnd(t, s, held.ID)
	if j := st.WaitEnd(t, s, waiting.ID); j.State != job.Succeeded {
		t.Errorf("the waiting job is %s", j.State)
	}
}
