package supervisor

import (
	"context"
	"fmt"
	"time"

	"qie/supervisor/folder"
	"qie/supervisor/job"
)

// SetUpkeep changes what may change while the supervisor runs.
func (s *Supervisor) SetUpkeep(u Upkeep) {
	s.upkeep.Store(&u)
	if u.OutputFolder != "" {
		folder.Sweep(u.OutputFolder)
	}
	s.tidy()
}

// tidy wakes the retention; it waits for nothing.
func (s *Supervisor) tidy() {
	select {
	case s.tidied <- struct{}{}:
	default:
	}
}

// past is an ended job with what it takes.
type past struct {
	id    job.ID
	ended time.Time
	bytes int64
	star  bool
}

// excess gives the jobs that are more than is kept, of a list with the oldest first. The newest always stays: a person
// may be looking at it. So does what has a star, and others go instead.
func excess(list []past, u Upkeep) []job.ID {
	var total int64
	for _, p := range list {
		total += p.bytes
	}
	var ids []job.ID
	left := len(list)
	for i, p := range list {
		many := u.KeepJobs > 0 && left > u.KeepJobs
		large := u.KeepBytes > 0 && total > u.KeepBytes
		if i == len(list)-1 || !many && !large {
			break
		}
		if p.star {
			continue
		}
		ids = append(ids, p.id)
		total -= p.bytes
		left--
	}
	return ids
}

// retention removes the oldest ended jobs when there are more than the settings keep. Originals stay.
func (s *Supervisor) retention() {
	defer s.parts.Done()
	known, removed := map[job.ID]past{}, 0
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.tidied:
		}
		u := *s.upkeep.Load()
		if err := s.emptyTrash(); err != nil && s.ctx.Err() == nil {
			s.log.Warn("empty the trash", "err", err)
		}
		if s.cfg.NoRetention || u.KeepJobs == 0 && u.KeepBytes == 0 {
			continue
		}
		n, err := s.retain(u, known)
		if err != nil && s.ctx.Err() == nil {
			s.log.Warn("remove the oldest jobs", "err", err)
		}
		if removed += n; n > 0 {
			s.log.Info("the oldest jobs were removed", "count", n)
			s.Notice(job.Notice{Code: "retention", Message: fmt.Sprintf("%d of the oldest jobs were removed, because QIE_KEEP_JOBS "+
				"is %d and QIE_KEEP_GB is %g; their original photos are kept", removed, u.KeepJobs, float64(u.KeepBytes)/1e9)})
		}
	}
}

// retain does it once. known remembers sizes: what has ended does not change, unless it is tried again.
func (s *Supervisor) retain(u Upkeep, known map[job.ID]past) (removed int, err error) {
	endings, err := s.store.Endings(s.ctx)
	if err != nil {
		return 0, err
	}
	list := make([]past, 0, len(endings))
	fresh := map[job.ID]past{}
	for _, e := range endings {
		p, ok := known[e.ID]
		if !ok || !p.ended.Equal(e.Ended) {
			p = past{id: e.ID, ended: e.Ended, bytes: s.store.Bytes(e.ID)}
		}
		p.star = e.Starred
		fresh[e.ID] = p
		list = append(list, p)
	}
	clear(known)
	for id, p := range fresh {
		known[id] = p
	}
	kept := map[string]bool{}
	for _, id := range excess(list, u) {
		row, err := s.store.Row(s.ctx, id)
		if err == nil {
			err = s.retire(s.ctx, row.Job, kept)
		}
		switch {
		case err == nil:
			removed++
		case gone(err):
			s.tidy() // it stays, so another one may have to go
		default:
			return removed, err
		}
	}
	return removed, nil
}

// retire removes one ended job to make room, unless it has got a star since it was chosen.
func (s *Supervisor) retire(ctx context.Context, j job.Job, kept map[string]bool) error {
	_, _, err := s.cleanupJob(ctx, j, CleanupQuery{}, kept, func(now job.Job) error {
		if now.Starred {
			return job.Errorf(job.CodeConflict, "job %s has a star", now.ID)
		}
		return nil
	})
	return err
}

// emptyTrash removes for good what has been in the trash for long. Originals stay.
func (s *Supervisor) emptyTrash() error {
	rows, err := s.store.TrashedBefore(s.ctx, s.cfg.Now().Add(-TrashFor))
	kept := map[string]bool{}
	for _, row := range rows {
		if err := s.discardTrashed(s.ctx, row.Job, kept); err != nil && !gone(err) {
			return err
		}
	}
	return err
}

// discardTrashed removes one job of the trash, unless it has been restored since it was read, or put there anew.
func (s *Supervisor) discardTrashed(ctx context.Context, j job.Job, kept map[string]bool) error {
	_, _, err := s.cleanupJob(ctx, j, CleanupQuery{}, kept, func(now job.Job) error {
		if now.TrashedAt == nil || j.TrashedAt == nil || !now.TrashedAt.Equal(*j.TrashedAt) {
			return job.Errorf(job.CodeConflict, "job %s was restored", now.ID)
		}
		return nil
	})
	return err
}
