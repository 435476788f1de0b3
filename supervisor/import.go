package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/original"
	"qie/supervisor/picture"
	"qie/supervisor/store"
)

// importKey begins the setting that remembers, by folder, which jobs of the earlier program were looked at: one that a
// person removed here must not come back.
const importKey = "imported "

// earlierModel is what made the results of the earlier program.
const earlierModel = "qwen-image-edit"

// ImportedID is the id that a job of the earlier program has here. Its own names its folder, which stays as it is.
func ImportedID(id job.ID) job.ID {
	b := sha256.Sum256([]byte("qie import " + id))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return job.ID(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]))
}

// importEarlier copies what the earlier program left in the folders into this one's history. It reads there and
// changes nothing.
func (s *Supervisor) importEarlier(dirs []string) {
	defer s.parts.Done()
	taken, refused := 0, 0
	for _, dir := range dirs {
		n, bad, err := s.importFolder(s.ctx, dir)
		taken, refused = taken+n, refused+bad
		if err != nil && s.ctx.Err() == nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("import the jobs of the earlier program", "err", err)
			s.Notice(job.Notice{Code: "import_stopped", Message: "not all jobs of the earlier program could be taken over: " +
				job.AsError(err).Message + "; it goes on at the next start"})
		}
	}
	if taken+refused > 0 && s.ctx.Err() == nil {
		message := fmt.Sprintf("%d edits of the program that came before were found and are in the history now", taken)
		if refused > 0 {
			message += fmt.Sprintf("; %d could not be read", refused)
		}
		s.Notice(job.Notice{Code: "imported", Message: message + ". Its own files are as they were"})
	}
}

func (s *Supervisor) importFolder(ctx context.Context, dir string) (taken, refused int, err error) {
	f, err := original.Open(dir)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }()
	ids, err := f.IDs()
	if err != nil {
		return 0, 0, err
	}
	text, err := s.store.Setting(ctx, importKey+dir)
	if err != nil {
		return 0, 0, err
	}
	var known []job.ID
	if text != "" {
		if err := json.Unmarshal([]byte(text), &known); err != nil {
			return 0, 0, fmt.Errorf("stored imports: %w", err)
		}
	}
	seen := map[job.ID]bool{}
	for _, id := range known {
		seen[id] = true
	}
	before := len(seen)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		if _, rowErr := s.store.Row(ctx, ImportedID(id)); rowErr == nil {
			seen[id] = true // a killed import was here
			continue
		}
		if err = s.roomToImport(); err != nil {
			break
		}
		old, readErr := f.Read(id)
		if readErr == nil {
			readErr = s.importJob(ctx, f, old)
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		if full := job.AsError(readErr); readErr != nil && (full.Code == job.CodeDiskFull || full.Code == job.CodeDiskError) {
			err = full
			break
		}
		seen[id] = true
		if readErr != nil {
			s.log.Info("a job of the earlier program cannot be read", "job", id, "err", readErr)
			refused++
			continue
		}
		taken++
	}
	if len(seen) == before {
		return taken, refused, err
	}
	known = known[:0]
	for id := range seen {
		known = append(known, id)
	}
	slices.Sort(known)
	data, encodeErr := json.Marshal(known)
	if encodeErr == nil {
		encodeErr = s.store.SetSetting(context.WithoutCancel(ctx), importKey+dir, string(data))
	}
	return taken, refused, errors.Join(err, encodeErr)
}

func (s *Supervisor) roomToImport() error {
	if free, err := s.cfg.DiskFree(); err == nil && s.cfg.DiskFloor >= 0 && free < s.cfg.DiskFloor {
		return job.Errorf(job.CodeDiskFull, "the disk has less than %d bytes free", s.cfg.DiskFloor)
	}
	return nil
}

