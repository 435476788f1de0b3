package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/plan"
	"qie/supervisor/store"
	"qie/supervisor/watch"
	"qie/supervisor/worker"
)

// endedShown is how many ended jobs a snapshot carries; older ones come from Jobs.
const endedShown = 50

// decodesMax is how many uploads are decoded at once: each may take some hundred megabytes.
const decodesMax = 2

// Supervisor is the program behind every road into qie.
type Supervisor struct {
	cfg      Config
	log      *slog.Logger
	store    *store.Store
	hub      *event.Hub
	instance *instance
	started  time.Time
	decodes  chan struct{}
	thumbs   chan struct{} // one is made at a time
	// modelKnown is closed when the selected model is there, or cannot be.
	modelKnown chan struct{}

	ctx    context.Context // of the parts; ended by Close
	cancel context.CancelFunc
	parts  sync.WaitGroup

	choosing sync.Mutex // one look at the settings' model at a time

	repairing atomic.Bool // the Python environment, by RestartWorker

	upkeep atomic.Pointer[Upkeep]
	tidied chan struct{} // wakes the retention: a job ended, or the limits changed

	requests chan request
	inbox    inbox
	worker   atomic.Pointer[worker.Worker]
	machine  func() host.Facts // read once, when it is first asked for
	gauged   atomic.Pointer[event.Gauges]
	diskAll  atomic.Int64
	pending  atomic.Int64 // jobs that wait or run, with the submits under way

	// mu guards the view and every Publish, so that a snapshot and its seq belong together. The loop is the only writer.
	mu   sync.Mutex
	view view

	pulls     pulls
	installed atomic.Pointer[map[string]model.Spec] // in the models folder, by id

	// owned by loop
	rows  map[job.ID]*entry
	paces map[string]plan.Pace
	// lowered holds the memory profile below the last that ran out of memory, by plan.Key.
	lowered map[string]string
	free    time.Time // since when the worker could take a job
	queue   queue
}

// view is what a page may see, a copy of what the loop knows.
type view struct {
	jobs    map[job.ID]job.Job
	ended   []job.ID // newest last
	paces   map[string]plan.Pace
	worker  event.Worker
	queue   event.Queue
	spec    model.Spec
	next    model.Spec            // chosen since, see choice.go
	setup   map[string]job.Notice // why a job would not start; keyed by the part that is not ready
	notices []job.Notice
}

// Open takes the data folder and starts the parts. It returns before anything slow: Ready tells what is still missing.
// When another supervisor holds the folder, the error is a *RunningError.
func Open(ctx context.Context, cfg Config) (*Supervisor, error) {
	cfg = cfg.orDefaults()
	boot := string(job.NewID())
	inst, err := openInstance(cfg.Home, boot)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, cfg.Home, cfg.JobsDir)
	if err != nil {
		return nil, errors.Join(err, inst.close())
	}
	s := &Supervisor{
		cfg: cfg, log: cfg.Log, store: st, hub: event.New(boot), instance: inst, started: cfg.Now(),
		decodes: make(chan struct{}, decodesMax), modelKnown: make(chan struct{}), requests: make(chan request), inbox: inbox{wake: make(chan struct{}, 1)},
		tidied: make(chan struct{}, 1), thumbs: make(chan struct{}, 1),
		rows: map[job.ID]*entry{}, paces: map[string]plan.Pace{}, lowered: map[string]string{}, queue: newQueue(),
	}
	s.view = view{jobs: map[job.ID]job.Job{}, worker: event.Worker{State: string(worker.Down)}, setup: map[string]job.Notice{
		partModel:  {Code: "model_preparing", Message: "the model is being prepared"},
		partWorker: {Code: "worker_preparing", Message: "the Python environment is being checked"},
	}}
	s.view.notices = st.Notices()
	s.queue.storeTold = len(s.view.notices)
	s.gauged.Store(&event.Gauges{})
	if err := errors.Join(s.recover(ctx), s.recoverPause(ctx)); err != nil {
		return nil, errors.Join(err, st.Close(), inst.close())
	}
	// The parts outlive ctx: Close ends them in order.
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.machine = sync.OnceValue(func() host.Facts { return host.Read(s.ctx, cfg.Home) })
	s.SetUpkeep(cfg.Upkeep)
	s.parts.Add(5)
	go s.importEarlier(cfg.ImportFrom)
	go s.loop()
	go s.provision()
	go s.gauge()
	go s.retention()
	s.resumePulls(ctx)
	models := filepath.Join(s.cfg.Home, "models")
	if err := watch.Folder(s.ctx, models, s.log, s.modelsChanged); err != nil {
		s.log.Warn("new models are seen at the next start only", "err", err)
	}
	return s, nil
}

