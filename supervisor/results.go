package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"qie/supervisor/folder"
	"qie/supervisor/job"
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
}

// verify reads the result back off the loop: nobody is told succeeded before its size and hash are what the worker
// stated and its final name is on the disk.
func (s *Supervisor) verify(e worker.Finished) {
	since := time.Now()
	s.parts.Add(1)
	go func() {
		defer s.parts.Done()
		v := verified{Job: e.Job, Attempt: e.Attempt, Since: since}
		dir := s.upkeep.Load().OutputFolder
		if err := s.checkResult(e); err != nil {
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

func (s *Supervisor) checkResult(e worker.Finished) error {
	name := attemptFile(e.Attempt)
	if filepath.Base(e.Path) != name {
		return job.Errorf(job.CodeInternal, "the worker stated a result at an unexpected place")
	}
	f, err := s.store.OpenFile(e.Job, name)
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
	if sum := hex.EncodeToString(hash.Sum(nil)); n != e.Bytes || sum != e.SHA256 || n == 0 {
		return job.Errorf(job.CodeInternal, "the result is not what the worker stated: %d bytes instead of %d, or "+
			"another hash", n, e.Bytes)
	}
	return s.store.Rename(e.Job, name, store.ResultFile)
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
	j.Result = &job.Result{URL: fmt.Sprintf("/api/v1/jobs/%s/result", j.ID), SHA256: e.SHA256, Width: e.Width,
		Height: e.Height, Bytes: e.Bytes, Seed: e.Seed, Model: row.model}
	j.Phase, j.Percent, j.Step = "", 100, j.Steps
	// The commit below is this program's cost too; its measure is the one of the last commit, which this cannot hold.
	j.Timings["supervisor_s"] = seconds(row.spent + time.Since(v.Since))
	s.store.RemoveFile(j.ID, store.PreviewFile)
	j.Preview = ""
	s.end(row, job.StepSucceed, nil)
	s.savePaces()
}
