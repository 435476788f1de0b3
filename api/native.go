package api

import (
	"context"

	"qie/supervisor"
	"qie/supervisor/catalog"
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
	Q      string `query:"q" maxLength:"200" doc:"words of the prompt, in any case and order"`
	Photo  string `query:"photo" maxLength:"64" doc:"sha256 of the photo that the tree of edits began with: the whole tree"`
	Parent string `query:"parent" maxLength:"64" doc:"job whose edits are meant"`
	Star   bool   `query:"starred" doc:"only those with a star"`
	Trash  bool   `query:"trashed" doc:"those in the trash, instead of those that are not"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next of the page before"`
}

func (s *server) listJobs(ctx context.Context, in *listInput) (*body[JobPage], error) {
	page, err := s.sup.Jobs(ctx, store.Query{State: job.State(in.State), Text: in.Q, Photo: in.Photo, Parent: job.ID(in.Parent),
		Starred: in.Star, Trashed: in.Trash, Limit: in.Limit, Cursor: in.Cursor})
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

type duplicateInput struct {
	ID   string `path:"id" maxLength:"64" doc:"of the job"`
	Body *struct {
		OtherSeed bool `json:"other_seed,omitempty" doc:"draw another seed: a variation"`
	}
}

func (s *server) duplicateJob(ctx context.Context, in *duplicateInput) (*body[job.Job], error) {
	id, err := idInput{in.ID}.job()
	if err != nil {
		return nil, err
	}
	return answer(s.sup.Duplicate(ctx, id, in.Body != nil && in.Body.OtherSeed))
}

type markInput struct {
	ID   string `path:"id" maxLength:"64" doc:"of the job"`
	Body struct {
		Starred *bool `json:"starred,omitempty" doc:"absent: as it is"`
		Trashed *bool `json:"trashed,omitempty" doc:"absent: as it is; what waits or runs cannot be put into the trash"`
	}
}

func (s *server) markJob(ctx context.Context, in *markInput) (*body[job.Job], error) {
	id, err := idInput{in.ID}.job()
	if err != nil {
		return nil, err
	}
	return answer(s.sup.Mark(ctx, id, store.Mark{Starred: in.Body.Starred, Trashed: in.Body.Trashed}))
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
	Next      bool    `json:"next,omitempty" doc:"the settings choose it by now: the next start or a restart of the worker serves it"`

	Presets []event.PresetView `json:"presets" nullable:"false" doc:"the quickest first"`
	LoRAs   []event.LoRAView   `json:"loras" nullable:"false"`
	Fit     catalog.Fit        `json:"fit"`
}

// CatalogueEntry is one thing that can be fetched, with what is here of it.
type CatalogueEntry struct {
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Kind       string              `json:"kind" enum:"model,lora,gguf"`
	Repository string              `json:"repository"`
	Commit     string              `json:"commit,omitempty" doc:"pinned; absent until the hub has named one"`
	Licence    string              `json:"licence"`
	Note       string              `json:"note,omitempty"`
	Bytes      int64               `json:"bytes" doc:"to fetch in all, about"`
	Base       string              `json:"base,omitempty" doc:"id of the model that it belongs to"`
	Known      bool                `json:"known" doc:"qie itself knows commit and hashes of all weights; else the hub's word at the first pull is pinned"`
	Default    bool                `json:"default" doc:"what qie pull fetches without a name"`
	Complete   bool                `json:"complete" doc:"every file is here, and was hashed"`
	Fit        catalog.Fit         `json:"fit"`
	Progress   event.ModelProgress `json:"progress" doc:"its state is absent before the first pull"`
}

// ModelList is what is here and what can be fetched.
type ModelList struct {
	Models    []ModelInfo      `json:"models" nullable:"false" doc:"on this machine, the selected one first"`
	Catalogue []CatalogueEntry `json:"catalogue" nullable:"false" doc:"what can be fetched, the recommended first"`
}

func entryInfo(f supervisor.Fetchable) CatalogueEntry {
	return CatalogueEntry{ID: f.ID, Name: f.Name, Kind: string(f.Kind), Repository: f.Repository, Commit: f.Commit, Licence: f.Licence,
		Note: f.Note, Bytes: f.Bytes, Base: f.Base, Known: f.Known(), Default: f.ID == catalog.DefaultID, Complete: f.Complete, Fit: f.Fit,
		Progress: f.Progress}
}

func (s *server) info(m model.Spec) ModelInfo {
	return ModelInfo{ID: m.ID, Name: m.Name, Licence: m.Licence, Notice: m.Notice, Bytes: m.Bytes, MaxImages: m.MaxImages,
		Steps: m.DefaultSteps, CFG: m.DefaultCFG, Installed: m.Dir != "", Selected: m.ID == s.sup.Model().ID, Next: m.ID == s.sup.NextModel().ID,
		Presets: supervisor.PresetViews(m), LoRAs: supervisor.LoRAViews(m), Fit: s.sup.FitOf(m)}
}

func (s *server) listModels(context.Context, *empty) (*body[ModelList], error) {
	list := ModelList{Models: []ModelInfo{}, Catalogue: []CatalogueEntry{}}
	for _, m := range s.sup.Models() {
		list.Models = append(list.Models, s.info(m))
	}
	for _, f := range s.sup.Catalogue() {
		list.Catalogue = append(list.Catalogue, entryInfo(f))
	}
	return answer(list, nil)
}

type modelInput struct {
	ID string `path:"id" maxLength:"200"`
}

func (s *server) pullModel(ctx context.Context, in *modelInput) (*body[event.ModelProgress], error) {
	return answer(s.sup.Pull(ctx, in.ID))
}

func (s *server) pauseModel(ctx context.Context, in *modelInput) (*empty, error) {
	return done(s.sup.PausePull(ctx, in.ID))
}

// Removed tells how much was deleted.
type Removed struct {
	Bytes int64 `json:"bytes"`
}

func (s *server) removeModel(ctx context.Context, in *modelInput) (*body[Removed], error) {
	bytes, err := s.sup.RemoveModel(ctx, in.ID)
	return answer(Removed{bytes}, err)
}

func (s *server) doctor(ctx context.Context, _ *empty) (*body[doctor.Diagnosis], error) {
	if s.Doctor == nil {
		return nil, problemOf(errNotReady)
	}
	return answer(s.Doctor(ctx), nil)
}

// CrashList is the list of crash reports.
type CrashList struct {
	Crashes []supervisor.Crash `json:"crashes" nullable:"false"`
}

func (s *server) listCrashes(context.Context, *empty) (*body[CrashList], error) {
	crashes, err := s.sup.Crashes()
	return answer(CrashList{crashes}, err)
}

type crashInput struct {
	Name string `path:"name" maxLength:"100" doc:"of the report"`
}

func (s *server) getCrash(_ context.Context, in *crashInput) (*body[any], error) {
	report, err := s.sup.CrashReport(in.Name)
	return answer[any](report, err)
}

func (s *server) restartWorker(ctx context.Context, _ *empty) (*empty, error) {
	return done(s.sup.RestartWorker(ctx))
}

func (s *server) unloadWorker(ctx context.Context, _ *empty) (*empty, error) {
	return done(s.sup.UnloadWorker(ctx))
}
