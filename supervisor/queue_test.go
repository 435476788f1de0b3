package supervisor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

func submitAll(t *testing.T, s *supervisor.Supervisor, prompts ...string) []job.ID {
	t.Helper()
	var ids []job.ID
	for _, p := range prompts {
		ids = append(ids, st.Submit(t, s, p).ID)
	}
	return ids
}

func paused(t *testing.T, s *supervisor.Supervisor, want bool) event.Queue {
	t.Helper()
	var q event.Queue
	st.Until(t, s, "pause", func() bool { q = s.Queue(); return q.Paused == want })
	return q
}

func TestQueue_MoveChangesTheOrderAndOutlivesARestart(t *testing.T) {
	home := t.TempDir()
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pause(t.Context(), "lunch"); err != nil {
		t.Fatal(err)
	}
	ids := submitAll(t, s, "a", "b", "c", "d")
	a, b, c, d := ids[0], ids[1], ids[2], ids[3]
	if j, err := s.Move(t.Context(), d, ""); err != nil || j.Position != 1 {
		t.Fatalf("moved to the front: place %d, %v", j.Position, err)
	}
	if j, err := s.Move(t.Context(), a, c); err != nil || j.Position != 3 {
		t.Fatalf("moved before another: place %d, %v", j.Position, err)
	}
	want := []job.ID{d, b, a, c}
	if got := s.Queue().Waiting; !slices.Equal(got, want) {
		t.Fatalf("the line is %v, want %v", got, want)
	}
	for i, id := range want {
		if j, err := s.Job(t.Context(), id); err != nil || j.Position != i+1 {
			t.Errorf("job %d is at place %d, %v", i+1, j.Position, err)
		}
	}
	if _, err := s.Move(t.Context(), a, a); err != nil {
		t.Errorf("before itself: %v", err)
	}
	for name, refused := range map[string]struct {
		id, before job.ID
		code       job.Code
	}{"unknown": {job.NewID(), "", job.CodeNotFound}, "before an unknown one": {a, job.NewID(), job.CodeNotFound}} {
		if _, err := s.Move(t.Context(), refused.id, refused.before); err == nil || job.AsError(err).Code != refused.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	st.Close(t, s)

	s = st.New(t, st.Home(home))
	q := s.Queue()
	if !q.Paused || q.By != "person" || q.Reason != "lunch" || !slices.Equal(q.Waiting, want) {
		t.Fatalf("after the restart the queue is %+v", q)
	}
	reasons := s.Ready()
	if !slices.ContainsFunc(s.State().Reasons, func(n job.Notice) bool { return n.Code == "queue_paused" || n.Code == "worker_preparing" }) {
		t.Errorf("reasons %+v do not tell of the pause", reasons)
	}
	if q, err := s.Resume(t.Context()); err != nil || q.Paused {
		t.Fatalf("resumed: %+v, %v", q, err)
	}
	var started []time.Time
	for _, id := range want {
		j := st.WaitEnd(t, s, id)
		if j.State != job.Succeeded {
			t.Fatalf("job ended as %s: %+v", j.State, j.Error)
		}
		started = append(started, *j.StartedAt)
	}
	if !slices.IsSortedFunc(started, time.Time.Compare) {
		t.Errorf("they started at %v", started)
	}
	if _, err := s.Move(t.Context(), a, ""); err == nil || job.AsError(err).Code != job.CodeConflict {
		t.Errorf("moving an ended job: %v", err)
	}
}

func TestQueue_APauseLetsTheRunningJobEnd(t *testing.T) {
	s := st.New(t)
	gate := filepath.Join(t.TempDir(), "gate")
	first := st.Submit(t, s, "fake: at step 2: wait "+gate)
	st.WaitJob(t, s, first.ID, "running", func(j job.Job) bool { return j.State == job.Running })
	second := st.Submit(t, s, "make it sepia")
	if _, err := s.Pause(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, first.ID); j.State != job.Succeeded {
		t.Fatalf("the running job ended as %s", j.State)
	}
	st.Until(t, s, "a free worker", func() bool { return s.State().Worker.State == "warm" })
	if j, err := s.Job(t.Context(), second.ID); err != nil || j.State != job.Queued {
		t.Fatalf("the waiting job is %s while the queue is paused, %v", j.State, err)
	}
	if _, err := s.Pause(t.Context(), strings.Repeat("x", 201)); err == nil || job.AsError(err).Code != job.CodeOutOfRange {
		t.Errorf("a long reason: %v", err)
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, second.ID); j.State != job.Succeeded {
		t.Errorf("after the resume it ended as %s", j.State)
	}
}

func TestQueue_DuplicateIsAJobOfItsOwn(t *testing.T) {
	s := st.New(t)
	first := st.WaitEnd(t, s, submitSteps(t, s, "make it sepia", 2))
	copied, err := s.Duplicate(t.Context(), first.ID, false)
	if err != nil || copied.ID == first.ID || copied.Recipe.Prompt != first.Recipe.Prompt || copied.Recipe.Steps != 2 ||
		len(copied.Images) != 1 || copied.Images[0].SHA256 != first.Images[0].SHA256 {
		t.Fatalf("the copy is %+v, %v", copied, err)
	}
	if err := s.Remove(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, copied.ID); j.State != job.Succeeded {
		t.Errorf("the copy ended as %s: %+v", j.State, j.Error)
	}
	if _, err := s.Duplicate(t.Context(), first.ID, false); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("a copy of a removed job: %v", err)
	}
}

