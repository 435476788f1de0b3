package supervisor_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor"
	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

// diskBytes sums the files below a folder, in another way than the product does.
func diskBytes(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info fs.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return total
}

func ids(report supervisor.CleanupReport) []job.ID {
	var list []job.ID
	for _, j := range report.Jobs {
		list = append(list, j.ID)
	}
	slices.Sort(list)
	return list
}

func submitPicture(t *testing.T, s *supervisor.Supervisor, name, prompt string, data []byte) job.Job {
	t.Helper()
	st.WaitModel(t, s)
	u, err := s.NewUpload(t.Context(), name, strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: prompt}, Uploads: []supervisor.Upload{u}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// What is told, in a dry run too, is what goes, to the byte; the untouched photos stay, each once.
func TestCleanup_TellsTheByteAndKeepsOriginals(t *testing.T) {
	home := t.TempDir()
	jobs := filepath.Join(home, "jobs")
	s := st.New(t, st.Home(home))
	photo, other := st.Picture(96, 64), st.Picture(64, 96)
	a := submitPicture(t, s, "Hund am Strand.png", "make it sepia", photo)
	b := submitPicture(t, s, "Hund am Strand.png", "fake: error nan_output false", photo)
	c := submitPicture(t, s, ".png", "make it blue", other)
	for _, j := range []job.Job{a, b, c} {
		st.WaitEnd(t, s, j.ID)
	}
	held := st.Submit(t, s, "fake: at step 2: wait /nowhere")
	st.WaitJob(t, s, held.ID, "running", func(j job.Job) bool { return j.State == job.Running })
	waiting := st.Submit(t, s, "make it green")

	storage, err := s.Storage(t.Context(), true)
	if err != nil || storage.Bytes != diskBytes(t, jobs) || len(storage.Jobs) != 5 || storage.Jobs[4].Bytes != diskBytes(t, filepath.Join(jobs, string(a.ID))) {
		t.Errorf("storage %+v, on the disk %d: %v", storage, diskBytes(t, jobs), err)
	}
	var sum int64
	for _, state := range storage.States {
		sum += state.Bytes
	}
	if sum != storage.Bytes {
		t.Errorf("the states sum to %d of %d", sum, storage.Bytes)
	}

	for _, q := range []supervisor.CleanupQuery{{}, {Hours: -1}, {All: true, Hours: 1}, {State: job.Running}, {State: "complete"}} {
		if _, err := s.Cleanup(t.Context(), q); job.AsError(err).Code != job.CodeInputBad {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, id := range []job.ID{held.ID, waiting.ID} {
		if _, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{Job: id}); job.AsError(err).Code != job.CodeConflict {
			t.Errorf("cleanup of a job that has not ended: %v", err)
		}
	}
	if r, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{Hours: 1}); err != nil || len(r.Jobs) != 0 {
		t.Errorf("nothing is an hour old: %+v %v", r, err)
	}

	before := diskBytes(t, jobs)
	dry, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{All: true, DryRun: true})
	if err != nil || diskBytes(t, jobs) != before || !dry.DryRun {
		t.Fatalf("a dry run changed the disk: %v", err)
	}
	wet, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{All: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []job.ID{a.ID, b.ID, c.ID}
	slices.Sort(want)
	if gone := before - diskBytes(t, jobs); dry.Bytes != wet.Bytes || wet.Bytes != gone || !slices.Equal(ids(wet), want) || !slices.Equal(ids(dry), want) {
		t.Errorf("dry run %d, told %d, gone %d; %v", dry.Bytes, wet.Bytes, gone, ids(wet))
	}
	entries, err := os.ReadDir(filepath.Join(jobs, "originals"))
	if err != nil || len(entries) != 2 {
		t.Fatalf("kept originals: %v %v", entries, err)
	}
	if !strings.HasPrefix(entries[0].Name(), "Hund am Strand-") || !strings.HasPrefix(entries[1].Name(), "photo-") || filepath.Ext(entries[0].Name()) != ".png" {
		t.Errorf("kept as %v", entries)
	}
	if data, err := os.ReadFile(filepath.Join(jobs, "originals", entries[0].Name())); err != nil || string(data) != string(photo) {
		t.Errorf("the kept original is another one: %v", err)
	}

	// What ran and what waited is as it was.
	for id, state := range map[job.ID]job.State{held.ID: job.Running, waiting.ID: job.Queued} {
		if j, err := s.Job(t.Context(), id); err != nil || j.State != state {
			t.Errorf("job %s is %s: %v", id, j.State, err)
		}
	}
	if _, err := s.Cancel(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	st.WaitEnd(t, s, held.ID)
	st.WaitEnd(t, s, waiting.ID)
	before = diskBytes(t, jobs)
	wet, err = s.Cleanup(t.Context(), supervisor.CleanupQuery{All: true, Originals: true})
	if err != nil || wet.Bytes != before || diskBytes(t, jobs) != 0 || wet.Originals != 4 {
		t.Errorf("with originals %+v of %d, %d left: %v", wet, before, diskBytes(t, jobs), err)
	}
}

// The oldest go by themselves; what was made last stays whatever the limits say, and so do originals.
func TestRetention_KeepsTheNewest(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home), st.Keep(2, 0))
	var made []job.ID
	for range 4 {
		j := st.Submit(t, s, "make it sepia")
		st.WaitEnd(t, s, j.ID)
		made = append(made, j.ID)
	}
	left := func(n int) {
		t.Helper()
		st.Until(t, s, "retention", func() bool {
			v, err := s.Storage(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			return len(v.Jobs) == n
		})
	}
	left(2)
	for i, id := range made {
		if _, err := s.Job(t.Context(), id); (err == nil) != (i >= 2) {
			t.Errorf("job %d: %v", i, err)
		}
	}
	state := s.State()
	if !slices.ContainsFunc(state.Notices, func(n job.Notice) bool {
		return n.Code == "retention" && strings.Contains(n.Message, "of the oldest") // one by one, or both at once
	}) {
		t.Errorf("nobody was told: %v", state.Notices)
	}
	if kept, err := os.ReadDir(filepath.Join(home, "jobs", "originals")); err != nil || len(kept) != 1 {
		t.Errorf("originals: %v %v", kept, err)
	}
	s.SetUpkeep(supervisor.Upkeep{KeepBytes: 1}) // less than any job takes
	left(1)
	if _, err := s.Job(t.Context(), made[3]); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

// A file that has the name of the copy already is not replaced.
func TestOutputFolder_ReplacesNothing(t *testing.T) {
	output, gate := t.TempDir(), filepath.Join(t.TempDir(), "go")
	s := st.New(t)
	s.SetUpkeep(supervisor.Upkeep{OutputFolder: output})
	j := st.Submit(t, s, "fake: at step 2: wait "+gate)
	mine := filepath.Join(output, string(j.ID)+"_result.png")
	for path, text := range map[string]string{mine: "mine", gate: ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j = st.WaitEnd(t, s, j.ID)
	if data, err := os.ReadFile(filepath.Join(output, string(j.ID)+"_result-2.png")); err != nil || int64(len(data)) != j.Result.Bytes {
		t.Errorf("copy of %d bytes: %v", len(data), err)
	}
	if data, _ := os.ReadFile(mine); string(data) != "mine" || len(j.Notices) != 0 {
		t.Errorf("a file of the person is %q now; %v", data, j.Notices)
	}
}

// A star that is set while the retention runs, and a job that leaves the trash while that is emptied, are heeded; what
// was not touched goes.
func TestRetention_HeedsWhatWasMarkedMeanwhile(t *testing.T) {
	s, yes, no := st.New(t), true, false
	keeps := func(what string, j job.Job, err error) {
		t.Helper()
		if job.AsError(err).Code != job.CodeConflict {
			t.Errorf("%s: got %v", what, err)
		}
		if _, err := s.OpenResult(t.Context(), j.ID); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	seen := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	mark(t, s, seen.ID, store.Mark{Starred: &yes})
	keeps("with a star", seen, s.RetireSeen(t.Context(), seen))
	mark(t, s, seen.ID, store.Mark{Starred: &no})
	if err := s.RetireSeen(t.Context(), seen); err != nil {
		t.Errorf("without one: %v", err)
	}
	trashed := mark(t, s, st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID).ID, store.Mark{Trashed: &yes})
	mark(t, s, trashed.ID, store.Mark{Trashed: &no})
	keeps("restored", trashed, s.DiscardSeen(t.Context(), trashed))
	trashed = mark(t, s, trashed.ID, store.Mark{Trashed: &yes})
	if err := s.DiscardSeen(t.Context(), trashed); err != nil {
		t.Errorf("in the trash: %v", err)
	}
}

// Somebody asks for another try between the look of a clean-up and its hand: the job waits again and stays.
func TestCleanup_LeavesWhatWasTriedAgain(t *testing.T) {
	s := st.New(t)
	j := st.WaitEnd(t, s, st.Submit(t, s, "fake: error nan_output false").ID)
	if _, err := s.Pause(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Retry(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.CleanupSeen(t.Context(), j); job.AsError(err).Code != job.CodeConflict {
		t.Errorf("got %v", err)
	}
	if now, err := s.Job(t.Context(), j.ID); err != nil || now.State != job.Queued {
		t.Errorf("the job is %s: %v", now.State, err)
	}
}
