package supervisor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

// That the picture is the same to the last byte is proved with the real worker in pyruntime/tests/test_checkpoint.py.
func TestResume_AttemptGoesOnBehindTheStepThatWasSaved(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home), st.Script("at step 3 in gen 1: kill"))
	j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if j.State != job.Succeeded || j.Attempt != 2 {
		t.Fatalf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	i := slices.IndexFunc(j.Notices, func(n job.Notice) bool { return n.Code == "resumed" })
	if i < 0 || !strings.Contains(j.Notices[i].Message, "resumed at step 3 of 3") {
		t.Errorf("notices %+v do not tell where it went on", j.Notices)
	}
	if _, err := os.Stat(filepath.Join(home, "jobs", string(j.ID), store.CheckpointFile)); !os.IsNotExist(err) {
		t.Errorf("the checkpoint of an ended job is still there: %v", err)
	}
}

func TestResume_FailedAndCanceledJobsLeaveNoCheckpoint(t *testing.T) {
	for name, prompt := range map[string]string{"failed": "fake: at step 3: kill", "canceled": "fake: at step 3: wait /nowhere"} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			s := st.New(t, st.Home(home))
			j := st.Submit(t, s, prompt)
			if name == "canceled" {
				st.WaitJob(t, s, j.ID, "step 2", func(j job.Job) bool { return j.Step == 2 })
				cancelNow(t, s, j.ID)
			}
			j = st.WaitEnd(t, s, j.ID)
			if string(j.State) != name {
				t.Fatalf("ended as %s: %+v", j.State, j.Error)
			}
			if _, err := os.Stat(filepath.Join(home, "jobs", string(j.ID), store.CheckpointFile)); !os.IsNotExist(err) {
				t.Errorf("the checkpoint of an ended job is still there: %v", err)
			}
		})
	}
}