// Row 39, the queue's part: with too little space nothing starts, the words say how much is missing, and it goes on by
// itself.
func TestQueue_WaitsForSpaceAndGoesOnByItself(t *testing.T) {
	var free atomic.Int64
	free.Store(1_200_000_000)
	s := st.New(t, func(c *supervisor.Config) {
		c.DiskFloor = supervisor.DiskFloor
		c.DiskFree = func() (int64, error) { return free.Load(), nil }
		c.RecheckEvery = 5 * time.Millisecond
	})
	j := st.Submit(t, s, "make it sepia")
	q := paused(t, s, true)
	if q.By != "disk" || !strings.Contains(q.Reason, "1.2 GB free") || !strings.Contains(q.Reason, "0.8 GB are missing") {
		t.Errorf("the queue is %+v", q)
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q := s.Queue(); !q.Paused {
		t.Error("a person cannot make space by resuming")
	}
	if got, _ := s.Job(t.Context(), j.ID); got.State != job.Queued {
		t.Fatalf("it started: %s", got.State)
	}
	free.Store(supervisor.DiskFloor)
	if got := st.WaitEnd(t, s, j.ID); got.State != job.Succeeded {
		t.Errorf("ended as %s", got.State)
	}
	paused(t, s, false)
}

// What belongs to no job stands once per code, in its newest words, and every one is told.
func TestNotice_NewerTakesThePlaceOfTheOlder(t *testing.T) {
	s := st.New(t)
	sub := s.Subscribe("", -1)
	defer sub.Close()
	notices := []job.Notice{{Code: "disk", Message: "2 GB are missing"}, {Code: "other", Message: "x"}, {Code: "disk", Message: "1 GB is missing"}}
	for _, n := range notices {
		s.Notice(n)
	}
	var told []job.Notice
	for len(told) < len(notices) {
		<-sub.C()
		events, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Notice != nil && slices.Contains(notices, *e.Notice) {
				told = append(told, *e.Notice)
			}
		}
	}
	if !slices.Equal(told, notices) {
		t.Errorf("told %+v", told)
	}
	got := slices.DeleteFunc(s.State().Notices, func(n job.Notice) bool { return !slices.Contains(notices, n) })
	if want := notices[1:]; !slices.Equal(got, want) {
		t.Errorf("the state has %+v, want %+v", got, want)
	}
	// Taken back, it is told once by its code, without words, and stands no more; what does not stand is not told.
	for _, code := range []string{"nobody", "disk", "disk"} {
		s.Withdraw(code)
	}
	s.Tell(job.Notice{Code: "last", Message: "passing"})
	told = nil
	for len(told) == 0 || told[len(told)-1].Code != "last" {
		<-sub.C()
		events, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Notice != nil && slices.Contains([]string{"nobody", "disk", "last"}, e.Notice.Code) {
				told = append(told, *e.Notice)
			}
		}
	}
	if want := []job.Notice{{Code: "disk"}, {Code: "last", Message: "passing"}}; !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	if slices.ContainsFunc(s.State().Notices, func(n job.Notice) bool { return n.Code == "disk" || n.Code == "last" }) {
		t.Errorf("the state still has %+v", s.State().Notices)
	}
}

// The row of a job that runs goes away under it: what happened to it can never be written, and the queue goes on.
func TestQueue_ARowThatIsGoneHoldsNothing(t *testing.T) {
	s := st.New(t, func(c *supervisor.Config) { c.RecheckEvery = 5 * time.Millisecond })
	gate := filepath.Join(t.TempDir(), "gate")
	j := st.Submit(t, s, "fake: at step 2: wait "+gate)
	st.WaitJob(t, s, j.ID, "running", func(j job.Job) bool { return j.State == job.Running })
	if err := s.LoseRow(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st.WaitEnd(t, s, j.ID)
	if next := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); next.State != job.Succeeded {
		t.Errorf("the next job ended as %s", next.State)
	}
	paused(t, s, false)
}
