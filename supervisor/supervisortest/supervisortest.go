// Package supervisortest gives tests a real supervisor on a temporary data folder: real store, real processes, the
// fake worker in place of Python. Nothing of it is in the product.
package supervisortest

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/job"
	"qie/supervisor/worker"
	"qie/supervisor/worker/fakeworker"
)

// Patience bounds every wait; nothing should come near it.
const Patience = 30 * time.Second

// Main is the first line of TestMain in every package that uses New: this binary is also the guard and the worker.
func Main() {
	worker.GuardMain()
	// A process built with -race waits a second before it ends; the many that tests start need not.
	_ = os.Setenv(raceEnv, strings.TrimSpace(os.Getenv(raceEnv)+" "+raceQuick))
	fakeworker.MainIfAsked()
}

const (
	raceEnv   = "GORACE"
	raceQuick = "atexit_sleep_ms=0"
)

// Option changes the configuration before Open.
type Option func(*supervisor.Config)

// Script makes the worker play a script of fakeworker.
func Script(script string) Option {
	return func(c *supervisor.Config) { c.ProvideWorker = worksWith(script) }
}

// Home uses a folder that is there already.
func Home(dir string) Option { return func(c *supervisor.Config) { c.Home = dir } }

// OutputFolder asks for a copy of every result.
func OutputFolder(dir string) Option {
	return func(c *supervisor.Config) { c.Upkeep.OutputFolder = dir }
}

// Keep bounds the jobs that have ended; 0 is no limit.
func Keep(jobs int, bytes int64) Option {
	return func(c *supervisor.Config) { c.Upkeep.KeepJobs, c.Upkeep.KeepBytes = jobs, bytes }
}

// Model uses another model directory.
func Model(dir string) Option {
	return func(c *supervisor.Config) {
		c.ProvideModel = func(context.Context) (string, error) { return dir, nil }
	}
}

// Config gives what New opens, for tests that open by themselves.
func Config(t testing.TB, options ...Option) supervisor.Config {
	t.Helper()
	cfg := supervisor.Config{Version: "test", Device: "cpu", Host: "127.0.0.1", ProvideWorker: worksWith(""),
		Worker: worker.Config{Guard: fakeworker.Guard, Limits: worker.Limits{Restart: 10 * time.Millisecond, Term: time.Second,
			Shutdown: 2 * time.Second,
			// Tests that kill often are not about the breaker; those that are set its numbers.
			Early: 1 << 20, Crashes: 1 << 20, OOMs: 1 << 20}}}
	for _, o := range options {
		o(&cfg)
	}
	if cfg.Home == "" {
		cfg.Home = t.TempDir()
	}
	if cfg.ProvideModel == nil {
		dir := NewModel(t, 1)
		cfg.ProvideModel = func(context.Context) (string, error) { return dir, nil }
	}
	return cfg
}

// Fake makes a configuration run the fake worker on a model of NewModel: for test processes without a testing.T.
func Fake(c *supervisor.Config, model string) {
	c.ProvideWorker = worksWith("")
	c.ProvideModel = func(context.Context) (string, error) { return model, nil }
	c.Worker = worker.Config{Guard: fakeworker.Guard, Limits: worker.Limits{Restart: 10 * time.Millisecond}}
}

func worksWith(script string) func(context.Context, func(string)) (supervisor.CommandFunc, error) {
	return func(context.Context, func(string)) (supervisor.CommandFunc, error) {
		return fakeworker.Command(script), nil
	}
}

// New opens a supervisor that is closed at the end of the test.
func New(t testing.TB, options ...Option) *supervisor.Supervisor {
	t.Helper()
	s, err := supervisor.Open(t.Context(), Config(t, options...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(t, s) })
	return s
}

