package supervisor

import (
	"context"
	"io"
	"os"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/store"
)

type Supervisor struct{}
type Upload struct {
	Name, SHA256 string
	Bytes        int64
}

var errSoon = job.Errorf(job.CodeNotReady, "starting")

func Open(ctx context.Context, cfg Config) (*Supervisor, error) { return nil, errSoon }
func (s *Supervisor) Close(ctx context.Context) error           { return nil }
func (s *Supervisor) Serving(url string, port int) error        { return nil }
func (s *Supervisor) NewUpload(ctx context.Context, name string, r io.Reader) (Upload, error) {
	return Upload{}, errSoon
}
func (u Upload) Discard() {}
func (s *Supervisor) Submit(ctx context.Context, sub Submission) (job.Job, error) {
	return job.Job{}, errSoon
}
func (s *Supervisor) Job(ctx context.Context, id job.ID) (job.Job, error) { return job.Job{}, errSoon }
func (s *Supervisor) Jobs(ctx context.Context, q store.Query) (store.Page, error) {
	return store.Page{}, errSoon
}
func (s *Supervisor) Cancel(ctx context.Context, id job.ID) (job.Job, error) {
	return job.Job{}, errSoon
}
func (s *Supervisor) Retry(ctx context.Context, id job.ID) (job.Job, error) {
	return job.Job{}, errSoon
}
func (s *Supervisor) Remove(ctx context.Context, id job.ID) error { return errSoon }
func (s *Supervisor) OpenResult(ctx context.Context, id job.ID) (*os.File, error) {
	return nil, errSoon
}
func (s *Supervisor) OpenPreview(ctx context.Context, id job.ID) (*os.File, error) {
	return nil, errSoon
}
func (s *Supervisor) OpenImage(ctx context.Context, id job.ID, n int) (*os.File, error) {
	return nil, errSoon
}
func (s *Supervisor) State() event.State                                    { return event.State{} }
func (s *Supervisor) Subscribe(epoch string, seq int64) *event.Subscription { return nil }
func (s *Supervisor) Ready() []job.Notice                                   { return nil }
func (s *Supervisor) System() System                                        { return System{} }
func (s *Supervisor) Models() []model.Spec                                  { return nil }
func (s *Supervisor) Model() model.Spec                                     { return model.Spec{} }
func (s *Supervisor) Cleanup(ctx context.Context, q CleanupQuery) (CleanupReport, error) {
	return CleanupReport{}, errSoon
}
func (s *Supervisor) RestartWorker(ctx context.Context) error { return errSoon }
func (s *Supervisor) UnloadWorker(ctx context.Context) error  { return errSoon }
