package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"qie/supervisor/folder"
	"qie/supervisor/job"
	"qie/supervisor/picture"
	"qie/supervisor/sched"
	"qie/supervisor/store"
	"qie/supervisor/worker"
)

// verified is what reading the result back gave.
type verified struct {
	Job     job.ID
	Attempt int
	Err     *job.Error
	Notices []job.Notice
	Since   time.Time // when the worker's result reached the loop
	Kept    kept
}

// kept is the file that the job keeps as its result.
type kept struct {
	Bytes     int64
	SHA256    string
	Untouched float64 // part of the pixels, counted only with a mask
}

// verify reads the result back off the loop: nobody is told succeeded before its size and hash are what the worker
// stated and its final name is on the disk. With a mask the result is what Merge makes of it, read back as well.
func (s *Supervisor) verify(e worker.Finished, masked bool) {
	since := time.Now()
	s.parts.Add(1)
	go func() {
		defer s.parts.Done()
		v := verified{Job: e.Job, Attempt: e.Attempt, Since: since}
		dir := s.upkeep.Load().OutputFolder
		kept, err := s.keepResult(e, masked)
		v.Kept = kept
		if masked && kept.Untouched == 1 {
			v.Notices = append(v.Notices, noticeMaskUnchanged)
		}
		if err != nil {
			v.Err = job.AsError(err)
		} else if dir != "" {
			if err := s.copyOut(dir, e.Job); err != nil {
				s.log.Warn("copy into the output folder", "job", e.Job, "err", err)
				v.Notices = append(v.Notices, job.Notice{Code: "output_folder", Message: "the picture could not be copied into " +
					dir + "; it is here nevertheless"})
			}
		}
		s.inbox.put(v)
	}()
}

func (s *Supervisor) keepResult(e worker.Finished, masked bool) (kept, error) {
	name := attemptFile(e.Attempt)
	if filepath.Base(e.Path) != name {
		return kept{}, job.Errorf(job.CodeInternal, "the worker stated a result at an unexpected place")
	}
	k := kept{Bytes: e.Bytes, SHA256: e.SHA256}
	if err := s.readBack(e.Job, name, k); err != nil {
		return kept{}, err
	}
	if masked {
		var err error
		if k, err = s.merge(e.Job, name); err != nil {
			return kept{}, err
		}
		if err := s.readBack(e.Job, name, k); err != nil {
			return kept{}, err
		}
	}
	return k, s.store.Rename(e.Job, name, store.ResultFile)
}

// readBack compares a file with what was stated of it.
func (s *Supervisor) readBack(id job.ID, name string, want kept) error {
	f, err := s.store.OpenFile(id, name)
	if err != nil {
		return job.Errorf(job.CodeInternal, "the worker stated a result that is not there: %w", err)
	}
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return job.Errorf(job.CodeInternal, "the result cannot be read back: %w", err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); n != want.Bytes || sum != want.SHA256 || n == 0 {
		return job.Errorf(job.CodeInternal, "the result is not what was stated: %d bytes instead of %d, or "+
			"another hash", n, want.Bytes)
	}
	return nil
}

// merge puts the source back over the result wherever the mask is black, and replaces the file of the attempt.
func (s *Supervisor) merge(id job.ID, name string) (k kept, err error) {
	var files [3]*os.File
	for i, file := range []string{store.InputFile(1), name, store.MaskFile} {
		f, err := s.store.OpenFile(id, file)
		if err != nil {
			return kept{}, job.Errorf(job.CodeInternal, "%s of the job cannot be read: %w", file, err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	draft, err := s.store.Create(id, name)
	if err != nil {
		return kept{}, err
	}
	hash := sha256.New()
	k.Untouched, err = picture.Merge(picture.Layers{Source: files[0], Result: files[1], Mask: files[2]}, io.MultiWriter(draft.File, hash))
	if err == nil {
		k.Bytes, err = draft.File.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		draft.Abort()
		return kept{}, store.DiskError(err)
	}
	k.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return k, draft.Finish()
}

// copyOut puts a copy of the result where the original program put it. The job does not depend on it.
func (s *Supervisor) copyOut(dir string, id job.ID) error {
	in, err := s.store.OpenFile(id, store.ResultFile)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = folder.Put(dir, string(id)+"_"+store.ResultFile, in)
	return err
}

// finish ends a job whose result was read back.
func (s *Supervisor) finish(row *entry, v verified) {
	if v.Err != nil {
		s.settle(row, sched.AfterError(row.Job.State, row.record(), v.Err, row.lower()), v.Err)
		return
	}
	e := row.result
	s.phaseEnded(row)
	j := &row.Job
	for name, took := range e.Timings {
		j.Timings["worker_"+name] = took
	}
	for _, n := range append(e.Notices, v.Notices...) {
		j.Notices = noticed(j.Notices, n)
	}
	j.Result = &job.Result{URL: fmt.Sprintf("/api/v1/jobs/%s/result", j.ID), SHA256: v.Kept.SHA256, Width: e.Width,
		Height: e.Height, Bytes: v.Kept.Bytes, Seed: e.Seed, Model: row.model, Untouched: v.Kept.Untouched}
	j.Phase, j.Percent, j.Step = "", 100, j.Steps
	// The commit below is this program's cost too; its measure is the one of the last commit, which this cannot hold.
	j.Timings["supervisor_s"] = seconds(row.spent + time.Since(v.Since))
	s.store.RemoveFile(j.ID, store.PreviewFile)
	j.Preview = ""
	s.end(row, job.StepSucceed, nil)
	s.savePaces()
}