func (c Config) orDefaults() Config {
	if c.JobsDir == "" {
		c.JobsDir = filepath.Join(c.Home, "jobs")
	}
	if c.QueueMax == 0 {
		c.QueueMax = QueueMax
	}
	if c.DiskFloor == 0 {
		c.DiskFloor = DiskFloor
	}
	if c.DiskFree == nil {
		c.DiskFree = func() (int64, error) { return diskFree(c.JobsDir) }
	}
	if c.RecheckEvery == 0 {
		c.RecheckEvery = recheckEvery
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Close ends the worker, then the loop, then the store. What waits or runs is queued again at the next start.
func (s *Supervisor) Close(ctx context.Context) error {
	s.pulls.mu.Lock()
	s.cancel() // ends provision, gauge, downloads and the worker's Run
	s.pulls.mu.Unlock()
	var errs []error
	if w := s.worker.Load(); w != nil {
		errs = append(errs, w.Stop(ctx))
	}
	s.inbox.put(nil) // the loop ends behind the last worker event
	s.parts.Wait()
	s.hub.Close()
	errs = append(errs, s.store.Close(), s.instance.close())
	return errors.Join(errs...)
}

// begin starts a part while this runs; false behind Close, which ends ctx under the same lock before it waits: a part
// that began later would not be waited for.
func (s *Supervisor) begin(part func()) bool {
	s.pulls.mu.Lock()
	defer s.pulls.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.parts.Go(part)
	return true
}

// Serving tells where this supervisor answers; the instance file carries it to a second one.
func (s *Supervisor) Serving(url string, port int) error { return s.instance.serving(url, port) }

// Job reads one job.
func (s *Supervisor) Job(ctx context.Context, id job.ID) (job.Job, error) {
	s.mu.Lock()
	j, ok := s.view.jobs[id]
	if ok {
		j = s.positioned(j)
	}
	s.mu.Unlock()
	if ok {
		return j, nil
	}
	row, err := s.store.Row(ctx, id)
	return row.Job, err
}

// Jobs gives a page of jobs, newest first.
func (s *Supervisor) Jobs(ctx context.Context, q store.Query) (store.Page, error) {
	if q.State != "" && !slices.Contains(job.States, q.State) {
		return store.Page{}, job.Errorf(job.CodeInputBad, "state %q is not one of %v", q.State, job.States)
	}
	page, err := s.store.Query(ctx, q)
	if err != nil {
		return page, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, j := range page.Jobs {
		if live, ok := s.view.jobs[j.ID]; ok {
			page.Jobs[i] = s.positioned(live)
		}
	}
	return page, nil
}

// positioned fills in the place in the queue. The caller holds mu.
func (s *Supervisor) positioned(j job.Job) job.Job {
	j.Position = 0
	if j.State != job.Queued {
		return j
	}
	waiting := s.view.queue.Waiting
	if j.Position = slices.Index(waiting, j.ID) + 1; j.Position == 0 {
		j.Position = len(waiting) + 1 // the loop has not met it yet
	}
	return j
}

// State gives everything a page needs at one epoch and seq.
func (s *Supervisor) State() event.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.snapshot()
	state.Seq = s.hub.Seq()
	return state
}

// Subscribe begins the live events behind seq of epoch, or with the state.
func (s *Supervisor) Subscribe(epoch string, seq int64) *event.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hub.Subscribe(epoch, seq, s.snapshot)
}

// snapshot copies the view. The caller holds mu.
func (s *Supervisor) snapshot() event.State {
	jobs := make([]job.Job, 0, len(s.view.jobs))
	for _, j := range s.view.jobs {
		jobs = append(jobs, s.positioned(j))
	}
	slices.SortFunc(jobs, func(a, b job.Job) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	reasons := s.reasons()
	return event.State{
		Epoch: s.hub.Epoch(), Version: s.cfg.Version, Ready: len(reasons) == 0, Reasons: reasons, Jobs: jobs,
		Worker: s.view.worker, Queue: s.queueView(), Model: s.modelView(), Gauges: *s.gauged.Load(),
		Notices: append([]job.Notice{}, s.view.notices...), Downloads: s.pulls.list(),
	}
}

// Ready gives why a job would not start now; empty is ready.
func (s *Supervisor) Ready() []job.Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reasons()
}

// reasons is Ready for a caller that holds mu.
func (s *Supervisor) reasons() []job.Notice {
	reasons := []job.Notice{}
	for _, part := range []string{partModel, partWorker} {
		if n, ok := s.view.setup[part]; ok {
			reasons = append(reasons, n)
		}
	}
	if len(reasons) > 0 {
		return reasons
	}
	if q := s.view.queue; q.Paused && q.By != "worker" {
		reasons = append(reasons, job.Notice{Code: "queue_paused", Message: "the queue is paused: " + said(q.Reason, q.Done), Hint: q.Hint})
	}
	switch w := s.view.worker; worker.State(w.State) {
	case worker.Broken, worker.Backoff, worker.Exited, worker.Suspect, worker.Stopping:
		message := said(w.Reason, w.Done)
		if message == "" {
			message = "the worker: " + worker.State(w.State).Word()
		}
		reasons = append(reasons, job.Notice{Code: "worker_" + w.State, Message: message, Hint: w.Hint, Report: w.Report})
	case worker.Down, worker.Spawning, worker.Probing:
		reasons = append(reasons, job.Notice{Code: "worker_starting", Message: "the worker is starting"})
	}
	return reasons
}

// said joins a cause with what was done about it.
func said(cause, done string) string {
	if cause != "" && done != "" {
		return cause + "; " + done
	}
	return cause + done
}

// Model is the selected model; its ID is empty until it is there.
func (s *Supervisor) Model() model.Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view.spec
}

