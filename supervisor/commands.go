package supervisor

import (
	"context"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

// Cancel asks a job to stop. A queued job ends at once, a running one when the worker has stopped; twice is once, and
// a job that has ended stays as it is.
func (s *Supervisor) Cancel(ctx context.Context, id job.ID) (job.Job, error) {
	err := s.ask(ctx, func() {
		row := s.rows[id]
		if row == nil || row.Job.State == job.Canceling {
			return
		}
		if row.Job.State == job.Queued {
			s.end(row, job.StepCancel, nil)
			return
		}
		if !s.step(row, job.StepCancel, row.attempt) {
			return
		}
		if row.result != nil {
			return // the result landed first: it is being verified, and it is the end
		}
		// A worker that does not hold the job any more has told its end already; it waits in the inbox.
		if w := s.worker.Load(); w != nil {
			if err := w.Cancel(s.ctx, id); err != nil {
				s.log.Debug("cancel", "job", id, "err", err)
			}
		}
	})
	if err != nil {
		return job.Job{}, err
	}
	return s.Job(ctx, id)
}

// Retry queues a failed or canceled job again, behind everybody. A job that waits or runs is answered as it is.
func (s *Supervisor) Retry(ctx context.Context, id job.ID) (job.Job, error) {
	var refused error
	err := s.ask(ctx, func() {
		if s.rows[id] != nil {
			return
		}
		if refused = s.written(id); refused != nil {
			return
		}
		row, err := s.store.Row(ctx, id)
		if err != nil {
			refused = err
			return
		}
		if row.Job.State == job.Succeeded {
			refused = job.Errorf(job.CodeConflict, "job %s has succeeded; send the edit again for another picture", id)
			return
		}
		if row.Job.TrashedAt != nil {
			refused = job.Errorf(job.CodeConflict, "job %s is in the trash; restore it first", id)
			return
		}
		if refused = s.reserve(); refused != nil {
			return
		}
		if row.Order, err = s.store.LastOrder(ctx); err != nil {
			s.pending.Add(-1)
			refused = err
			return
		}
		row.Deaths, row.Errors = 0, 0
		j := &row.Job
		j.Error, j.FinishedAt, j.StartedAt, j.ETA, j.Preview = nil, nil, nil, nil, ""
		j.Phase, j.Percent, j.Step, j.Timings, j.Notices = "", 0, 0, map[string]float64{}, []job.Notice{}
		// Durable before the answer, as a submit is.
		if j.State, refused = job.Next(j.State, job.StepRetry); refused == nil {
			refused = s.store.Record(ctx, row, nil)
		}
		if refused != nil {
			s.pending.Add(-1)
			return
		}
		e := &entry{Row: row, ready: time.Now()}
		s.rows[id] = e
		s.mu.Lock()
		for i, ended := range s.view.ended {
			if ended == id {
				s.view.ended = append(s.view.ended[:i:i], s.view.ended[i+1:]...)
				break
			}
		}
		s.mu.Unlock()
		s.publish(e)
	})
	if err != nil {
		return job.Job{}, err
	}
	if refused != nil {
		return job.Job{}, refused
	}
	return s.Job(ctx, id)
}

// Remove deletes a job with its files. A queued job leaves the queue; an active one is refused.
func (s *Supervisor) Remove(ctx context.Context, id job.ID) error {
	return s.remove(ctx, id, func(row *entry) error {
		if row != nil && row.Job.State.Active() {
			return job.Errorf(job.CodeConflict, "job %s is %s; cancel it first", id, row.Job.State)
		}
		return nil
	})
}

// remove deletes a job unless allowed refuses it; allowed runs in the loop, with nil for a job that has ended.
func (s *Supervisor) remove(ctx context.Context, id job.ID, allowed func(*entry) error) error {
	var refused error
	err := s.ask(ctx, func() {
		row := s.rows[id]
		if refused = allowed(row); refused != nil {
			return
		}
		parent, err := s.store.Delete(ctx, id)
		if refused = err; refused != nil {
			return
		}
		// The job is gone with its row, whatever becomes of its files.
		if err := s.store.RemoveFiles(id); err != nil {
			s.log.Error("files of a removed job are left until the next start", "job", id, "err", err)
		}
		delete(s.queue.late, id)
		if row != nil {
			s.forget(row)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hide(id)
		s.hub.Publish(event.Event{Type: event.TypeJobRemoved, ID: id})
		s.adopted(id, parent)
	})
	if err != nil {
		return err
	}
	return refused
}

// reserve takes a place in the queue.
func (s *Supervisor) reserve() error {
	if n := s.pending.Add(1); n > int64(s.cfg.QueueMax) {
		s.pending.Add(-1)
		return job.Errorf(job.CodeQueueFull, "the queue is full: %d jobs wait or run", s.cfg.QueueMax).
			WithHint("try again when one has ended, or cancel one")
	}
	return nil
}
