package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"qie/supervisor/catalog"
	"qie/supervisor/download"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/model"
)

// noticeWaits is the notice of a job whose model is being fetched.
const noticeWaits = "waits_for_model"

// pullsKey is the setting that keeps which models are being fetched, so that they go on after a restart.
const pullsKey = "pulls"

var errPaused = errors.New("paused by a person")

// pulls are the downloads since this start.
type pulls struct {
	mu    sync.Mutex
	known map[string]*onePull
	turn  sync.Mutex // one at a time: two would only share the line
}

type onePull struct {
	progress event.ModelProgress
	cancel   context.CancelCauseFunc // nil when it does not run
	done     chan struct{}
}

func (p *pulls) list() []event.ModelProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []event.ModelProgress{}
	for _, one := range p.known {
		list = append(list, one.progress)
	}
	slices.SortFunc(list, func(a, b event.ModelProgress) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (p *pulls) get(id string) (one onePull, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[id]; known != nil {
		return *known, true
	}
	return onePull{}, false
}

// running lists the ids that are to go on after a restart.
func (p *pulls) running() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := []string{}
	for id, one := range p.known {
		if one.cancel != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Fetchable is an entry of the catalogue with what this machine has of it.
type Fetchable struct {
	catalog.Entry
	Fit      catalog.Fit
	Complete bool
	Commit   string // pinned; empty before the first pull of a branch
	Progress event.ModelProgress
}

// Catalogue lists everything that can be fetched. It reads no weights.
func (s *Supervisor) Catalogue() []Fetchable {
	var list []Fetchable
	for _, e := range catalog.All() {
		f := Fetchable{Entry: e, Fit: s.fit(e), Progress: event.ModelProgress{ID: e.ID, State: "absent", BytesTotal: e.Bytes}}
		if e.Revision != catalog.Main {
			f.Commit = e.Revision
		}
		if d := s.cfg.Downloads; d != nil {
			if m, ok, err := d.Pinned(e); ok && err == nil {
				f.Commit, f.Complete = m.Commit, d.Complete(m)
				f.Progress.BytesTotal, f.Progress.BytesDone = m.Bytes(), d.Have(m)
				switch {
				case f.Complete:
					f.Progress.State = string(download.StateComplete)
				case f.Progress.BytesDone > 0:
					f.Progress.State = string(download.StatePaused)
				}
			}
		}
		if one, ok := s.pulls.get(e.ID); ok && (!f.Complete || one.cancel != nil) {
			f.Progress, f.Complete = one.progress, false // it is when it is in its place
		}
		list = append(list, f)
	}
	return list
}

// Pull starts to fetch an entry, or goes on with it. It returns at once; what happens is told by events. An entry that
// is here already is checked, which fetches nothing.
func (s *Supervisor) Pull(ctx context.Context, id string) (event.ModelProgress, error) {
	e, ok := catalog.Find(id)
	switch {
	case !ok && slices.ContainsFunc(s.Models(), func(m model.Spec) bool { return m.ID == id }): // the demo, or a person's own
		return event.ModelProgress{ID: id, State: string(download.StateComplete)}, nil
	case !ok:
		return event.ModelProgress{}, job.Errorf(job.CodeUnknownModel, "qie knows no model %q to fetch", id).WithHint("see: qie list")
	case s.cfg.Downloads == nil:
		return event.ModelProgress{}, job.Errorf(job.CodeNotReady, "this server fetches no models")
	}
	s.pulls.mu.Lock()
	if one := s.pulls.known[e.ID]; one != nil && one.cancel != nil {
		defer s.pulls.mu.Unlock()
		return one.progress, nil
	}
	if s.ctx.Err() != nil {
		s.pulls.mu.Unlock()
		return event.ModelProgress{}, job.Errorf(job.CodeNotReady, "qie is shutting down")
	}
	pulling, cancel := context.WithCancelCause(s.ctx)
	one := &onePull{cancel: cancel, done: make(chan struct{}), progress: event.ModelProgress{ID: e.ID, State: string(download.StateQueued), BytesTotal: e.Bytes}}
	if s.pulls.known == nil {
		s.pulls.known = map[string]*onePull{}
	}
	s.pulls.known[e.ID] = one
	progress := one.progress
	s.parts.Add(1)
	s.pulls.mu.Unlock()
	if err := s.keepPulls(ctx); err != nil {
		s.log.Warn("a download would not go on after a restart", "model", e.ID, "err", err)
	}
	s.tellPull(progress)
	go s.pull(pulling, e, one)
	return progress, nil
}

// pull runs one download to its end.
func (s *Supervisor) pull(ctx context.Context, e catalog.Entry, one *onePull) {
	defer s.parts.Done()
	defer close(one.done)
	s.pulls.turn.Lock()
	err := context.Cause(ctx)
	if err == nil {
		release := s.cfg.Worker.Probe.OrSystem().KeepAwake(os.Getpid())
		err = s.fetch(ctx, e, one)
		release()
	}
	s.pulls.turn.Unlock()
	s.pulls.mu.Lock()
	p := &one.progress
	p.Why, p.ETA, p.BytesPerS, p.File, p.Error = "", nil, 0, "", nil
	switch {
	case err == nil:
		p.State, p.BytesDone = string(download.StateComplete), p.BytesTotal
	case ctx.Err() != nil:
		p.State = string(download.StatePaused)
	default:
		failure := job.AsError(err).Failure()
		p.State, p.Error = string(download.StateFailed), &failure
		s.log.Warn("download failed", "model", e.ID, "err", err)
	}
	one.cancel = nil
	progress := *p
	s.pulls.mu.Unlock()
	if s.ctx.Err() == nil { // else it goes on at the next start
		if err := s.keepPulls(context.WithoutCancel(s.ctx)); err != nil {
			s.log.Warn("keep which downloads run", "err", err)
		}
	}
	s.tellPull(progress)
	if err == nil {
		s.modelsChanged()
	}
}

func (s *Supervisor) fetch(ctx context.Context, e catalog.Entry, one *onePull) error {
	m, err := s.cfg.Downloads.Pull(ctx, e, func(p download.Progress) {
		if p.State == download.StateComplete {
			return // it is when it is in its place
		}
		progress := event.ModelProgress{ID: e.ID, State: string(p.State), Why: p.Why, BytesDone: p.Done, BytesTotal: p.Total, BytesPerS: p.PerS,
			ETA: p.ETA, File: p.File}
		s.pulls.mu.Lock()
		one.progress = progress
		s.pulls.mu.Unlock()
		s.tellPull(progress)
	})
	if err != nil {
		return err
	}
	base := e
	if e.Kind == catalog.LoRA {
		base, _ = catalog.Find(e.Base)
		if m, _, err = s.cfg.Downloads.Pinned(base); err != nil || !s.cfg.Downloads.Complete(m) {
			return err // it gets its place when its model is here
		}
	}
	if base.Kind != catalog.Full {
		return nil
	}
	if err := s.install(base, m); err != nil {
		return err
	}
	s.lookAtModels()
	return nil
}

// install makes the model's directory in the models folder: links to the files in the cache, the LoRAs that are here,
// and qie.json. The old one is replaced in one step.
func (s *Supervisor) install(e catalog.Entry, m download.Manifest) error {
	d := s.cfg.Downloads
	models := filepath.Join(s.cfg.Home, "models")
	if err := os.MkdirAll(models, 0o700); err != nil {
		return diskProblem(err)
	}
	temp, err := os.MkdirTemp(models, ".installing-")
	if err != nil {
		return diskProblem(err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	link := func(from, to string) error {
		path := filepath.Join(temp, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return diskProblem(err)
		}
		return diskProblem(os.Symlink(from, path))
	}
	for _, f := range m.Files {
		if err := link(filepath.Join(d.Snapshot(m), filepath.FromSlash(f.Path)), f.Path); err != nil {
			return err
		}
	}
	var loras []catalog.Entry
	for _, l := range catalog.LoRAs(e.ID) {
		lm, ok, err := d.Pinned(l)
		if err != nil || !ok || !d.Complete(lm) {
			continue
		}
		if err := link(filepath.Join(d.Snapshot(lm), filepath.FromSlash(lm.Files[0].Path)), model.LoRAFile(l)); err != nil {
			return err
		}
		loras = append(loras, l)
	}
	spec, err := model.Fetched(e, loras)
	if err != nil {
		return err
	}
	text, err := spec.Text()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, model.SpecFile), text, 0o600); err != nil {
		return diskProblem(err)
	}
	if err := model.Complete(temp); err != nil {
		return err
	}
	place := filepath.Join(models, e.ID)
	old := temp + "-old"
	if err := os.Rename(place, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskProblem(err)
	}
	defer func() { _ = os.RemoveAll(old) }()
	return diskProblem(os.Rename(temp, place))
}

func diskProblem(err error) error {
	if err == nil {
		return nil
	}
	return job.Errorf(job.CodeDiskError, "the models folder cannot be written: %w", err).WithHint("look at the disk, then pull again")
}

// PausePull stops a download. What was fetched is kept.
func (s *Supervisor) PausePull(ctx context.Context, id string) error {
	e, ok := catalog.Find(id)
	if !ok {
		return job.Errorf(job.CodeUnknownModel, "qie knows no model %q to fetch", id).WithHint("see: qie list")
	}
	one, ok := s.pulls.get(e.ID)
	if !ok || one.cancel == nil {
		return job.Errorf(job.CodeConflict, "no download of %s is running", e.Name)
	}
	one.cancel(errPaused)
	select {
	case <-one.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// RemoveModel deletes what was fetched of an entry, and gives how many bytes that was. What qie has not fetched it does
// not remove.
func (s *Supervisor) RemoveModel(ctx context.Context, id string) (int64, error) {
	e, ok := catalog.Find(id)
	if !ok {
		return 0, job.Errorf(job.CodeUnknownModel, "qie has fetched no model %q", id).WithHint("see: qie list")
	}
	if s.cfg.Downloads == nil {
		return 0, job.Errorf(job.CodeNotReady, "this server fetches no models")
	}
	m, ok, err := s.cfg.Downloads.Pinned(e)
	if err != nil {
		return 0, err
	}
	bytes := int64(0)
	if ok {
		bytes = s.cfg.Downloads.Have(m)
	}
	one, known := s.pulls.get(e.ID)
	switch {
	case known && one.cancel != nil:
		return 0, job.Errorf(job.CodeConflict, "%s is being fetched", e.Name).WithHint("pause the download first")
	case bytes == 0:
		return 0, job.Errorf(job.CodeNotFound, "nothing of %s was fetched", e.Name)
	}
	var refused error
	err = s.ask(ctx, func() { // nothing starts meanwhile
		// A verb without a server only looks: it serves nothing.
		serves := s.cfg.ResumeDownloads || s.worker.Load() != nil
		uses := func(id string) bool { return id != "" && (id == e.ID || id == e.Base) }
		if serves && uses(s.Model().ID) {
			refused = job.Errorf(job.CodeConflict, "%s is in use: it is the model that is served", e.Name).WithHint("start qie with QIE_MODEL=demo first")
			return
		}
		for _, row := range s.rows {
			if row.Job.State.Active() && uses(row.model) {
				refused = job.Errorf(job.CodeConflict, "%s is in use by job %s", e.Name, row.Job.ID).WithHint("wait for it, or cancel it")
				return
			}
		}
		refused = s.discard(e, m)
		s.lookAtModels()
	})
	if err := errors.Join(err, refused); err != nil {
		return 0, err
	}
	s.pulls.mu.Lock()
	delete(s.pulls.known, e.ID)
	s.pulls.mu.Unlock()
	s.modelsChanged()
	return bytes, nil
}

// discard deletes the files of a model that nothing uses.
func (s *Supervisor) discard(e catalog.Entry, m download.Manifest) error {
	d := s.cfg.Downloads
	if e.Kind == catalog.Full {
		if err := os.RemoveAll(filepath.Join(s.cfg.Home, "models", e.ID)); err != nil {
			return diskProblem(err)
		}
	}
	var keep []catalog.File
	for _, other := range catalog.All() {
		if om, ok, err := d.Pinned(other); other.ID != e.ID && other.Repository == e.Repository && ok && err == nil {
			keep = append(keep, om.Files...)
		}
	}
	if err := d.Remove(m, keep); err != nil {
		return err
	}
	base, ok := catalog.Find(e.Base)
	if e.Kind != catalog.LoRA || !ok {
		return nil
	}
	if bm, ok, err := d.Pinned(base); ok && err == nil && d.Complete(bm) {
		return s.install(base, bm)
	}
	return nil
}

// keepPulls writes which downloads go on after a restart.
func (s *Supervisor) keepPulls(ctx context.Context) error {
	data, err := json.Marshal(s.pulls.running())
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return s.store.SetSetting(ctx, pullsKey, string(data))
}

// resumePulls goes on with what was being fetched when the program ended.
func (s *Supervisor) resumePulls(ctx context.Context) {
	if !s.cfg.ResumeDownloads || s.cfg.Downloads == nil {
		return
	}
	text, err := s.store.Setting(ctx, pullsKey)
	var ids []string
	if err != nil || text != "" && json.Unmarshal([]byte(text), &ids) != nil {
		s.log.Warn("which downloads ran cannot be read", "err", err)
		return
	}
	for _, id := range ids {
		if _, err := s.Pull(ctx, id); err != nil {
			s.log.Warn("a download does not go on", "model", id, "err", err)
		}
	}
}

func (s *Supervisor) tellPull(p event.ModelProgress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.Publish(event.Event{Type: event.TypeModelProgress, Model: &p})
}

// coming tells whether a model is being fetched, or was begun and paused.
func (s *Supervisor) coming(id string) bool {
	if _, ok := s.pulls.get(id); ok {
		return true
	}
	e, ok := catalog.Find(id)
	if !ok || s.cfg.Downloads == nil {
		return false
	}
	m, ok, err := s.cfg.Downloads.Pinned(e)
	return ok && err == nil && s.cfg.Downloads.Have(m) > 0
}

// lookAtModels reads the models folder.
func (s *Supervisor) lookAtModels() {
	installed := map[string]model.Spec{}
	for _, spec := range model.List(filepath.Join(s.cfg.Home, "models")) {
		if model.Complete(spec.Dir) == nil {
			installed[spec.ID] = spec
		}
	}
	s.installed.Store(&installed)
}

// specFor gives the model that a recipe asks for. here is false for one that has to be fetched first: then only what the
// catalogue knows of it is known, and its Dir is empty. A name that nobody knows gives the selected model, and the plan
// refuses it.
func (s *Supervisor) specFor(r job.Recipe) (spec model.Spec, here bool) {
	selected := s.Model()
	if r.Model == "" || r.Model == selected.ID {
		return selected, true
	}
	if installed := s.installed.Load(); installed != nil {
		if spec, ok := (*installed)[r.Model]; ok {
			return spec, true
		}
	}
	if e, ok := catalog.Find(r.Model); ok && e.Kind == catalog.Full && e.ID == r.Model {
		if spec, err := model.Fetched(e, catalog.LoRAs(e.ID)); err == nil {
			return spec, false
		}
	}
	return selected, true
}
