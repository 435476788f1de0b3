package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"qie/supervisor/event"
	"qie/supervisor/host"
	"qie/supervisor/job"
)

// bench measures the figures of README on this machine, with the real program, the real worker and the demo model.
func bench(ctx context.Context, args []string) error {
	facts := host.Read(ctx, ".")
	fmt.Printf("machine: %s, %d cores, %.0f GB, %s/%s, %s, %s\n", facts.CPU, facts.Cores, float64(facts.MemoryTotal)/(1<<30),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now().UTC().Format(time.DateOnly))
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		line("load of the machine before, 1, 5, 15 minutes", "%s", strings.Join(strings.Fields(string(load))[:3], ", "))
	}
	home, err := os.MkdirTemp("", "qie-bench-*")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(home) }()
	if slices.Contains(args, "faults") {
		return errors.Join(benchDeaths(ctx), benchInserts(ctx, home), benchEvents(ctx, home))
	}
	b := &benchmark{home: home}
	// The first start unpacks the demo; the second is what a person meets every day.
	if _, err := b.start(ctx); err != nil {
		return err
	}
	if err := b.stop(); err != nil {
		return err
	}
	took, err := b.start(ctx)
	if err != nil {
		return err
	}
	line("start to a page that answers", "%.0f ms", ms(took))
	err = b.measure(ctx)
	if err := errors.Join(err, b.stop()); err != nil {
		return err
	}
	if err := errors.Join(benchDeaths(ctx), benchInserts(ctx, home), benchEvents(ctx, home)); err != nil {
		return err
	}
	return pace(ctx, 5)
}

type benchmark struct {
	home, base string
	cmd        *exec.Cmd
	began      time.Time
}

func line(name, format string, args ...any) {
	fmt.Printf("%-58s %s\n", name, fmt.Sprintf(format, args...))
}

// start gives how long it took until the page answered.
func (b *benchmark) start(ctx context.Context) (time.Duration, error) {
	b.cmd = exec.CommandContext(ctx, ".qie/bin/qie", "serve", "--port", "0", "--data", b.home)
	b.cmd.Env = append(os.Environ(), "QIE_PYTHON_ENV="+testEnv())
	b.cmd.Cancel = func() error { return b.cmd.Process.Signal(syscall.SIGTERM) }
	b.began = time.Now()
	if err := b.cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the program (./setup.sh builds it): %w", err)
	}
	var facts struct{ URL string }
	for facts.URL == "" {
		if time.Since(b.began) > time.Minute {
			return 0, errors.New("the program does not serve within a minute")
		}
		if data, err := os.ReadFile(filepath.Join(b.home, "run", "instance.json")); err == nil {
			_ = json.Unmarshal(data, &facts) // it may be half written
		}
		time.Sleep(time.Millisecond)
	}
	b.base = facts.URL
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "text/html")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("the page: %w", err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	took := time.Since(b.began)
	return took, errors.Join(err, res.Body.Close())
}

func (b *benchmark) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return b.cmd.Wait()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *benchmark) measure(ctx context.Context) error {
	frames, hangUp, err := listen(ctx, b.base)
	if err != nil {
		return err
	}
	defer hangUp()
	h := askHealth(ctx, func() string { return b.base })
	for f := range frames {
		if f.Worker != nil && f.Worker.State == "cold" || f.State != nil && f.State.Worker.State == "cold" {
			break
		}
	}
	line("start until the worker has imported torch", "%.1f s", time.Since(b.began).Seconds())
	b.rss(ctx, "Go side at rest, RSS")
	_, err = b.edit(ctx, frames, "first edit after the start, 512x512, 4 steps", 4)
	if err != nil {
		return err
	}
	state, err := b.state(ctx)
	if err != nil {
		return err
	}
	line("  of it loading the demo after the imports", "%.2f s", state.Worker.LoadS)
	var own []float64
	for n := range 5 {
		j, err := b.edit(ctx, frames, fmt.Sprintf("edit %d with the model loaded, 512x512, 4 steps", n+1), 4)
		if err != nil {
			return err
		}
		own = append(own, j.overhead)
	}
	slices.Sort(own)
	line("outside the worker's phases per job, median of 5", "%.0f ms (all: %.0f)", own[2], own)
	b.rss(ctx, "Go side after 6 edits, RSS")
	line("worker after 6 edits, RSS", "%.0f MB", float64(state.Gauges.WorkerRSS)/1e6)
	if err := b.cancels(ctx, frames); err != nil {
		return err
	}
	if err := b.hellos(ctx, frames); err != nil {
		return err
	}
	h.report("while torch is imported, loads, edits, is killed")
	return nil
}