// Close ends a supervisor and everything it started.
func Close(t testing.TB, s *supervisor.Supervisor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// NewModel writes a model directory that the fake worker can pretend to load.
func NewModel(t testing.TB, maxImages int) string {
	t.Helper()
	dir := t.TempDir()
	class := "QwenImageEditPipeline"
	if maxImages > 1 {
		class = "QwenImageEditPlusPipeline"
	}
	write := func(name string, v any) {
		data, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("model_index.json", map[string]string{"_class_name": class})
	write("qie.json", map[string]any{"id": fakeworker.Model, "name": "Fake", "class": class, "max_area": 256 * 256,
		"reference_area": 256 * 256, "condition_area": 256 * 256, "default_steps": 3, "default_true_cfg_scale": 1,
		"max_images": maxImages, "presets": map[string]any{"fast": map[string]any{"steps": 2, "loras": []string{"warm"}, "shift": 3}, "best": 8},
		"loras": []map[string]string{{"id": "warm", "name": "Warm", "file": "warm.safetensors", "note": "warmer colours"}}})
	write("weights.safetensors", "none")
	write("warm.safetensors", "none")
	return dir
}

// Picture is a PNG of one colour gradient.
func Picture(width, height int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{byte(x * 255 / width), byte(y * 255 / height), 0x60, 0xff})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // an encoder over a buffer
	}
	return b.Bytes()
}

// Upload puts a picture into the spool.
func Upload(t testing.TB, s *supervisor.Supervisor, data []byte) supervisor.Upload {
	t.Helper()
	u, err := s.NewUpload(t.Context(), "photo.png", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Submit queues an edit of a small picture. A prompt that begins with "fake:" is a script of fakeworker.
func Submit(t testing.TB, s *supervisor.Supervisor, prompt string) job.Job {
	t.Helper()
	WaitModel(t, s)
	j, err := s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: prompt},
		Uploads: []supervisor.Upload{Upload(t, s, Picture(96, 64))}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// WaitModel waits until the model is known.
func WaitModel(t testing.TB, s *supervisor.Supervisor) {
	t.Helper()
	Until(t, s, "a model", func() bool { return s.Model().ID != "" })
}

// WaitReady waits until a job would start at once.
func WaitReady(t testing.TB, s *supervisor.Supervisor) {
	t.Helper()
	Until(t, s, "readiness", func() bool { return len(s.Ready()) == 0 })
}

// Until waits for a condition, looking at every event.
func Until(t testing.TB, s *supervisor.Supervisor, what string, ok func() bool) {
	t.Helper()
	sub := s.Subscribe("", 0)
	defer sub.Close()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-sub.C():
			if _, err := sub.Next(); err != nil {
				sub = s.Subscribe("", 0)
				defer sub.Close()
			}
		case <-deadline.C:
			t.Fatalf("no %s after %v; state: %+v", what, Patience, s.State())
		}
	}
}

// WaitJob waits until the job fulfils the condition, and gives it.
func WaitJob(t testing.TB, s *supervisor.Supervisor, id job.ID, what string, ok func(job.Job) bool) job.Job {
	t.Helper()
	var last job.Job
	Until(t, s, what+" of job "+string(id), func() bool {
		j, err := s.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		last = j
		return ok(j)
	})
	return last
}

// WaitEnd waits for the end of a job.
func WaitEnd(t testing.TB, s *supervisor.Supervisor, id job.ID) job.Job {
	t.Helper()
	return WaitJob(t, s, id, "end", func(j job.Job) bool { return j.State.Terminal() })
}

// PythonEnv makes a folder that QIE_PYTHON_ENV can name: what lies there as Python is the binary exe, whose main calls
// fakeworker.MainIfAsked. So the real program runs with the fake worker and knows nothing of it. marker stands in the
// environment of every worker, so that a test finds its own.
func PythonEnv(dir, exe, script, marker string) error {
	site := filepath.Join(dir, "lib", "python3.12", "site-packages")
	for _, name := range []string{"torch", "diffusers", "transformers", "safetensors", "PIL", "msgspec"} {
		if err := os.MkdirAll(filepath.Join(site, name), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(site, "pyruntime.pth"), []byte("none\n"), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o700); err != nil {
		return err
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	text := "#!/bin/sh\nexport QIE_FAKE_ROLE=worker QIE_FAKE_SCRIPT=" + quote(script) + " QIE_TEST_MARKER=" + quote(marker) +
		"\nexec " + quote(exe) + ` "$@"` + "\n"
	return os.WriteFile(filepath.Join(dir, "bin", "python"), []byte(text), 0o700)
}
