package supervisor

import (
	"context"
	"slices"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/store"
)

// TrashFor is how long a job stays in the trash before it is removed for good.
const TrashFor = 30 * 24 * time.Hour

// Mark stars a job, or puts it into the trash and takes it out again; nil leaves it as it is. Twice is once. A job that
// waits or runs cannot go into the trash.
func (s *Supervisor) Mark(ctx context.Context, id job.ID, m store.Mark) (job.Job, error) {
	var marked job.Job
	var refused error
	err := s.ask(ctx, func() {
		row := s.rows[id]
		if m.Trashed != nil && *m.Trashed && row != nil {
			refused = job.Errorf(job.CodeConflict, "job %s is %s; cancel it first", id, row.Job.State)
			return
		}
		if refused = s.written(id); refused != nil {
			return
		}
		stored, err := s.store.Mark(ctx, id, m, s.cfg.Now())
		if err != nil {
			refused = err
			return
		}
		if row != nil {
			row.Job.Starred = stored.Job.Starred
			stored.Job = row.Job
		}
		marked = s.showMarked(stored.Job)
	})
	if err != nil {
		return job.Job{}, err
	}
	return marked, refused
}

// showMarked tells everybody. One in the trash is gone for the pages; one that comes back is there again.
func (s *Supervisor) showMarked(j job.Job) job.Job {
	j.Timings = cloned(j.Timings)
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.TrashedAt != nil {
		s.hide(j.ID)
		s.hub.Publish(event.Event{Type: event.TypeJobRemoved, ID: j.ID})
		return j
	}
	if _, known := s.view.jobs[j.ID]; known {
		s.view.jobs[j.ID] = j
	}
	shown := s.positioned(j)
	s.hub.Publish(event.Event{Type: event.TypeJobChanged, Job: &shown})
	return shown
}

// hide takes a job out of what a page sees. The caller holds mu.
func (s *Supervisor) hide(id job.ID) {
	delete(s.view.jobs, id)
	if i := slices.Index(s.view.ended, id); i >= 0 {
		s.view.ended = slices.Delete(slices.Clone(s.view.ended), i, i+1)
	}
}

// adopted hangs the edits of a removed job on its parent, as the store has done. The caller holds mu.
func (s *Supervisor) adopted(gone, parent job.ID) {
	for _, row := range s.rows {
		if row.Job.Parent == gone {
			row.Job.Parent = parent
		}
	}
	for id, j := range s.view.jobs {
		if j.Parent != gone {
			continue
		}
		j.Parent = parent
		s.view.jobs[id] = j
		shown := s.positioned(j)
		s.hub.Publish(event.Event{Type: event.TypeJobChanged, Job: &shown})
	}
}