// importJob copies one job, by the way that every picture goes.
func (s *Supervisor) importJob(ctx context.Context, f *original.Folder, old original.Job) (err error) {
	id := ImportedID(old.ID)
	if err := s.store.NewFolder(id); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.store.RemoveFiles(id))
		}
	}()
	sub := Submission{Recipe: old.Recipe}
	defer func() { discardAll(sub) }()
	for _, name := range old.Inputs {
		in, err := f.OpenFile(old.ID, name)
		if err != nil {
			return err
		}
		u, err := s.NewUpload(ctx, name, in)
		_ = in.Close()
		if err != nil {
			return err
		}
		sub.Uploads = append(sub.Uploads, u)
	}
	j := job.Job{ID: id, Recipe: old.Recipe, Images: []job.Image{}, Timings: map[string]float64{}, Attempt: 1,
		Steps: old.Recipe.Steps, CreatedAt: old.Created, StartedAt: &old.Created, FinishedAt: &old.Changed,
		Notices: []job.Notice{{Code: "imported", Message: "this edit was made by the program that came before"}}}
	if err := s.placeImages(ctx, &j, sub); err != nil {
		return err
	}
	switch old.Status {
	case "complete":
		j.State, j.Percent, j.Step = job.Succeeded, 100, j.Steps
		if j.Result, err = s.importResult(f, old, id); err != nil {
			return err
		}
	case "error":
		j.State, j.Error = job.Failed, &job.Failure{Code: job.CodeInternal, Message: old.Error, Hint: "try it again here"}
	default:
		j.State, j.Error = job.Failed, &job.Failure{Code: job.CodeWorkerDied, Hint: "try it again here",
			Message: "the program that came before ended while this job ran"}
	}
	recipe, err := json.MarshalIndent(old.Recipe, "", "  ")
	if err == nil {
		err = s.store.WriteFile(id, store.RecipeFile, recipe)
	}
	if err == nil {
		err = s.store.Settle(id)
	}
	if err != nil {
		return err
	}
	if err := s.store.Insert(ctx, &store.Row{Job: j, Seed: drawSeed()}); err != nil {
		return err
	}
	s.store.Keep(id)
	s.showEnded(j)
	return nil
}

func (s *Supervisor) importResult(f *original.Folder, old original.Job, id job.ID) (*job.Result, error) {
	in, err := f.OpenFile(old.ID, old.Output)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	draft, err := s.store.Create(id, store.ResultFile)
	if err != nil {
		return nil, err
	}
	info, _, err := picture.Normalize(in, draft.File, picture.Limits{})
	hash := sha256.New()
	var bytes int64
	if err == nil {
		bytes, err = io.Copy(hash, io.NewSectionReader(draft.File, 0, 1<<62))
	}
	if err != nil {
		draft.Abort()
		return nil, store.DiskError(err)
	}
	r := &job.Result{URL: fmt.Sprintf("/api/v1/jobs/%s/result", id), SHA256: hex.EncodeToString(hash.Sum(nil)), Width: info.Width,
		Height: info.Height, Bytes: bytes, Model: earlierModel}
	if old.Recipe.Seed != nil {
		r.Seed = *old.Recipe.Seed
	}
	return r, draft.Finish()
}

// showEnded puts a job that ended long ago among those that a page gets at once, while there is room.
func (s *Supervisor) showEnded(j job.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.view.ended) >= endedShown {
		return
	}
	s.view.jobs[j.ID] = j
	at, _ := slices.BinarySearchFunc(s.view.ended, *j.FinishedAt, func(id job.ID, t time.Time) int {
		return s.view.jobs[id].FinishedAt.Compare(t)
	})
	s.view.ended = slices.Insert(s.view.ended, at, j.ID)
	s.hub.Publish(event.Event{Type: event.TypeJobChanged, Job: &j})
}

// earlier measures what the earlier program left in the jobs folder; nil is nothing.
func (s *Supervisor) earlier() *EarlierUsage {
	f, err := original.Open(s.store.JobsDir())
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	ids, err := f.IDs()
	if err != nil || len(ids) == 0 {
		return nil
	}
	return &EarlierUsage{Jobs: len(ids), Bytes: f.Size(ids)}
}
