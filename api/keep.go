package api

import (
	"context"

	"qie/supervisor"
	"qie/supervisor/config"
	"qie/supervisor/job"
)

type storageInput struct {
	Each bool `query:"each" doc:"also every job with its size"`
}

func (s *server) storage(ctx context.Context, in *storageInput) (*body[supervisor.Storage], error) {
	return answer(s.sup.Storage(ctx, in.Each))
}

// CleanupRequest selects what goes: one of hours, job, state and all.
type CleanupRequest struct {
	Hours     float64   `json:"hours,omitempty" minimum:"0" maximum:"1000000" doc:"jobs that ended more than this many hours ago"`
	Job       job.ID    `json:"job,omitempty" maxLength:"64"`
	State     job.State `json:"state,omitempty" enum:"succeeded,failed,canceled"`
	All       bool      `json:"all,omitempty" doc:"every job that has ended"`
	Originals bool      `json:"originals,omitempty" doc:"also the untouched uploads; else they are kept"`
	DryRun    bool      `json:"dry_run,omitempty" doc:"only tell"`
}

type cleanupInput struct{ Body CleanupRequest }

func (s *server) cleanup(ctx context.Context, in *cleanupInput) (*body[supervisor.CleanupReport], error) {
	b := in.Body
	if b.Job != "" && !b.Job.Valid() {
		return nil, problemOf(errNoJob)
	}
	return answer(s.sup.Cleanup(ctx, supervisor.CleanupQuery{Hours: b.Hours, Job: b.Job, State: b.State, All: b.All,
		Originals: b.Originals, DryRun: b.DryRun}))
}

func (s *server) settings(context.Context, *empty) (*body[config.View], error) {
	return answer(s.Settings.View(), nil)
}