// Models gives every model that is here, the selected one first.
func (s *Supervisor) Models() []model.Spec {
	selected := s.Model()
	specs := []model.Spec{}
	if selected.ID != "" {
		specs = append(specs, selected)
	}
	for _, other := range model.List(filepath.Join(s.cfg.Home, "models")) {
		if other.Dir != selected.Dir && other.ID != selected.ID {
			specs = append(specs, other)
		}
	}
	return specs
}

// modelsChanged tells pages that the list of models is another one.
func (s *Supervisor) modelsChanged() {
	s.lookAtModels()
	s.chooseAgain()
	s.inbox.put(func() {}) // a job may have waited for one
	s.Tell(job.Notice{Code: "models_changed", Message: "the list of models changed"})
}

// PresetViews gives the presets of a model as a page offers them.
func PresetViews(m model.Spec) []event.PresetView {
	views := []event.PresetView{}
	for _, name := range m.PresetNames() {
		views = append(views, event.PresetView{Name: name, Steps: cmp.Or(m.Presets[name].Steps, m.DefaultSteps), CFG: m.Presets[name].CFG})
	}
	return views
}

// LoRAViews gives the LoRAs of a model as a page offers them.
func LoRAViews(m model.Spec) []event.LoRAView {
	views := []event.LoRAView{}
	for _, l := range m.LoRAs {
		views = append(views, event.LoRAView{ID: l.ID, Name: l.Name, Note: l.Note})
	}
	return views
}

// modelView is what a page offers, with what it takes here. The caller holds mu.
func (s *Supervisor) modelView() event.ModelView {
	m, paces := s.view.spec, s.view.paces
	v := event.ModelView{ID: m.ID, Name: m.Name, Notice: m.Notice, MaxImages: m.MaxImages, Steps: m.DefaultSteps,
		CFG: m.DefaultCFG, KnownEdits: []event.KnownEdit{}, Presets: PresetViews(m), LoRAs: LoRAViews(m),
		Takes: plan.Quote(paces, m.ID, m.DefaultSteps, m.DefaultCFG)}
	for i, p := range v.Presets {
		v.Presets[i].Takes = plan.Quote(paces, m.ID, p.Steps, cmp.Or(p.CFG, m.DefaultCFG))
	}
	for _, e := range m.KnownEdits {
		v.KnownEdits = append(v.KnownEdits, event.KnownEdit{Label: e.Label, Prompt: e.Prompt, Group: e.Group, Images: e.Images})
	}
	return v
}

// UnloadWorker drops the weights of an idle worker.
func (s *Supervisor) UnloadWorker(ctx context.Context) error {
	w := s.worker.Load()
	if w == nil {
		return s.notReady()
	}
	return w.Unload(ctx)
}

func (s *Supervisor) notReady() *job.Error {
	for _, n := range s.Ready() {
		return job.Errorf(job.CodeNotReady, "%s", n.Message)
	}
	return job.Errorf(job.CodeNotReady, "the worker is not there yet")
}

// OpenResult opens the finished picture.
func (s *Supervisor) OpenResult(ctx context.Context, id job.ID) (*os.File, error) {
	j, err := s.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	if j.Result == nil {
		return nil, job.Errorf(job.CodeNotFound, "job %s is %s and has no result", id, j.State)
	}
	return s.store.OpenFile(id, store.ResultFile)
}

// OpenPreview opens the newest preview.
func (s *Supervisor) OpenPreview(ctx context.Context, id job.ID) (*os.File, error) {
	if _, err := s.Job(ctx, id); err != nil {
		return nil, err
	}
	return s.store.OpenFile(id, store.PreviewFile)
}

// OpenMask opens the mask of a job: grey, as large as image 1, white where it may change.
func (s *Supervisor) OpenMask(ctx context.Context, id job.ID) (*os.File, error) {
	j, err := s.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	if j.Mask == nil {
		return nil, job.Errorf(job.CodeNotFound, "job %s has no mask", id)
	}
	return s.store.OpenFile(id, store.MaskFile)
}

// OpenImage opens source n, from 1, as the worker sees it.
func (s *Supervisor) OpenImage(ctx context.Context, id job.ID, n int) (*os.File, error) {
	j, err := s.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(j.Images) {
		return nil, job.Errorf(job.CodeNotFound, "job %s has %d images, number %d is not one of them", id, len(j.Images), n)
	}
	return s.store.OpenFile(id, store.InputFile(n))
}

const pacesKey = "paces"

func (s *Supervisor) loadPaces(ctx context.Context) error {
	text, err := s.store.Setting(ctx, pacesKey)
	if err != nil || text == "" {
		return err
	}
	if err := json.Unmarshal([]byte(text), &s.paces); err != nil {
		return fmt.Errorf("learned paces: %w", err)
	}
	s.view.paces = maps.Clone(s.paces)
	return nil
}
