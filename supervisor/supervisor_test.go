package supervisor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

func TestEdit_Succeeds(t *testing.T) {
	home := filepath.Join(t.TempDir(), "new")
	s := st.New(t, st.Home(home))
	j := st.Submit(t, s, "make it sepia")
	if j.State.Terminal() || len(j.Images) != 1 || j.Images[0].Width != 96 {
		t.Fatalf("the answer to the submit is %+v", j)
	}
	// Durable before the answer: files and row are there.
	for _, name := range []string{"input-1.png", "original-1", "recipe.json"} {
		if _, err := os.Stat(filepath.Join(home, "jobs", string(j.ID), name)); err != nil {
			t.Error(err)
		}
	}
	j = st.WaitEnd(t, s, j.ID)
	if j.State != job.Succeeded || j.Result == nil || j.Result.Width != 96 || j.Result.Height != 64 || j.Attempt != 1 ||
		j.Percent != 100 || j.StartedAt == nil || j.FinishedAt == nil {
		t.Fatalf("the job ended as %+v, error %+v", j, j.Error)
	}
	f, err := s.OpenResult(t.Context(), j.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != j.Result.SHA256 {
		t.Errorf("hash of the result is %s, want %s", got, j.Result.SHA256)
	}
	for _, name := range []string{"wait", "denoise", "supervisor_s"} {
		if _, ok := j.Timings[name]; !ok {
			t.Errorf("no timing %q in %v", name, j.Timings)
		}
	}
	t.Logf("timings %v", j.Timings)
	if left, _ := filepath.Glob(filepath.Join(home, "jobs", ".spool", "*")); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
	for path, want := range map[string]os.FileMode{".": 0o700, "qie.db": 0o600, "jobs": 0o700, "run/lock": 0o600} {
		info, err := os.Stat(filepath.Join(home, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s is %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
}

func TestQueue_KeepsItsOrder(t *testing.T) {
	s := st.New(t, st.Script("step takes 5ms"))
	var ids []job.ID
	for range 4 {
		ids = append(ids, st.Submit(t, s, "make it sepia").ID)
	}
	var last time.Time
	for _, id := range ids {
		j := st.WaitEnd(t, s, id)
		if j.State != job.Succeeded || !j.StartedAt.After(last) {
			t.Errorf("job %s is %s, started %v, the one before ended %v", id, j.State, j.StartedAt, last)
		}
		last = *j.FinishedAt
	}
	page, err := s.Jobs(t.Context(), store.Query{Limit: 3})
	if err != nil || len(page.Jobs) != 3 || page.Next == "" || page.Jobs[0].ID != ids[3] {
		t.Fatalf("first page: %d jobs, next %q, %v", len(page.Jobs), page.Next, err)
	}
	page, err = s.Jobs(t.Context(), store.Query{Limit: 3, Cursor: page.Next})
	if err != nil || len(page.Jobs) != 1 || page.Next != "" || page.Jobs[0].ID != ids[0] {
		t.Fatalf("second page: %+v, %v", page, err)
	}
}

func TestSubmit_Refusals(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home), func(c *supervisor.Config) { c.QueueMax = 1 })
	st.WaitModel(t, s)
	many := func(n int) []supervisor.Upload {
		var u []supervisor.Upload
		for range n {
			u = append(u, st.Upload(t, s, st.Picture(64, 64)))
		}
		return u
	}
	tests := []struct {
		name   string
		recipe job.Recipe
		images int
		code   job.Code
		words  string
	}{
		{"no image", job.Recipe{Prompt: "x"}, 0, job.CodeImageMissing, "at least one"},
		{"no prompt", job.Recipe{Prompt: " "}, 1, job.CodePromptEmpty, "empty"},
		{"two images for a model of one", job.Recipe{Prompt: "x"}, 2, job.CodeTooManyImages, "takes 1"},
		{"four images", job.Recipe{Prompt: "x"}, 4, job.CodeTooManyImages, "limit is 3"},
		{"unknown model", job.Recipe{Prompt: "x", Model: "gone"}, 1, job.CodeUnknownModel, "gone"},
		{"unknown preset", job.Recipe{Prompt: "x", Preset: "gone"}, 1, job.CodeUnknownPreset, "fast"},
		{"unknown lora", job.Recipe{Prompt: "x", LoRAs: []string{"gone"}}, 1, job.CodeUnknownLoRA, "has warm"},
		{"strength of a lora", job.Recipe{Prompt: "x", LoRAs: []string{"warm:2.1"}}, 1, job.CodeOutOfRange, "at most 2"},
		{"too many steps", job.Recipe{Prompt: "x", Steps: 101}, 1, job.CodeOutOfRange, "100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Submit(t.Context(), supervisor.Submission{Recipe: tt.recipe, Uploads: many(tt.images)})
			if err == nil || job.AsError(err).Code != tt.code || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %s with %q", err, tt.code, tt.words)
			}
		})
	}
	st.WaitReady(t, s)
	first := st.Submit(t, s, "fake: at step 1: wait /nowhere")
	_, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: "x"}, Uploads: many(1)})
	if err == nil || job.AsError(err).Code != job.CodeQueueFull {
		t.Errorf("a second job: %v", err)
	}
	if _, err := s.Cancel(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	st.WaitEnd(t, s, first.ID)
	entries, _ := os.ReadDir(filepath.Join(home, "jobs"))
	for _, e := range entries {
		if job.ID(e.Name()).Valid() && job.ID(e.Name()) != first.ID {
			t.Errorf("a refused submit left %s", e.Name())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(home, "jobs", ".spool", "*")); len(left) != 0 {
		t.Errorf("left in the spool: %v", left)
	}
}

func TestSubmit_CollageOfTwo(t *testing.T) {
	s := st.New(t)
	st.WaitModel(t, s)
	j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: "x", Collage: true},
		Uploads: []supervisor.Upload{st.Upload(t, s, st.Picture(64, 64)), st.Upload(t, s, st.Picture(96, 64))}})
	if err != nil {
		t.Fatal(err)
	}
	if j = st.WaitEnd(t, s, j.ID); j.State != job.Succeeded || j.Result.Width != 160 || j.Result.Height != 64 {
		t.Errorf("collage ended as %s %+v", j.State, j.Result)
	}
}

