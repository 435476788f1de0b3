package supervisor

import (
	"context"

	"qie/supervisor/job"
)

// CleanupSeen removes a job that a clean-up saw as ended a moment ago.
func (s *Supervisor) CleanupSeen(ctx context.Context, j job.Job) error {
	_, _, err := s.cleanupJob(ctx, j, CleanupQuery{}, map[string]bool{}, nil)
	return err
}

// ChooseAgain looks which model the settings choose, as after one has come.
func (s *Supervisor) ChooseAgain() { s.chooseAgain() }

// LoseRow takes the row of a job away and nothing else.
func (s *Supervisor) LoseRow(ctx context.Context, id job.ID) error {
	_, err := s.store.Delete(ctx, id)
	return err
}

// RetireSeen removes a job that the retention chose a moment ago.
func (s *Supervisor) RetireSeen(ctx context.Context, j job.Job) error {
	return s.retire(ctx, j, map[string]bool{})
}

// DiscardSeen removes a job that was seen in the trash a moment ago.
func (s *Supervisor) DiscardSeen(ctx context.Context, j job.Job) error {
	return s.discardTrashed(ctx, j, map[string]bool{})
}
