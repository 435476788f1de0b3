package worker

import (
	"context"
	"sync"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/plan"
	"qie/supervisor/wire"
)

// ask is a request to the loop.
type ask struct {
	do    func() error
	reply chan error
}

func (w *Worker) ask(ctx context.Context, do func() error) error {
	a := ask{do, make(chan error, 1)}
	select {
	case w.asks <- a:
		return <-a.reply // the loop answers at once
	case <-w.done:
		return job.Errorf(job.CodeNotReady, "the worker was shut down")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Start hands over one attempt; what becomes of it comes by Emit. Before the worker is ready the plan is held, also
// over restarts. It is refused while another attempt is held, while the worker is broken, and after Stop.
func (w *Worker) Start(ctx context.Context, p plan.Plan) error {
	return w.ask(ctx, func() error {
		switch {
		case w.closing:
			return job.Errorf(job.CodeNotReady, "the worker is shutting down")
		case w.machine.state == Broken:
			return job.Errorf(job.CodeNotReady, "the worker is broken: %s", w.reason.Message).
				WithDone(w.reason.Done).WithHint(w.reason.Hint)
		case w.attempt != nil:
			return job.Errorf(job.CodeConflict, "the worker holds job %s", w.attempt.plan.Job)
		}
		w.attempt = &attempt{plan: p, phase: job.Loading}
		w.secrets.hide(p.Prompt, p.NegativePrompt)
		w.advance()
		return nil
	})
}

// Cancel stops the attempt of that job; Canceled, Finished, Failed or Died follows, whichever comes first. Asking
// twice is asking once.
func (w *Worker) Cancel(ctx context.Context, id job.ID) error {
	return w.ask(ctx, func() error {
		a := w.attempt
		switch {
		case a == nil || a.plan.Job != id:
			return job.Errorf(job.CodeNotFound, "the worker does not hold job %s", id)
		case a.canceling:
			return nil
		case !a.begun:
			w.drop()
			w.cfg.Emit(Canceled{Job: id, Attempt: a.plan.Attempt, Phase: job.Loading})
			return nil
		}
		a.canceling = true
		if w.machine.state == Stopping {
			return nil
		}
		w.step(sigCancel)
		rest := w.pulse.rest(time.Now(), a.phase)
		if w.send(a, wire.Cancel{InterruptMS: int(interruptAfter(w.limits, w.pulse.stepMean).Milliseconds())}) {
			w.reason = fault(job.CodeCanceled, "stopping; what is being computed ends "+about(rest),
				"wait; a worker that does not stop is ended").WithDone("the worker was asked to stop")
			w.climb(cancelLadder(w.limits, cancelWait(w.limits, w.pulse.stepMean, rest, lasting(w.parts.loadS))))
		}
		return nil
	})
}

func about(rest time.Duration) string {
	if rest < time.Second {
		return "at once"
	}
	return "in about " + words(rest)
}

// Unload drops the weights of an idle worker.
func (w *Worker) Unload(ctx context.Context) error {
	return w.ask(ctx, func() error {
		if w.attempt != nil {
			return job.Errorf(job.CodeConflict, "job %s uses the model", w.attempt.plan.Job)
		}
		w.unload()
		return nil
	})
}

func (w *Worker) unload() {
	if w.machine.state == Warm {
		w.step(sigUnload)
		w.send(nil, unloadMessage)
	}
}

// Restart ends the process, if there is one, and starts the next at once; a broken worker gets one more try.
func (w *Worker) Restart(ctx context.Context) error {
	return w.ask(ctx, func() error {
		switch {
		case w.closing:
			return job.Errorf(job.CodeNotReady, "the worker is shutting down")
		case w.machine.state.alive():
			w.retire()
		default:
			if w.breaker.row = 0; w.machine.state == Broken {
				w.breaker.halfOpen()
			}
			w.spawn()
			w.publish()
		}
		return nil
	})
}

// Stop ends the process and Run, and returns after the reap. When ctx ends first, the process is killed.
func (w *Worker) Stop(ctx context.Context) error {
	if !w.started.Load() {
		return nil
	}
	begin := func() error {
		if w.machine.state == Spawning || w.machine.state == Probing {
			w.close(recycleLadder(w.limits)) // it imports for seconds, reads no message meanwhile and holds nothing
			return nil
		}
		w.close(stopLadder(w.limits))
		return nil
	}
	if err := w.ask(ctx, begin); err == nil {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
		}
	}
	// Out of patience: the ask below needs no ctx, since the loop always answers and never waits.
	_ = w.ask(context.WithoutCancel(ctx), func() error { w.close(killLadder(w.limits)); return nil })
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*w.limits.Reap)
	defer cancel()
	select {
	case <-w.done:
		return nil
	case <-hard.Done():
		return job.Errorf(job.CodeInternal, "the worker does not end; the system holds it")
	}
}

// Status is a copy of the worker's state, advisory for everybody but the loop.
func (w *Worker) Status() event.Worker { return *w.status.Load() }

// inboxMax is how many messages may wait before those that the next one replaces are dropped.
const inboxMax = 4096

// inbox takes messages from the readers without ever making them wait.
type inbox struct {
	mu      sync.Mutex
	waiting []message
	wake    chan struct{}
}

func (b *inbox) put(m message) {
	b.mu.Lock()
	if len(b.waiting) < inboxMax || !m.replaceable() {
		b.waiting = append(b.waiting, m)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.waiting
	b.waiting = nil
	return taken
}

// replaceable messages say nothing that a later one does not say.
func (m message) replaceable() bool {
	if m.frame == nil {
		return false
	}
	switch m.frame.T {
	case "progress", "preview", "load_progress", "beat", "log", "pong", "mem_report", "dropped":
		return true
	}
	return m.frame.Msg == nil
}