func TestOpen_SecondInstanceLearnsTheURL(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home))
	if err := s.Serving("http://127.0.0.1:8000", 8000); err != nil {
		t.Fatal(err)
	}
	_, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home)))
	var running *supervisor.RunningError
	if !errors.As(err, &running) || running.URL != "http://127.0.0.1:8000" || running.PID != os.Getpid() {
		t.Fatalf("got %v", err)
	}
}

func TestOpen_IsFast(t *testing.T) {
	cfg := st.Config(t)
	begin := time.Now()
	s, err := supervisor.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("open took %v", time.Since(begin))
	st.Close(t, s)
}

func TestRetryRemoveCleanup(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home))
	j := st.Submit(t, s, "fake: at step 1: error nan_output")
	if j = st.WaitEnd(t, s, j.ID); j.State != job.Failed || j.Error.Code != job.CodeNaNOutput || j.Attempt != 1 {
		t.Fatalf("ended as %+v", j)
	}
	if _, err := s.Retry(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if j = st.WaitEnd(t, s, j.ID); j.State != job.Failed || j.Attempt != 2 {
		t.Fatalf("second try ended as %+v", j)
	}
	held := st.Submit(t, s, "fake: at step 1: wait /nowhere")
	st.WaitJob(t, s, held.ID, "denoise", func(j job.Job) bool { return j.State == job.Running })
	if err := s.Remove(t.Context(), held.ID); err == nil || job.AsError(err).Code != job.CodeConflict {
		t.Errorf("removing a running job: %v", err)
	}
	report, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{State: job.Failed, DryRun: true})
	if err != nil || len(report.Jobs) != 1 || report.Bytes == 0 {
		t.Fatalf("dry run: %+v, %v", report, err)
	}
	if _, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{All: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job(t.Context(), j.ID); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("a removed job: %v", err)
	}
	if _, err := os.Stat(filepath.Join(home, "jobs", string(j.ID))); err == nil {
		t.Error("the files of a removed job are still there")
	}
	if _, err := s.Cancel(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	st.WaitEnd(t, s, held.ID)
	done := st.Submit(t, s, "make it sepia")
	st.WaitEnd(t, s, done.ID)
	if _, err := s.Retry(t.Context(), done.ID); err == nil || job.AsError(err).Code != job.CodeConflict {
		t.Errorf("retry of a succeeded job: %v", err)
	}
}

// A page that reloads in mid-job sees the job where it is, and nothing of it is lost in between.
func TestSubscribe_SnapshotThenEvents(t *testing.T) {
	s := st.New(t)
	gate := filepath.Join(t.TempDir(), "gate")
	j := st.Submit(t, s, "fake: at step 2: wait "+gate)
	st.WaitJob(t, s, j.ID, "step 1", func(j job.Job) bool { return j.Step == 1 })
	sub := s.Subscribe("", 0)
	defer sub.Close()
	<-sub.C()
	events, err := sub.Next()
	if err != nil || events[0].Type != event.TypeState || events[0].State.Jobs[0].Step != 1 {
		t.Fatalf("first frames %+v, %v", events, err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	seq, percent := events[len(events)-1].Seq, 0.0
	for end := false; !end; {
		<-sub.C()
		events, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Seq <= seq {
				t.Errorf("seq %d after %d", e.Seq, seq)
			}
			seq = e.Seq
			if e.Type == event.TypeJobProgress {
				if e.Progress.Percent < percent {
					t.Errorf("percent went from %g to %g", percent, e.Progress.Percent)
				}
				percent = e.Progress.Percent
			}
			end = end || e.Type == event.TypeJobChanged && e.Job.State == job.Succeeded
		}
	}
}

func TestSystem_TellsTheMachine(t *testing.T) {
	s := st.New(t)
	st.WaitReady(t, s)
	sys := s.System()
	if sys.Gauges.MemoryTotal == 0 || sys.Gauges.DiskFree == 0 || sys.Gauges.SupervisorRSS == 0 || sys.Model.ID != "fake" ||
		sys.Worker.Device != "cpu" || sys.QueueMax == 0 {
		t.Errorf("system: %+v", sys)
	}
}
