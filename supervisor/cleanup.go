package supervisor

import (
	"context"
	"path/filepath"
	"time"

	"qie/supervisor/job"
	"qie/supervisor/store"
)

// CleanupQuery selects ended jobs to remove. Exactly one of Hours, Job, State and All is set.
type CleanupQuery struct {
	Hours float64 // ended longer ago
	Job   job.ID
	State job.State
	All   bool
	// Originals removes also the untouched uploads of these jobs; else they are kept in a folder of their own. With
	// All it removes those too that were kept before.
	Originals bool
	DryRun    bool
}

// CleanupReport tells what was removed, or would be.
type CleanupReport struct {
	Jobs      []RemovedJob `json:"jobs" nullable:"false"`
	Bytes     int64        `json:"bytes" doc:"of all files that went, to the byte"`
	Originals int          `json:"originals" doc:"files of untouched uploads that went"`
	DryRun    bool         `json:"dry_run"`
}

// RemovedJob is one job of a report.
type RemovedJob struct {
	ID     job.ID    `json:"id"`
	State  job.State `json:"state"`
	Prompt string    `json:"prompt"`
	Bytes  int64     `json:"bytes"`
}

// Storage is what jobs take on the disk, to the byte.
type Storage struct {
	Folder    string        `json:"folder"`
	Bytes     int64         `json:"bytes" doc:"of all jobs and kept originals"`
	States    []StateUsage  `json:"states" nullable:"false" doc:"those that have jobs"`
	Originals FolderUsage   `json:"originals" doc:"untouched uploads of removed jobs"`
	Earlier   *EarlierUsage `json:"earlier,omitempty" doc:"jobs of the program that came before, in the same folder; qie never changes them"`
	KeepJobs  int           `json:"keep_jobs" doc:"ended jobs that are kept; 0 is all"`
	KeepBytes int64         `json:"keep_bytes" doc:"bytes that ended jobs may take; 0 is no limit"`
	Jobs      []StoredUsage `json:"jobs,omitempty" doc:"newest first; only when asked for"`
}

// StateUsage is what the jobs of one state take.
type StateUsage struct {
	State job.State `json:"state"`
	Jobs  int       `json:"jobs"`
	Bytes int64     `json:"bytes"`
}

// FolderUsage is what a folder takes.
type FolderUsage struct {
	Folder string `json:"folder"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// EarlierUsage is what the earlier program left in the jobs folder.
type EarlierUsage struct {
	Jobs  int   `json:"jobs"`
	Bytes int64 `json:"bytes"`
}

// StoredUsage is what one job takes.
type StoredUsage struct {
	ID        job.ID    `json:"id"`
	State     job.State `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	Prompt    string    `json:"prompt"`
	Bytes     int64     `json:"bytes"`
}

// Storage measures what jobs take; each adds the list of them.
func (s *Supervisor) Storage(ctx context.Context, each bool) (Storage, error) {
	keep := *s.upkeep.Load()
	v := Storage{Folder: s.store.JobsDir(), States: []StateUsage{}, KeepJobs: keep.KeepJobs, KeepBytes: keep.KeepBytes}
	rows, err := s.store.Every(ctx)
	if err != nil {
		return v, err
	}
	sums := map[job.State]*StateUsage{}
	for _, row := range rows {
		j := row.Job
		s.mu.Lock()
		if live, ok := s.view.jobs[j.ID]; ok {
			j = live
		}
		s.mu.Unlock()
		bytes := s.store.Bytes(j.ID)
		if sums[j.State] == nil {
			sums[j.State] = &StateUsage{State: j.State}
		}
		sums[j.State].Jobs++
		sums[j.State].Bytes += bytes
		v.Bytes += bytes
		if each {
			v.Jobs = append(v.Jobs, StoredUsage{j.ID, j.State, j.CreatedAt, j.Recipe.Prompt, bytes})
		}
	}
	for _, state := range job.States {
		if sum := sums[state]; sum != nil {
			v.States = append(v.States, *sum)
		}
	}
	v.Originals.Folder = filepath.Join(v.Folder, store.OriginalsDir)
	v.Originals.Bytes, v.Originals.Files = s.store.Kept()
	v.Bytes += v.Originals.Bytes
	v.Earlier = s.earlier()
	return v, nil
}

