package supervisortest

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/host"
	"qie/supervisor/job"
)

// orphanLimit is how long a process of ours may outlive its supervisor.
const orphanLimit = 6 * time.Second

// Fault opens a supervisor like New, and checks at the end of the test what must hold after any fault: every job that
// was accepted is still known, none has ended twice, no process with a nonce of ours lives, and goroutines and
// descriptors are back to what they were.
func Fault(t testing.TB, options ...Option) *supervisor.Supervisor {
	t.Helper()
	prime(t)
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors()
	var nonces sync.Map
	cfg := Config(t, options...)
	provide := cfg.ProvideWorker
	cfg.ProvideWorker = func(ctx context.Context, report func(string)) (supervisor.CommandFunc, error) {
		command, err := provide(ctx, report)
		return func(generation int64, nonce string) (*exec.Cmd, error) {
			nonces.Store(nonce, true)
			return command(generation, nonce)
		}, err
	}
	s, err := supervisor.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := watchJobs(s)
	t.Cleanup(func() {
		w.check(t, s)
		Close(t, s)
		ours := map[string]bool{}
		nonces.Range(func(nonce, _ any) bool { ours[nonce.(string)] = true; return true })
		settle(t, orphanLimit, "a process of ours", func() int { return len(host.WithEnv("QIE_NONCE", ours)) }, 0)
		settle(t, Patience, "goroutines", runtime.NumGoroutine, goroutines)
		settle(t, Patience, "descriptors", countDescriptors, descriptors)
	})
	return s
}

// settle waits until count falls to most.
func settle(t testing.TB, limit time.Duration, what string, count func() int, most int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for count() > most {
		select {
		case <-tick.C:
		case <-deadline:
			buf := make([]byte, 1<<16)
			t.Errorf("%s: %d are left, %d were there before\n%s", what, count(), most, buf[:runtime.Stack(buf, true)])
			return
		}
	}
}

// prime opens what the runtime opens once and keeps.
func prime(t testing.TB) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.SetDeadline(time.Now().Add(time.Hour))
	_, _ = r.Close(), w.Close()
}

func countDescriptors() int {
	entries, _ := os.ReadDir("/dev/fd")
	return len(entries)
}

// jobs counts the ends that were told.
type jobs struct {
	sub  *event.Subscription
	stop chan struct{}
	done chan struct{}

	ends map[job.ID]int // since the job was queued last
	seen map[job.ID]bool
	gone map[job.ID]bool // removed by a person
	lost bool            // events were missed
}

func watchJobs(s *supervisor.Supervisor) *jobs {
	w := &jobs{sub: s.Subscribe("", -1), stop: make(chan struct{}), done: make(chan struct{}), ends: map[job.ID]int{},
		seen: map[job.ID]bool{}, gone: map[job.ID]bool{}}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.sub.C():
				w.read()
			case <-w.stop:
				w.read()
				return
			}
		}
	}()
	return w
}

func (w *jobs) read() {
	events, err := w.sub.Next()
	w.lost = w.lost || err != nil
	for _, e := range events {
		switch {
		case e.ID != "":
			w.gone[e.ID] = true
		case e.Type == event.TypeJobChanged && e.Job != nil:
			w.seen[e.Job.ID] = true
			if e.Job.State == job.Queued {
				w.ends[e.Job.ID] = 0 // also a retry that a person asked for
			}
			if e.Job.State.Terminal() {
				w.ends[e.Job.ID]++
			}
		}
	}
}

func (w *jobs) check(t testing.TB, s *supervisor.Supervisor) {
	t.Helper()
	close(w.stop)
	<-w.done
	w.sub.Close()
	if w.lost {
		t.Error("events were missed, so the ends cannot be counted")
	}
	for id := range w.seen {
		if w.gone[id] {
			continue
		}
		j, err := s.Job(context.WithoutCancel(t.Context()), id) // in a cleanup the test's own is over
		switch {
		case err != nil:
			t.Errorf("job %s is lost: %v", id, err)
		case w.ends[id] > 1 || j.State.Terminal() && w.ends[id] != 1:
			t.Errorf("job %s is %s and was told to end %d times", id, j.State, w.ends[id])
		}
	}
}