func (b *benchmark) rss(ctx context.Context, name string) {
	if p, err := process.NewProcessWithContext(ctx, int32(b.cmd.Process.Pid)); err == nil {
		if m, err := p.MemoryInfoWithContext(ctx); err == nil {
			line(name, "%.0f MB", float64(m.RSS)/1e6)
		}
	}
}

type frame struct {
	event.Event
	at time.Time
}

type measured struct {
	job      job.Job
	overhead float64 // milliseconds that are no phase of the worker
}

func (b *benchmark) edit(ctx context.Context, frames <-chan frame, name string, steps int) (measured, error) {
	began := time.Now()
	j, err := b.submit(ctx, steps)
	if err != nil {
		return measured{}, err
	}
	for f := range frames {
		if f.Job == nil || f.Job.ID != j.ID || !f.Job.State.Terminal() {
			continue
		}
		took := f.at.Sub(began)
		if f.Job.State != job.Succeeded {
			return measured{}, fmt.Errorf("the edit ended as %s", f.Job.State)
		}
		inside := 0.0
		var phases []string
		for _, p := range []string{"loading", "encode", "denoise", "decode", "save"} {
			inside += f.Job.Timings[p]
			phases = append(phases, fmt.Sprintf("%s %.2f", p, f.Job.Timings[p]))
		}
		line(name, "%.2f s (%s)", took.Seconds(), strings.Join(phases, ", "))
		return measured{*f.Job, ms(took) - 1000*inside}, nil
	}
	return measured{}, errors.New("the live events ended")
}

// cancels asks for the end of an edit in each phase and waits for `canceled`.
func (b *benchmark) cancels(ctx context.Context, frames <-chan frame) error {
	for _, phase := range []job.Phase{"encode", "denoise", "decode"} {
		var took []float64
		for range 3 {
			d, err := b.cancelIn(ctx, frames, phase)
			if err != nil {
				return err
			}
			took = append(took, ms(d))
		}
		line("cancel in "+string(phase)+" until canceled, worst of 3", "%.0f ms", slices.Max(took))
	}
	return nil
}

func (b *benchmark) cancelIn(ctx context.Context, frames <-chan frame, phase job.Phase) (time.Duration, error) {
	j, err := b.submit(ctx, 4)
	if err != nil {
		return 0, err
	}
	var asked time.Time
	for f := range frames {
		switch {
		case asked.IsZero() && f.Progress != nil && f.Progress.Job == j.ID && f.Progress.Phase == phase:
			asked = time.Now()
			res, err := b.post(ctx, "/api/v1/jobs/"+string(j.ID)+"/cancel", "", nil)
			if err != nil {
				return 0, err
			}
			_ = res.Body.Close()
		case f.Job != nil && f.Job.ID == j.ID && f.Job.State.Terminal():
			if f.Job.State != job.Canceled {
				return 0, fmt.Errorf("canceled in %s, but the edit ended as %s", phase, f.Job.State)
			}
			return f.at.Sub(asked), nil
		}
	}
	return 0, errors.New("the live events ended")
}

func (b *benchmark) submit(ctx context.Context, steps int) (job.Job, error) {
	photo, err := os.ReadFile("pyruntime/demo/testdata/photos/coffee.jpg")
	if err != nil {
		return job.Job{}, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("image", "coffee.jpg")
	if err == nil {
		_, err = part.Write(photo)
	}
	if err == nil {
		err = form.WriteField("recipe", fmt.Sprintf(`{"prompt":"make it sepia","seed":1,"steps":%d,"size":"512x512"}`, steps))
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return job.Job{}, err
	}
	res, err := b.post(ctx, "/api/v1/jobs", form.FormDataContentType(), &body)
	if err != nil {
		return job.Job{}, err
	}
	defer func() { _ = res.Body.Close() }()
	var j job.Job
	if res.StatusCode != http.StatusAccepted {
		text, _ := io.ReadAll(res.Body)
		return j, fmt.Errorf("submit: %s %s", res.Status, text)
	}
	return j, json.NewDecoder(res.Body).Decode(&j)
}

func (b *benchmark) post(ctx context.Context, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	return http.DefaultClient.Do(req)
}

func (b *benchmark) state(ctx context.Context) (event.State, error) {
	var s event.State
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/api/v1/state", nil)
	if err != nil {
		return s, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer func() { _ = res.Body.Close() }()
	return s, json.NewDecoder(res.Body).Decode(&s)
}
