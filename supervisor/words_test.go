package supervisor_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

func noticeOf(j job.Job, code string) job.Notice {
	if i := slices.IndexFunc(j.Notices, func(n job.Notice) bool { return n.Code == code }); i >= 0 {
		return j.Notices[i]
	}
	return job.Notice{}
}

// A job that kills its worker twice says so, names the report of it, and what a person can do.
func TestWords_ParkedJob(t *testing.T) {
	s := st.New(t)
	j := st.WaitEnd(t, s, st.Submit(t, s, "fake: at step 2: say the photo of canary lake; at step 2: kill").ID)
	if j.State != job.Failed || j.Error.Code != job.CodePoison {
		t.Fatalf("ended as %s: %+v", j.State, j.Error)
	}
	for part, text := range map[string]string{"the cause": j.Error.Message, "what was done": j.Error.Done, "the next action": j.Error.Hint} {
		want := map[string]string{"the cause": "died twice", "what was done": "set aside", "the next action": "smaller picture"}[part]
		if !strings.Contains(text, want) {
			t.Errorf("%s is %q, want it to say %q", part, text, want)
		}
	}
	retried := noticeOf(j, "retried")
	if !strings.Contains(retried.Message, "SIGKILL") || !strings.Contains(retried.Message, "this edit has a second try") {
		t.Errorf("the first death is told as %+v", j.Notices)
	}
	crashes, err := s.Crashes()
	if err != nil || len(crashes) != 2 || crashes[0].Name != j.Error.Report || crashes[1].Name != retried.Report {
		t.Fatalf("the reports are %+v, %v; the job names %q, its notice %q", crashes, err, j.Error.Report, retried.Report)
	}
	for _, c := range crashes {
		if c.Cause == "" || c.Done == "" || c.Code != job.CodeWorkerDied || c.Time.IsZero() {
			t.Errorf("a report says %+v", c)
		}
		report, err := s.CrashReport(c.Name)
		if err != nil || !json.Valid(report) {
			t.Errorf("%s: %v %s", c.Name, err, report)
		}
	}
	// The worker's status follows the end of the job.
	st.Until(t, s, "the status that names the last report", func() bool { return s.State().Worker.Report == j.Error.Report })
}

func TestCrashReport_OnlyReportsAreRead(t *testing.T) {
	s := st.New(t)
	for _, name := range []string{"worker.log", "../qie.db", "crash-20260101T000000.000-1.json", "crash-../../qie.db-1.json", ""} {
		if _, err := s.CrashReport(name); err == nil || job.AsError(err).Code != job.CodeNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	if crashes, err := s.Crashes(); err != nil || crashes == nil || len(crashes) != 0 {
		t.Errorf("got %v, %v", crashes, err)
	}
}

// Whatever pauses the queue says why, what that means and how it goes on; what a press can end, a press ends.
func TestWords_EveryPauseOfTheQueue(t *testing.T) {
	pauses := map[string]struct {
		option st.Option
		pause  func(*testing.T, *supervisor.Supervisor)
		resume bool
		hint   string
	}{
		"person": {func(*supervisor.Config) {}, func(t *testing.T, s *supervisor.Supervisor) {
			if _, err := s.Pause(t.Context(), "lunch"); err != nil {
				t.Fatal(err)
			}
		}, true, "qie jobs resume"},
		"worker": {st.Script("at hello in gen 1: exit 64"), func(*testing.T, *supervisor.Supervisor) {}, true, "qie jobs resume"},
		"disk": {func(c *supervisor.Config) { c.DiskFree = func() (int64, error) { return 1 << 20, nil } },
			func(*testing.T, *supervisor.Supervisor) {}, false, "qie cleanup"},
	}
	for by, tt := range pauses {
		t.Run(by, func(t *testing.T) {
			s := st.New(t, tt.option)
			tt.pause(t, s)
			j := st.Submit(t, s, "make it sepia")
			var q event.Queue
			st.Until(t, s, "a pause by the "+by, func() bool { q = s.Queue(); return q.Paused && q.By == by })
			if q.Reason == "" || q.Done == "" || !strings.Contains(q.Hint, tt.hint) {
				t.Errorf("it says %+v", q)
			}
			reasons := s.Ready()
			if len(reasons) == 0 || reasons[0].Message == "" || reasons[0].Hint == "" {
				t.Errorf("readiness says %+v", reasons)
			}
			if !tt.resume {
				return
			}
			if q, err := s.Resume(t.Context()); err != nil || q.Paused {
				t.Errorf("resume: %+v, %v", q, err)
			}
			if j := st.WaitEnd(t, s, j.ID); j.State != job.Succeeded {
				t.Errorf("ended as %s: %+v", j.State, j.Error)
			}
		})
	}
}

// Nobody has to guess why an edit has a second try.
func TestWords_RestartByAPersonIsTold(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	s := st.New(t, st.Script("at step 2 in gen 1: wait "+gate))
	j := st.Submit(t, s, "make it sepia")
	st.WaitJob(t, s, j.ID, "step 1", func(j job.Job) bool { return j.Step == 1 })
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, gate, "")
	j = st.WaitEnd(t, s, j.ID)
	if j.State != job.Succeeded || j.Attempt != 2 || noticeOf(j, "restarted").Message == "" || noticeOf(j, "retried").Message != "" {
		t.Errorf("ended as %s after attempt %d with %+v", j.State, j.Attempt, j.Notices)
	}
}
