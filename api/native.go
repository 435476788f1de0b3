package api

import (
	"context"

	"qie/supervisor"
	"qie/supervisor/doctor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/store"
)

type body[T any] struct{ Body T }

type empty struct{}

type idInput struct {
	ID string `path:"id" maxLength:"64" doc:"of the job"`
}

func (in idInput) job() (job.ID, error) {
	id := job.ID(in.ID)
	if !id.Valid() {
		return "", problemOf(errNoJob)
	}
	return id, nil
}

// answer makes a typed problem of whatever went wrong; huma writes it.
func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, problemOf(err)
	}
	return &body[T]{v}, nil
}

func done(err error) (*empty, error) {
	if err != nil {
		return nil, problemOf(err)
	}
	return &empty{}, nil
}

// Health is the answer of /healthz.
type Health struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

func (s *server) healthz(context.Context, *empty) (*body[Health], error) {
	return answer(Health{"ok", s.Version}, nil)
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready   bool         `json:"ready"`
	Reasons []job.Notice `json:"reasons" nullable:"false"`
}

type readyOutput struct {
	Status int
	Body   Readiness
}

func (s *server) readyz(context.Context, *empty) (*readyOutput, error) {
	reasons := s.sup.Ready()
	if len(reasons) > 0 {
		return &readyOutput{503, Readiness{false, reasons}}, nil
	}
	return &readyOutput{200, Readiness{true, []job.Notice{}}}, nil
}

func (s *server) system(context.Context, *empty) (*body[supervisor.System], error) {
	return answer(s.sup.System(), nil)
}

func (s *server) state(context.Context, *empty) (*body[event.State], error) {
	return answer(s.sup.State(), nil)
}

// JobPage is one answer of the list.
type JobPage struct {
	Jobs []job.Job `json:"jobs" nullable:"false"`
	Next string    `json:"next,omitempty" doc:"cursor of the following page; absent at the end"`
}

type listInput struct {
	State  string `query:"state" enum:"queued,dispatched,running,canceling,succeeded,failed,canceled,interrupted"`
	Q      string `query:"q" maxLength:"200" doc:"part of the prompt"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next of the page before"`
}

func (s *server) listJobs(ctx context.Context, in *listInput) (*body[JobPage], error) {
	page, err := s.sup.Jobs(ctx, store.Query{State: job.State(in.State), Text: in.Q, Limit: in.Limit, Cursor: in.Cursor})
	if page.Jobs == nil {
		page.Jobs = []job.Job{}
	}
	return answer(JobPage{page.Jobs, page.Next}, err)
}

func (s *server) getJob(ctx context.Context, in *idInput) (*body[job.Job], error) {
	id, err := in.job()
	if err != nil {
		return nil, err
	}
	return answer(s.sup.Job(ctx, id))
}

func (s *server) removeJob(ctx context.Context, in *idInput) (*empty, error) {
	id, err := in.job()
	if err != nil {
		return nil, err
	}
	return done(s.sup.Remove(ctx, id))
}

func (s *server) cancelJob(ctx context.Context, in *idInput) (*body[job.Job], error) {
	id, err := in.job()
	if err != nil {
		return nil, err
	}
	return answer(s.sup.Cancel(ctx, id))
}

func (s *server) retryJob(ctx context.Context, in *idInput) (*body[job.Job], error) {
	id, err := in.job()
	if err != nil {
		return nil, err
	}
	return answer(s.sup.Retry(ctx, id))
}

type moveInput struct {
	ID   string `path:"id" maxLength:"64" doc:"of the job"`
	Body *struct {
		Before string `json:"before,omitempty" maxLength:"64" doc:"id of the waiting job that it shall stand in front of; absent: the front of the line"`
	}
}

func (s *server) moveJob(ctx context.Context, in *moveInput) (*body[job.Job], error) {
	id, before := job.ID(in.ID), job.ID("")
	if in.Body != nil {
		before = job.ID(in.Body.Before)
	}
	if !id.Valid() || before != "" && !before.Valid() {
		return nil, problemOf(errNoJob)
	}
	return answer(s.sup.Move(ctx, id, before))
}

func (s *server) duplicateJob(ctx context.Context, in *idInput) (*body[job.Job], error) {
	id, err := in.job()
	if err != nil {
		return nil, err
	}
	return answer(s.sup.Duplicate(ctx, id))
}

type pauseInput struct {
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"200" doc:"in words, for whoever looks at the queue"`
	}
}

func (s *server) pauseQueue(ctx context.Context, in *pauseInput) (*body[event.Queue], error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return answer(s.sup.Pause(ctx, reason))
}

func (s *server) resumeQueue(ctx context.Context, _ *empty) (*body[event.Queue], error) {
	return answer(s.sup.Resume(ctx))
}

// ModelInfo is one line of the catalogue.
type ModelInfo struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Licence   string  `json:"licence"`
	Notice    string  `json:"notice,omitempty"`
	Bytes     int64   `json:"bytes"`
	MaxImages int     `json:"max_images"`
	Steps     int     `json:"default_steps"`
	CFG       float64 `json:"default_true_cfg_scale"`
	Installed bool    `json:"installed"`
	Selected  bool    `json:"selected"`

	Presets []event.PresetView `json:"presets" nullable:"false" doc:"the quickest first"`
	LoRAs   []event.LoRAView   `json:"loras" nullable:"false"`
}

// ModelList is the catalogue.
type ModelList struct {
	Models []ModelInfo `json:"models" nullable:"false"`
}

func (s *server) info(m model.Spec) ModelInfo {
	return ModelInfo{ID: m.ID, Name: m.Name, Licence: m.Licence, Notice: m.Notice, Bytes: m.Bytes, MaxImages: m.MaxImages,
		Steps: m.DefaultSteps, CFG: m.DefaultCFG, Installed: m.Dir != "", Selected: m.ID == s.sup.Model().ID,
		Presets: supervisor.PresetViews(m), LoRAs: supervisor.LoRAViews(m)}
}

func (s *server) listModels(context.Context, *empty) (*body[ModelList], error) {
	list := ModelList{Models: []ModelInfo{}}
	for _, m := range s.sup.Models() {
		list.Models = append(list.Models, s.info(m))
	}
	return answer(list, nil)
}

type modelInput struct {
	ID string `path:"id" maxLength:"200"`
}

func (s *server) pullModel(_ context.Context, in *modelInput) (*body[ModelInfo], error) {
	for _, m := range s.sup.Models() {
		if m.ID == in.ID { // it is here: nothing to do
			return answer(s.info(m), nil)
		}
	}
	return nil, problemOf(job.Errorf(job.CodeUnknownModel, "qie knows no model %q", in.ID))
}

func (s *server) pauseModel(_ context.Context, in *modelInput) (*empty, error) {
	for _, m := range s.sup.Models() {
		if m.ID == in.ID {
			return nil, problemOf(job.Errorf(job.CodeConflict, "no download of %q is running", in.ID))
		}
	}
	return nil, problemOf(job.Errorf(job.CodeUnknownModel, "qie knows no model %q", in.ID))
}

func (s *server) doctor(ctx context.Context, _ *empty) (*body[doctor.Diagnosis], error) {
	if s.Doctor == nil {
		return nil, problemOf(errNotReady)
	}
	return answer(s.Doctor(ctx), nil)
}

func (s *server) restartWorker(ctx context.Context, _ *empty) (*empty, error) {
	return done(s.sup.RestartWorker(ctx))
}

func (s *server) unloadWorker(ctx context.Context, _ *empty) (*empty, error) {
	return done(s.sup.UnloadWorker(ctx))
}
