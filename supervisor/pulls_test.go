package supervisor_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"qie/supervisor"
	"qie/supervisor/download"
	"qie/supervisor/download/downloadtest"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/model"
	st "qie/supervisor/supervisortest"
)

const (
	fetched   = "qwen-image-edit-2509"
	lightning = "lightning-2509-4"
)

// aHub serves a made-up 2509 and two Lightning LoRAs in one repository.
func aHub(t *testing.T) *downloadtest.Hub {
	t.Helper()
	h, err := downloadtest.New(map[string]map[string]*downloadtest.File{
		"Qwen/Qwen-Image-Edit-2509": {
			"model_index.json": {Text: `{"_class_name":"QwenImageEditPlusPipeline","transformer":["diffusers","T"],"vae":["diffusers","V"]}`},
			"transformer/diffusion_pytorch_model.safetensors": {Size: 3 << 20},
			"vae/diffusion_pytorch_model.safetensors":         {Size: 1 << 20},
			"README.md": {Text: "not wanted"},
		},
		"lightx2v/Qwen-Image-Lightning": {
			"Qwen-Image-Edit-2509/Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors": {Size: 1 << 19},
			"Qwen-Image-Edit-2509/Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16.safetensors": {Size: 1 << 18},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// fetches gives a supervisor a downloader of its home.
func fetches(t *testing.T, h *downloadtest.Hub, home string) st.Option {
	t.Helper()
	d, err := download.New(download.Options{Endpoint: h.URL, Cache: filepath.Join(home, "huggingface_cache", "hub"),
		Pins: filepath.Join(home, "pins"), DiskFloor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return func(c *supervisor.Config) { c.Home, c.Downloads, c.ResumeDownloads = home, d, true }
}

func downloadOf(s *supervisor.Supervisor, id string) event.ModelProgress {
	for _, f := range s.Catalogue() {
		if f.ID == id {
			return f.Progress
		}
	}
	return event.ModelProgress{}
}

func pull(t *testing.T, s *supervisor.Supervisor, id string) {
	t.Helper()
	if _, err := s.Pull(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	st.Until(t, s, "end of the download of "+id, func() bool {
		p := downloadOf(s, id)
		if p.State == "failed" {
			t.Fatalf("%+v", p.Error)
		}
		return p.State == "complete"
	})
}

// submitTo queues an edit for a model by its name.
func submitTo(t *testing.T, s *supervisor.Supervisor, id string) (job.Job, error) {
	t.Helper()
	st.WaitModel(t, s)
	return s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: "make it sepia", Model: id},
		Uploads: []supervisor.Upload{st.Upload(t, s, st.Picture(96, 64))}})
}

// A model that arrives while qie runs and that the settings choose is served by the next start, which is said, or by a
// restart of the worker; when it goes again before that, nothing is said any more.
func TestPull_WhatTheSettingsChooseIsServedByARestart(t *testing.T) {
	home := t.TempDir()
	small := st.NewModel(t, 1)
	s := st.New(t, fetches(t, aHub(t), home), func(c *supervisor.Config) {
		c.ProvideModel = func(context.Context) (string, error) {
			if dir, err := model.Select("", home, filepath.Join(home, "huggingface_cache"), true); err != nil || dir != "" {
				return dir, err
			}
			return small, nil
		}
	})
	st.WaitReady(t, s)
	told := func() bool {
		return slices.ContainsFunc(s.State().Notices, func(n job.Notice) bool {
			return n.Code == "model_at_next_start" && strings.Contains(n.Message, "Qwen-Image-Edit-2509 is here, and the next start of qie serves it")
		})
	}
	before := s.Model().ID
	pull(t, s, fetched)
	st.Until(t, s, "word of the next start", told)
	if s.Model().ID != before || s.NextModel().ID != fetched {
		t.Errorf("%s serves, %q is next", s.Model().ID, s.NextModel().ID)
	}
	if _, err := s.RemoveModel(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	st.Until(t, s, "no word of it", func() bool { return !told() && s.NextModel().ID == "" })
	pull(t, s, fetched)
	st.Until(t, s, "word of it again", told)
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Model().ID != fetched || s.State().Model.ID != fetched || told() {
		t.Errorf("after the restart %s serves, told is %t", s.Model().ID, told())
	}
	if j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); j.State != job.Succeeded || j.Result.Model != fetched {
		t.Errorf("the edit after it: %+v", j)
	}
}

// A look at the settings that ends after its model has come to serve does not announce it for the next start.
func TestRestart_TheModelThatServesIsNotTheNext(t *testing.T) {
	first, second := st.NewModel(t, 1), st.NewModel(t, 1)
	config := filepath.Join(second, "qie.json")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, []byte(strings.Replace(string(text), `"id":"fake"`, `"id":"second"`, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var here, slow atomic.Bool
	entered, gate := make(chan struct{}), make(chan struct{})
	s := st.New(t, func(c *supervisor.Config) {
		c.ProvideModel = func(context.Context) (string, error) {
			if !here.Load() {
				return first, nil
			}
			if slow.CompareAndSwap(true, false) {
				close(entered)
				<-gate
			}
			return second, nil
		}
	})
	st.WaitReady(t, s)
	here.Store(true)
	s.ChooseAgain()
	if got := s.NextModel().ID; got != "second" {
		t.Fatalf("the next model is %q", got)
	}
	slow.Store(true)
	done := make(chan struct{})
	go func() { s.ChooseAgain(); close(done) }()
	<-entered
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Error(err)
	}
	close(gate)
	<-done
	if s.Model().ID != "second" || s.NextModel().ID != "" || len(s.State().Notices) != 0 {
		t.Errorf("%s serves, %q is next, told %v", s.Model().ID, s.NextModel().ID, s.State().Notices)
	}
}

// An edit that waits and asks for a preset or a LoRA stays with the model that has it when another one comes to serve,
// also over the end of qie; one that asks for nothing of the kind goes to the new one.
func TestRestart_AnEditKeepsTheModelThatItsWordsBelongTo(t *testing.T) {
	home := t.TempDir()
	old := filepath.Join(home, "models", "old")
	if err := os.CopyFS(old, os.DirFS(st.NewModel(t, 1))); err != nil {
		t.Fatal(err)
	}
	cfg := st.Config(t, fetches(t, aHub(t), home), func(c *supervisor.Config) {
		c.ProvideModel = func(context.Context) (string, error) {
			if dir := filepath.Join(home, "models", fetched); model.Complete(dir) == nil {
				return dir, nil
			}
			return old, nil
		}
	})
	s, err := supervisor.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	st.WaitReady(t, s)
	before := s.Model().ID
	gate := filepath.Join(t.TempDir(), "gate")
	recipes := []job.Recipe{{Prompt: "fake: at step 1 in gen 1: wait " + gate, LoRAs: []string{"warm"}}, {Prompt: "x", Preset: "fast"}, {Prompt: "x"}}
	var made []job.Job
	for _, r := range recipes {
		j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: r, Uploads: []supervisor.Upload{st.Upload(t, s, st.Picture(96, 64))}})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, j)
	}
	st.WaitJob(t, s, made[0].ID, "running", func(j job.Job) bool { return j.State == job.Running })
	pull(t, s, fetched)
	st.Until(t, s, "the next model", func() bool { return s.NextModel().ID == fetched })
	if _, err := s.Pause(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.WaitJob(t, s, made[0].ID, "queued again", func(j job.Job) bool { return j.State == job.Queued })
	for i, want := range []string{before, before, ""} {
		j, err := s.Job(t.Context(), made[i].ID)
		if err != nil || j.Recipe.Model != want || (told(j, "model_kept") != "") != (want != "") {
			t.Errorf("edit %d has model %q, want %q; %v, %v", i, j.Recipe.Model, want, j.Notices, err)
		}
	}
	st.Close(t, s)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = st.New(t, func(c *supervisor.Config) { *c = cfg })
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{before, before, fetched} {
		if j := st.WaitEnd(t, s, made[i].ID); j.State != job.Succeeded || j.Result.Model != want {
			t.Errorf("edit %d ended as %s by %+v, want %q: %+v", i, j.State, j.Result, want, j.Error)
		}
	}
}

// Settings that name a model which is not here keep the line waiting; its arrival, by a pull or by a restart of the
// worker, lets it go on.
func TestPull_TheChosenModelWasNotHereAtTheStart(t *testing.T) {
	for _, by := range []string{"a pull", "a restart"} {
		t.Run(by, func(t *testing.T) {
			home, elsewhere := t.TempDir(), st.NewModel(t, 1)
			earlier, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home)))
			if err != nil {
				t.Fatal(err)
			}
			st.WaitReady(t, earlier)
			if _, err := earlier.Pause(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			waits := st.Submit(t, earlier, "make it sepia")
			st.Close(t, earlier)
			var here atomic.Bool
			s := st.New(t, fetches(t, aHub(t), home), func(c *supervisor.Config) {
				c.ProvideModel = func(context.Context) (string, error) {
					if here.Load() {
						return elsewhere, nil
					}
					return model.Select(fetched, home, filepath.Join(home, "huggingface_cache"), true)
				}
			})
			if _, err := s.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			blocked := func() bool {
				return slices.ContainsFunc(s.Ready(), func(n job.Notice) bool { return n.Code == string(job.CodeModelNotInstalled) })
			}
			st.Until(t, s, "word of the missing model", blocked)
			st.Until(t, s, "the worker", func() bool { return len(s.Ready()) == 1 && s.State().Worker.State == "cold" })
			if by == "a pull" {
				pull(t, s, fetched)
			} else {
				here.Store(true)
				if err := s.RestartWorker(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if j := st.WaitEnd(t, s, waits.ID); j.State != job.Succeeded || j.Result.Model != s.Model().ID {
				t.Errorf("the edit that waited: %+v", j)
			}
			if blocked() || slices.ContainsFunc(s.State().Notices, func(n job.Notice) bool { return n.Code == "model_at_next_start" }) {
				t.Errorf("afterwards %v, %v", s.Ready(), s.State().Notices)
			}
		})
	}
}

// While a model is fetched everything else works, and an edit for it waits in the line, says why, and starts when the
// model is whole.
func TestPull_AnEditWaitsForItsModel(t *testing.T) {
	h := aHub(t)
	h.Gate = make(chan struct{})
	home := t.TempDir()
	s := st.New(t, fetches(t, h, home))
	_, err := submitTo(t, s, fetched)
	if e := job.AsError(err); e.Code != job.CodeModelNotInstalled || e.Hint != "fetch it with: qie pull "+fetched {
		t.Fatalf("an edit for a model that nobody fetches: %v", err)
	}
	if _, err := s.Pull(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	waits, err := submitTo(t, s, fetched)
	if err != nil {
		t.Fatal(err)
	}
	if waits.State != job.Queued || !slices.ContainsFunc(waits.Notices, func(n job.Notice) bool {
		return n.Code == "waits_for_model" && strings.Contains(n.Message, "starts when it is here")
	}) {
		t.Errorf("the waiting edit is %+v", waits)
	}
	// Another edit passes it.
	if j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); j.State != job.Succeeded || j.Result.Model == fetched {
		t.Fatalf("an edit meanwhile: %+v", j)
	}
	if j, _ := s.Job(t.Context(), waits.ID); j.State != job.Queued {
		t.Fatalf("it did not wait: %+v", j)
	}
	close(h.Gate)
	j := st.WaitEnd(t, s, waits.ID)
	if j.State != job.Succeeded || j.Result.Model != fetched {
		t.Fatalf("the edit that waited: %+v", j)
	}
	if slices.ContainsFunc(j.Notices, func(n job.Notice) bool { return n.Code == "waits_for_model" }) {
		t.Errorf("it is still said to wait: %v", j.Notices)
	}
	if !slices.ContainsFunc(s.Models(), func(m model.Spec) bool { return m.ID == fetched && m.Licence == "Apache-2.0" && m.MaxImages == 3 }) {
		t.Errorf("models here: %+v", s.Models())
	}
	// The next start finds it: by its name, and by itself where memory is enough.
	place := filepath.Join(home, "models", fetched)
	for _, name := range []string{fetched, ""} {
		if dir, err := model.Select(name, home, filepath.Join(home, "huggingface_cache"), true); dir != place || err != nil {
			t.Errorf("select %q: %q, %v", name, dir, err)
		}
	}
	if dir, err := model.Select("Qwen/Qwen-Image-Edit-2509", home, filepath.Join(home, "huggingface_cache"), false); err != nil || !strings.Contains(dir, "snapshots") {
		t.Errorf("select by repository: %q, %v", dir, err)
	}
}

// A download survives a restart, and a pause keeps what was fetched.
func TestPull_GoesOnAfterARestart(t *testing.T) {
	h := aHub(t)
	h.Gate = make(chan struct{})
	home := t.TempDir()
	s, err := supervisor.Open(t.Context(), st.Config(t, fetches(t, h, home)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PausePull(t.Context(), fetched); job.AsError(err).Code != job.CodeConflict {
		t.Errorf("pause of what does not run: %v", err)
	}
	if _, err := s.Pull(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	if err := s.PausePull(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	if p := downloadOf(s, fetched); p.State != "paused" {
		t.Errorf("paused: %+v", p)
	}
	if _, err := s.Pull(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	waits, err := submitTo(t, s, fetched)
	if err != nil {
		t.Fatal(err)
	}
	st.Close(t, s)
	close(h.Gate)
	s = st.New(t, fetches(t, h, home))
	if j := st.WaitEnd(t, s, waits.ID); j.State != job.Succeeded || j.Result.Model != fetched {
		t.Errorf("the edit that waited over a restart: %+v", j)
	}
	// What has ended does not begin again.
	if text := downloadOf(s, fetched); text.State != "complete" {
		t.Errorf("got %+v", text)
	}
}

// A LoRA of few steps becomes a preset of its model, and removing it takes the preset away; what another entry of the
// same repository needs stays.
func TestPull_LightningIsAPreset(t *testing.T) {
	h := aHub(t)
	home := t.TempDir()
	s := st.New(t, fetches(t, h, home))
	st.WaitModel(t, s)
	spec := func() model.Spec {
		spec, err := model.Load(filepath.Join(home, "models", fetched))
		if err != nil {
			t.Fatal(err)
		}
		return spec
	}
	pull(t, s, lightning)
	pull(t, s, "lightning-2509-8")
	pull(t, s, fetched)
	if got := spec(); got.Presets["fast"].Steps != 4 || got.Presets["fast"].CFG != 1 || got.Presets["fast"].Shift != 3 || got.Presets["balanced"].Steps != 8 {
		t.Errorf("presets %+v", got.Presets)
	}
	if bytes, err := s.RemoveModel(t.Context(), lightning); err != nil || bytes != 1<<19 {
		t.Fatalf("removed %d bytes, %v", bytes, err)
	}
	got := spec()
	if _, ok := got.Presets["fast"]; ok || got.Presets["balanced"].Steps != 8 {
		t.Errorf("presets %+v", got.Presets)
	}
	if _, err := s.RemoveModel(t.Context(), lightning); job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("removed twice: %v", err)
	}
	pull(t, s, lightning)
	if spec().Presets["fast"].Steps != 4 {
		t.Error("a LoRA that was fetched later is no preset")
	}
	j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: "make it sepia", Model: fetched, Preset: "fast"},
		Uploads: []supervisor.Upload{st.Upload(t, s, st.Picture(96, 64))}})
	if err != nil {
		t.Fatal(err)
	}
	if j = st.WaitEnd(t, s, j.ID); j.State != job.Succeeded || j.Steps != 4 {
		t.Errorf("an edit with the preset: %+v", j)
	}
	if _, err := s.RemoveModel(t.Context(), fetched); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(home, "huggingface_cache", "hub", "models--Qwen*"))
	if _, err := os.Stat(filepath.Join(home, "models", fetched)); err == nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if slices.ContainsFunc(s.Models(), func(m model.Spec) bool { return m.ID == fetched }) {
		t.Error("a removed model is still listed")
	}
}

// The model that is served is not taken away under it, and a download that runs is paused first.
func TestRemoveModel_RefusesWhatIsInUse(t *testing.T) {
	h := aHub(t)
	home := t.TempDir()
	s, err := supervisor.Open(t.Context(), st.Config(t, fetches(t, h, home)))
	if err != nil {
		t.Fatal(err)
	}
	st.WaitModel(t, s)
	pull(t, s, fetched)
	st.Close(t, s)
	h.Gate = make(chan struct{})
	s = st.New(t, fetches(t, h, home), st.Model(filepath.Join(home, "models", fetched)))
	st.WaitModel(t, s)
	if _, err := s.RemoveModel(t.Context(), fetched); job.AsError(err).Code != job.CodeConflict {
		t.Errorf("the served model: %v", err)
	}
	if _, err := s.Pull(t.Context(), lightning); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveModel(t.Context(), lightning); err == nil {
		t.Error("a running download was removed")
	}
	if _, err := s.RemoveModel(t.Context(), "gone"); job.AsError(err).Code != job.CodeUnknownModel {
		t.Errorf("an unknown one: %v", err)
	}
}
