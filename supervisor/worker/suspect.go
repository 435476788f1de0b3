package worker

import (
	"fmt"
	"syscall"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
)

// doubt is what is known of a process of which nothing was heard for too long.
type doubt struct {
	next    time.Time // the next look; zero when there is none
	first   *host.Process
	firstAt time.Time
	stopped bool
	deaf    time.Time // when one that reads nothing is recycled; zero while it reads
}

// suspect begins to doubt. The process is looked at outside the loop: asking a Mac starts a program.
func (w *Worker) suspect(why string) {
	w.cfg.Log.Warn("the worker is suspect", "why", why, "generation", w.gen, "state", w.machine.state)
	w.step(sigSuspect)
	w.doubt = doubt{deaf: w.doubt.deaf}
	w.reason = fault(job.CodeWorkerStalled, "the worker is not responding: "+why, hintSilent).
		WithDone("qie looks at what it does; it is ended when it takes too long")
	w.examine()
}

// deaf begins to doubt a worker that takes no line. It may be stopped, and go on when it is asked to.
func (w *Worker) deaf(now time.Time) {
	w.doubt.deaf = now.Add(w.limits.Beat)
	switch state := w.machine.state; {
	case state.beats():
		w.suspect("it stopped reading")
	case state == Spawning || state == Probing:
		w.recycle(stoppedReading)
	}
	// A ladder ends what is canceling or stopping, and a suspect has its deadline now.
}

// hears ends that doubt.
func (w *Worker) hears() {
	w.doubt.deaf = time.Time{}
	if w.machine.state == Suspect {
		w.trust()()
	}
}

// trust takes a suspect back that spoke. One that speaks and reads nothing stays suspect behind what it said.
func (w *Worker) trust() (after func()) {
	w.step(sigRecover)
	if w.doubt.deaf.IsZero() {
		w.cfg.Log.Info("the worker answers again", "generation", w.gen)
		w.reason, w.doubt = nil, doubt{}
		return func() {}
	}
	return func() {
		if w.process != nil && w.machine.state.beats() {
			w.step(sigSuspect)
		}
	}
}

var stoppedReading = fault(job.CodeWorkerStalled, "the worker stopped reading", hintLog)

// examine asks what the process does and comes back as a message.
func (w *Worker) examine() {
	gen, pid, probe, out := w.gen, w.process.pid, w.probe, w.inbox.put
	w.doubt.next = time.Now().Add(w.limits.Beat)
	go func() {
		if p, ok := probe.Process(pid); ok {
			out(message{gen: gen, look: &p})
		}
	}()
}

// looked takes the answer: a stopped process is asked to go on, any other to write down where it stands.
func (w *Worker) looked(p host.Process) {
	if w.machine.state != Suspect {
		return
	}
	now := time.Now()
	if p.Stopped {
		w.doubt.stopped = true
		w.cfg.Log.Warn("the worker was stopped from outside; it is asked to go on", "generation", w.gen)
		w.log.line(w.gen, "qie", "the process was stopped (state T); SIGCONT is sent")
		w.reason = fault(job.CodeWorkerStalled, "the worker was stopped from outside", hintSilent).
			WithDone("it was asked to go on")
		signalGroup(w.process.pid, syscall.SIGCONT)
		return
	}
	if w.doubt.first == nil {
		w.doubt.first, w.doubt.firstAt = &p, now
		w.dump()
		return
	}
	took := now.Sub(w.doubt.firstAt)
	share := float64(p.CPU-w.doubt.first.CPU) / float64(max(took, 1))
	doing := "it waits for something and computes nothing"
	if share > 0.1 {
		doing = fmt.Sprintf("it computes (%.0f %% of a processor core)", 100*share)
	}
	w.cfg.Log.Warn("the worker is still silent", "generation", w.gen, "cpu", share)
	w.reason = fault(job.CodeWorkerStalled, fmt.Sprintf("the worker is not responding for %s; %s",
		words(now.Sub(w.pulse.heard)), doing), hintSilent).WithDone("its stacks were written to logs/worker.log; it is ended when it takes too long")
}

// dump asks the worker to write its stacks to its log. Its handler needs no interpreter lock.
func (w *Worker) dump() {
	if w.machine.state != Spawning && w.machine.state != Probing && w.process != nil {
		_ = syscall.Kill(w.process.pid, syscall.SIGUSR1)
	}
}