// Cleanup removes ended jobs with what was made for them, or tells what it would remove. A job that waits or runs is
// never touched.
func (s *Supervisor) Cleanup(ctx context.Context, q CleanupQuery) (CleanupReport, error) {
	report := CleanupReport{Jobs: []RemovedJob{}, DryRun: q.DryRun}
	rows, err := s.cleanupRows(ctx, q)
	if err != nil {
		return report, err
	}
	kept := map[string]bool{} // by this clean-up, for a dry run to count as the real one
	for _, row := range rows {
		removed, originals, err := s.cleanupJob(ctx, row.Job, q, kept, nil)
		if err != nil {
			if q.Job == "" && gone(err) {
				continue // somebody removed it meanwhile, or asked for another try
			}
			return report, err
		}
		report.Jobs = append(report.Jobs, removed)
		report.Bytes += removed.Bytes
		report.Originals += originals
	}
	if q.All && q.Originals {
		bytes, files := s.store.Kept()
		if !q.DryRun {
			if err := s.store.RemoveKept(); err != nil {
				return report, err
			}
		}
		report.Bytes += bytes
		report.Originals += files
	}
	return report, nil
}

// gone tells whether a job is not an ended one any more.
func gone(err error) bool {
	code := job.AsError(err).Code
	return code == job.CodeNotFound || code == job.CodeConflict
}

// cleanupJob removes one ended job and counts the bytes that went. still, where there is one, refuses a job that is
// another one by now than it was when it was chosen; it runs in the loop, where marks are set as well.
func (s *Supervisor) cleanupJob(ctx context.Context, j job.Job, q CleanupQuery, kept map[string]bool, still func(job.Job) error) (RemovedJob, int, error) {
	removed := RemovedJob{ID: j.ID, State: j.State, Prompt: j.Recipe.Prompt, Bytes: s.store.Bytes(j.ID)}
	found := s.store.Originals(j.ID, originals(j))
	if !q.Originals {
		for _, o := range found {
			there, err := s.store.HasOriginal(o)
			if err != nil {
				return removed, 0, err
			}
			if !there && !kept[o.Name] {
				removed.Bytes -= o.Bytes // it stays, under another name
			}
			kept[o.Name] = true
			if q.DryRun {
				continue
			}
			if err := s.store.KeepOriginal(j.ID, o); err != nil {
				return removed, 0, err
			}
		}
		found = nil
	}
	if q.DryRun {
		return removed, len(found), nil
	}
	return removed, len(found), s.remove(ctx, j.ID, func(row *entry) error {
		if row != nil {
			return job.Errorf(job.CodeConflict, "job %s is %s; cancel it first", j.ID, row.Job.State)
		}
		if still == nil {
			return nil
		}
		now, err := s.store.Row(ctx, j.ID)
		if err != nil {
			return err
		}
		return still(now.Job)
	})
}

func (s *Supervisor) cleanupRows(ctx context.Context, q CleanupQuery) ([]store.Row, error) {
	chosen := 0
	for _, given := range []bool{q.Hours != 0, q.Job != "", q.State != "", q.All} {
		if given {
			chosen++
		}
	}
	now := s.cfg.Now()
	switch {
	case chosen != 1 || q.Hours < 0:
		return nil, job.Errorf(job.CodeInputBad, "a clean-up needs one of: hours above 0, a job, a state, all")
	case q.Job != "":
		row, err := s.store.Row(ctx, q.Job)
		if err == nil && !row.Job.State.Terminal() {
			err = job.Errorf(job.CodeConflict, "job %s is %s; cancel it first", q.Job, row.Job.State)
		}
		return []store.Row{row}, err
	case q.State != "" && !q.State.Terminal():
		return nil, job.Errorf(job.CodeInputBad, "state %q is not succeeded, failed or canceled", q.State)
	case q.State != "":
		return s.store.Ended(ctx, now, q.State)
	case q.All:
		return s.store.Ended(ctx, now, "")
	}
	return s.store.Ended(ctx, now.Add(-time.Duration(q.Hours*float64(time.Hour))), "")
}
