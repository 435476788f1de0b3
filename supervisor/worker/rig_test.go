package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"qie/supervisor/job"
	"qie/supervisor/plan"
	"qie/supervisor/worker/fakeworker"
)

func TestMain(m *testing.M) {
	GuardMain()
	fakeworker.MainIfAsked()
	supervisorIfAsked()
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests; nothing should come near it.
const patience = 20 * time.Second

// rig is a worker over real processes, with all its events in one channel.
type rig struct {
	t      *testing.T
	w      *Worker
	dir    string
	log    string
	events chan Event
	seen   []Event
	n      int
}

func newRig(t *testing.T, script string, change ...func(*Config)) *rig {
	t.Helper()
	return newRigWith(t, fakeworker.Command(script), change...)
}

func newRigWith(t *testing.T, command func(int64, string) (*exec.Cmd, error), change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), events: make(chan Event, 10000)}
	r.log = filepath.Join(r.dir, "worker.log")
	var nonces sync.Map
	tracked := func(gen int64, nonce string) (*exec.Cmd, error) {
		nonces.Store(nonce, true)
		return command(gen, nonce)
	}
	cfg := Config{
		Command: tracked, LogFile: r.log, RunDir: r.dir, Device: "cpu", PreviewSide: 64,
		Emit:   func(e Event) { r.events <- e },
		Guard:  fakeworker.Guard,
		Limits: Limits{Restart: 10 * time.Millisecond, Term: time.Second, Shutdown: 2 * time.Second},
	}
	for _, f := range change {
		f(&cfg)
	}
	r.w = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
			return
		}
		ours := map[string]bool{}
		nonces.Range(func(nonce, _ any) bool { ours[nonce.(string)] = true; return true })
		nobody(t, ours, 6*time.Second)
	})
	return r
}

// plan makes a fresh attempt of a fresh job.
func (r *rig) plan(prompt string) plan.Plan {
	r.n++
	return plan.Plan{
		Job: job.NewID(), Attempt: 1, ModelID: "fake", ModelDir: "/models/fake", Prompt: prompt, Steps: 3, TrueCFGScale: 1,
		Seed: 7, WorkWidth: 64, WorkHeight: 64, OutWidth: 48, OutHeight: 40,
		ResultPath:  filepath.Join(r.dir, fmt.Sprintf("result-%d.png", r.n)),
		PreviewPath: filepath.Join(r.dir, fmt.Sprintf("preview-%d.jpg", r.n)),
	}
}

func (r *rig) start(p plan.Plan) plan.Plan {
	r.t.Helper()
	if err := r.w.Start(r.t.Context(), p); err != nil {
		r.t.Fatalf("start: %v", err)
	}
	return p
}

// until reads events up to one that fits.
func (r *rig) until(what string, fits func(Event) bool) Event {
	r.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case e := <-r.events:
			r.seen = append(r.seen, e)
			if fits(e) {
				return e
			}
		case <-limit:
			for _, e := range r.seen {
				r.t.Logf("%T %+v", e, e)
			}
			data, _ := os.ReadFile(r.log)
			r.t.Fatalf("never came: %s\nworker.log:\n%.4000s", what, data)
		}
	}
}

func (r *rig) state(s State) StatusChanged {
	r.t.Helper()
	return r.until("state "+string(s), func(e Event) bool {
		c, ok := e.(StatusChanged)
		return ok && c.Status.State == string(s)
	}).(StatusChanged)
}

func await[E Event](r *rig) E {
	r.t.Helper()
	var zero E
	return r.until(fmt.Sprintf("%T", zero), func(e Event) bool { _, ok := e.(E); return ok }).(E)
}

// end waits for the one end of the attempt.
func (r *rig) end(p plan.Plan) Event {
	r.t.Helper()
	return r.until("end of the attempt", func(e Event) bool { return endOf(e) == p.Job })
}

func endOf(e Event) job.ID {
	switch e := e.(type) {
	case Finished:
		return e.Job
	case Failed:
		return e.Job
	case Canceled:
		return e.Job
	case Died:
		return e.Job
	}
	return ""
}

// one proves that no second end came, by a further job that succeeds.
func (r *rig) one(p plan.Plan) {
	r.t.Helper()
	r.finishes("after all that")
	ends := 0
	for _, e := range r.seen {
		if endOf(e) == p.Job {
			ends++
		}
	}
	if ends != 1 {
		r.t.Errorf("the attempt has %d ends, want 1", ends)
	}
}

func (r *rig) finishes(prompt string) Finished {
	r.t.Helper()
	p := r.start(r.plan(prompt))
	done, ok := r.end(p).(Finished)
	if !ok {
		r.t.Fatalf("job ended with %+v", r.seen[len(r.seen)-1])
	}
	return done
}

func (r *rig) cancel(p plan.Plan) {
	r.t.Helper()
	if err := r.w.Cancel(r.t.Context(), p.Job); err != nil {
		r.t.Fatalf("cancel: %v", err)
	}
}

// step waits until the worker has reported a step of the attempt.
func (r *rig) step(p plan.Plan) {
	r.t.Helper()
	r.until("a step", func(e Event) bool {
		s, ok := e.(Progress)
		return ok && s.Job == p.Job && s.Phase == job.Denoise && s.Step > 0
	})
}

func (r *rig) phase(p plan.Plan, phase job.Phase) {
	r.t.Helper()
	r.until("phase "+string(phase), func(e Event) bool {
		s, ok := e.(Progress)
		return ok && s.Job == p.Job && s.Phase == phase
	})
}

func (r *rig) pid() int { return r.w.Status().PID }

// gone waits until no process of that group or pid (negative) exists.
func gone(t *testing.T, pid int) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && !zombie(pid) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// zombie tells whether the process is dead and only waits for its new parent, which in a container may never come.
func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", max(pid, -pid)))
	if err != nil {
		return false
	}
	for i := len(data) - 1; i > 0; i-- {
		if data[i] == ')' {
			return i+2 < len(data) && data[i+2] == 'Z'
		}
	}
	return false
}
