package supervisor

import (
	"context"

	"qie/supervisor/job"
)

// CleanupSeen removes a job that a clean-up saw as ended a moment ago.
func (s *Supervisor) CleanupSeen(ctx context.Context, j job.Job) error {
	_, _, err := s.cleanupJob(ctx, j, CleanupQuery{}, map[string]bool{})
	return err
}
