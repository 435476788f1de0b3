package supervisor_test

import (
	"image/jpeg"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

func mark(t *testing.T, s *supervisor.Supervisor, id job.ID, m store.Mark) job.Job {
	t.Helper()
	j, err := s.Mark(t.Context(), id, m)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func shown(s *supervisor.Supervisor, id job.ID) bool {
	return slices.ContainsFunc(s.State().Jobs, func(j job.Job) bool { return j.ID == id })
}

// editOf submits an edit of a job's result and waits for its end.
func editOf(t *testing.T, s *supervisor.Supervisor, parent job.ID) job.Job {
	t.Helper()
	f, err := s.OpenResult(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	u, err := s.NewUpload(t.Context(), "result.png", f)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: "make it warmer"}, Uploads: []supervisor.Upload{u}})
	if err != nil {
		t.Fatal(err)
	}
	return st.WaitEnd(t, s, j.ID)
}

func TestMark_TrashHidesAndRestoresOverARestart(t *testing.T) {
	home, yes, no := t.TempDir(), true, false
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home)))
	if err != nil {
		t.Fatal(err)
	}
	first := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	second := editOf(t, s, first.ID)
	if second.Parent != first.ID || second.Photo != first.Images[0].SHA256 {
		t.Fatalf("the edit of the result hangs on %q of %q", second.Parent, second.Photo)
	}
	if j := mark(t, s, first.ID, store.Mark{Trashed: &yes}); j.TrashedAt == nil || shown(s, first.ID) {
		t.Errorf("in the trash: %+v, shown %v", j.TrashedAt, shown(s, first.ID))
	}
	mark(t, s, second.ID, store.Mark{Starred: &yes})
	if _, err := s.Retry(t.Context(), first.ID); err == nil || job.AsError(err).Code != job.CodeConflict {
		t.Errorf("tried again in the trash: %v", err)
	}
	st.Close(t, s)

	s = st.New(t, st.Home(home))
	if shown(s, first.ID) || !shown(s, second.ID) {
		t.Error("after the restart the trash is shown, or the other is not")
	}
	if j, err := s.Job(t.Context(), second.ID); err != nil || !j.Starred || j.Parent != first.ID {
		t.Errorf("after the restart: %+v, %v", j, err)
	}
	if j := mark(t, s, first.ID, store.Mark{Trashed: &no}); j.TrashedAt != nil || j.Result == nil {
		t.Errorf("restored: %+v", j)
	}
	if f, err := s.OpenResult(t.Context(), first.ID); err != nil {
		t.Errorf("its picture: %v", err)
	} else {
		_ = f.Close()
	}
	// Removed for good, its edits hang on its parent.
	if err := s.Remove(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if j, err := s.Job(t.Context(), second.ID); err != nil || j.Parent != "" || j.Photo != first.Images[0].SHA256 {
		t.Errorf("after the removal it hangs on %q of %q, %v", j.Parent, j.Photo, err)
	}
	if _, err := s.Mark(t.Context(), first.ID, store.Mark{Starred: &yes}); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("marking what is gone: %v", err)
	}
}

func TestMark_WhatWaitsCannotGoIntoTheTrash(t *testing.T) {
	s := st.New(t)
	if _, err := s.Pause(t.Context(), "lunch"); err != nil {
		t.Fatal(err)
	}
	id, yes := st.Submit(t, s, "make it sepia").ID, true
	if _, err := s.Mark(t.Context(), id, store.Mark{Trashed: &yes}); err == nil || job.AsError(err).Code != job.CodeConflict {
		t.Errorf("trash: %v", err)
	}
	if j := mark(t, s, id, store.Mark{Starred: &yes}); !j.Starred || j.State != job.Queued || j.Position != 1 {
		t.Errorf("star of a waiting job: %+v", j)
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, id); !j.Starred || j.State != job.Succeeded {
		t.Errorf("ended as %s, starred %v", j.State, j.Starred)
	}
}

func TestTrash_IsEmptiedAfterItsTime(t *testing.T) {
	var later atomic.Int64
	s := st.New(t, func(c *supervisor.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	j, yes := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID), true
	mark(t, s, j.ID, store.Mark{Trashed: &yes})
	s.SetUpkeep(supervisor.Upkeep{})
	if _, err := s.Job(t.Context(), j.ID); err != nil {
		t.Fatalf("gone at once: %v", err)
	}
	later.Store(int64(supervisor.TrashFor))
	s.SetUpkeep(supervisor.Upkeep{})
	st.Until(t, s, "the trash is emptied", func() bool {
		_, err := s.Job(t.Context(), j.ID)
		return err != nil && job.AsError(err).Code == job.CodeNotFound
	})
}

func TestDuplicate_WithAnotherSeedIsAVariation(t *testing.T) {
	s := st.New(t)
	first := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	second := editOf(t, s, first.ID)
	seeds := map[int64]bool{second.Result.Seed: true}
	for range 3 {
		j, err := s.Duplicate(t.Context(), second.ID, true)
		if err != nil || j.Parent != first.ID || j.Photo != second.Photo {
			t.Fatalf("the variation hangs on %q of %q, %v", j.Parent, j.Photo, err)
		}
		seeds[st.WaitEnd(t, s, j.ID).Result.Seed] = true
	}
	if len(seeds) != 4 {
		t.Errorf("%d seeds in four pictures", len(seeds))
	}
	page, err := s.Jobs(t.Context(), store.Query{Parent: first.ID})
	if err != nil || len(page.Jobs) != 4 {
		t.Errorf("%d edits of the first, %v", len(page.Jobs), err)
	}
}

func TestThumb_IsSmallAndOfTheResult(t *testing.T) {
	s := st.New(t)
	if _, err := s.Pause(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	id := submitPicture(t, s, "wide.png", "make it sepia", st.Picture(1000, 500)).ID
	names := map[string]bool{}
	look := func() {
		for range 2 {
			f, name, err := s.OpenThumb(t.Context(), id, false)
			if err != nil {
				t.Fatal(err)
			}
			names[name] = true
			size, err := jpeg.DecodeConfig(f)
			_ = f.Close()
			if err != nil || size.Width != 320 || size.Height != 160 {
				t.Errorf("%s is %dx%d, %v", name, size.Width, size.Height, err)
			}
		}
	}
	look()
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.WaitEnd(t, s, id)
	look()
	if f, name, err := s.OpenThumb(t.Context(), id, true); err != nil || name != store.ThumbFile(0) {
		t.Errorf("of the source: %q, %v", name, err)
	} else {
		_ = f.Close()
	}
	if len(names) != 2 {
		t.Errorf("the thumbnails are %v", names)
	}
	if _, _, err := s.OpenThumb(t.Context(), job.NewID(), false); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("of a job that is not there: %v", err)
	}
}

func TestState_TellsWhatAnEditTakesOnceItWasMeasured(t *testing.T) {
	s := st.New(t)
	st.WaitModel(t, s)
	if takes := s.State().Model.Takes; takes != nil {
		t.Errorf("before any edit it takes %v", takes)
	}
	st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	st.Until(t, s, "measured", func() bool { return s.State().Model.Takes != nil })
	m := s.State().Model
	if len(m.Takes) != 2 || m.Takes[0] > m.Takes[1] {
		t.Errorf("it takes %v", m.Takes)
	}
	if !slices.ContainsFunc(m.Presets, func(p event.PresetView) bool { return p.Takes != nil }) {
		t.Errorf("no preset has a time: %+v", m.Presets)
	}
}
