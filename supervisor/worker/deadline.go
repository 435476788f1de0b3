package worker

import (
	"fmt"
	"syscall"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/wire"
)

// idle is how long the loop sleeps when nothing is due.
const idle = time.Hour

// publishEvery bounds how often load progress in bytes is published.
const publishEvery = 500 * time.Millisecond

// silence gives when beats and work become overdue; zero times are never.
func (w *Worker) silence() (beat, work time.Time) {
	if w.power.paused {
		return beat, work // it is silent because we stopped it
	}
	defer func() {
		for _, t := range []*time.Time{&beat, &work} {
			if !t.IsZero() && t.Before(w.power.grace) {
				*t = w.power.grace
			}
		}
	}()
	state, suspect := w.machine.state, w.machine.state == Suspect
	if suspect {
		state = w.machine.before
	}
	if !suspect && state.beats() {
		beat = w.pulse.heard.Add(w.limits.Beat)
	}
	phase := job.Loading
	if w.attempt != nil {
		phase = w.attempt.phase
	}
	limit := budget(w.limits, state, phase, w.pulse)
	if limit == 0 && suspect {
		limit = w.limits.Step
	}
	if limit > 0 {
		work = w.pulse.worked.Add(limit)
		if suspect && w.pulse.heard.Add(limit).After(work) {
			work = w.pulse.heard.Add(limit)
		}
	}
	return beat, work
}

func (w *Worker) untilDue(now time.Time) time.Duration {
	next := now.Add(idle)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	beat, work := w.silence()
	sooner(beat)
	sooner(work)
	sooner(w.guardAt)
	if w.waitsForStart() {
		sooner(w.backoffAt)
	}
	sooner(w.cleared.next)
	sooner(w.power.next)
	sooner(w.idleUntil())
	if w.machine.state == Suspect {
		sooner(w.doubt.next)
		sooner(w.doubt.deaf)
	}
	if w.machine.state == Unloading && !w.unloaded.IsZero() {
		sooner(w.pulse.heard.Add(w.limits.MemoryPoll))
	}
	if len(w.ladder) > 0 {
		sooner(w.ladderAt)
	}
	return max(next.Sub(now), 0)
}

func (w *Worker) due(now time.Time) {
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(w.guardAt) {
		w.guardAt = time.Time{}
		if err := w.guard.start(); err != nil {
			w.cfg.Log.Error("the orphan guard did not start", "err", err)
			w.guardAt = now.Add(w.limits.Restart)
		}
	}
	if past(w.cleared.next) {
		w.look(now)
	}
	if w.waitsForStart() && past(w.backoffAt) {
		if w.machine.state == Broken {
			w.breaker.halfOpen()
		}
		w.spawn()
		return
	}
	for len(w.ladder) > 0 && past(w.ladderAt) {
		w.climbOne(now)
	}
	if past(w.power.next) {
		w.charge()
	}
	if past(w.idleUntil()) {
		w.cfg.Log.Info("the weights are dropped: no job for long", "generation", w.gen, "limit", w.limits.Idle)
		w.unload()
		return
	}
	if w.machine.state == Unloading && !w.unloaded.IsZero() && past(w.pulse.heard.Add(w.limits.MemoryPoll)) {
		w.pulse.listen(now) // so that the next question waits a poll again
		w.settleUnload(now)
		return
	}
	if w.machine.state == Suspect && past(w.doubt.deaf) {
		w.recycle(stoppedReading)
		return
	}
	if w.machine.state == Suspect && past(w.doubt.next) {
		w.examine()
	}
	beat, work := w.silence()
	if past(work) {
		w.recycle(fault(job.CodeWorkerStalled, fmt.Sprintf("the worker did not get on for %s while %s",
			now.Sub(w.pulse.worked).Round(time.Second), w.doing()), hintLog))
		return
	}
	if past(beat) {
		w.suspect("nothing was heard of it for " + words(w.limits.Beat))
	}
}

// idleUntil is when idle weights are dropped; zero is never.
func (w *Worker) idleUntil() time.Time {
	if w.machine.state != Warm || w.attempt != nil || w.limits.Idle < 0 {
		return time.Time{}
	}
	return w.idleSince.Add(w.limits.Idle)
}

func (w *Worker) waitsForStart() bool { return w.machine.state == Backoff || w.machine.state == Broken }

func (w *Worker) doing() string {
	switch state := w.machine.state; {
	case state == Spawning || state == Probing:
		return "starting"
	case w.attempt != nil && w.attempt.phase != "":
		return "in phase " + string(w.attempt.phase)
	default:
		return string(state)
	}
}

// close ends the process and then Run.
func (w *Worker) close(rungs []rung) {
	w.closing, w.end.wanted = true, true
	if w.machine.state.alive() {
		w.climb(rungs)
		return
	}
	if a := w.attempt; a != nil {
		w.drop()
		w.cfg.Emit(Died{Generation: w.gen, Job: a.plan.Job, Attempt: a.plan.Attempt, Wanted: true,
			Err: fault(job.CodeWorkerDied, "qie was stopped before the job began", "")})
	}
	w.step(sigRest)
}

// recycle ends a stuck process for a reason; one ladder is enough.
func (w *Worker) recycle(why *job.Error) {
	if w.machine.state == Stopping || w.process == nil {
		return
	}
	w.cfg.Log.Warn("the worker is recycled", "generation", w.gen, "err", why)
	w.end.why = why
	w.climb(recycleLadder(w.limits))
}

// retire ends a healthy worker so that a fresh one takes its place.
func (w *Worker) retire() {
	w.end.wanted = true
	w.climb(stopLadder(w.limits))
}

// climb starts a ladder in place of the one that runs.
func (w *Worker) climb(rungs []rung) {
	w.resume()
	now := time.Now()
	w.ladder, w.ladderAt = rungs, now.Add(rungs[0].after)
	for len(w.ladder) > 0 && !now.Before(w.ladderAt) {
		w.climbOne(now)
	}
}

func (w *Worker) climbOne(now time.Time) {
	do := w.ladder[0].do
	w.ladder = w.ladder[1:]
	if len(w.ladder) > 0 {
		w.ladderAt = now.Add(w.ladder[0].after)
	}
	if w.process == nil {
		return
	}
	w.halt()
	switch do {
	case doShutdown:
		w.send(nil, wire.Shutdown{GraceMS: int(w.limits.Shutdown.Milliseconds())})
	case doHangUp:
		w.process.hangUp()
	case doTerm:
		if w.attempt != nil && w.attempt.canceling {
			w.end.wanted = true // a cancel that needs a kill is a cancel, and no crash
		}
		w.signal(syscall.SIGTERM)
		signalGroup(w.process.pid, syscall.SIGCONT) // a stopped process takes no TERM
	case doDump:
		w.dump()
	case doKill:
		w.signal(syscall.SIGKILL)
	case doGiveUp:
		w.reason = fault(job.CodeInternal, "the worker does not end; the system holds it", "restart the computer").
			WithDone("it was killed, and no other is started until it is gone")
		w.cfg.Log.Error("the worker does not end after KILL", "generation", w.gen, "pid", w.process.pid)
	}
}

// signal sends to the process group and remembers that it was us.
func (w *Worker) signal(sig syscall.Signal) {
	w.end.sent = sig
	w.cfg.kill(w.process.pid, sig)
}

// halt enters stopping and remembers what was going on.
func (w *Worker) halt() {
	if w.machine.state == Stopping {
		return
	}
	w.end.from = w.machine.state
	if w.end.from == Suspect {
		w.end.from = w.machine.before
	}
	w.step(sigStop)
}

// statusParts is what the worker said about itself.
type statusParts struct {
	device, dtype, torch, model string
	report                      string // name of the newest crash report
	loadS                       float64
	rss, bytesDone, bytesTotal  int64
	deviceMax                   int64 // 0 is unknown
	deviceFree                  int64 // of them held by nobody else when it was asked last; 0 is unknown
}

func (w *Worker) note(change func(*statusParts)) { change(&w.parts) }

// publish stores the status and tells it when more than gauges changed.
func (w *Worker) publish() {
	now := time.Now()
	s := event.Worker{State: string(w.machine.state), Generation: w.gen, Device: w.parts.device, DType: w.parts.dtype,
		Torch: w.parts.torch, DeviceBytes: w.parts.deviceMax, LoadS: w.parts.loadS, Report: w.parts.report}
	if w.process != nil {
		s.PID, s.RSSBytes = w.process.pid, w.parts.rss
	}
	if w.modelDir != "" {
		s.Model = w.parts.model
	}
	if w.attempt != nil {
		s.Job = w.attempt.plan.Job
	}
	if w.machine.state == Loading {
		s.BytesDone, s.BytesTotal = w.parts.bytesDone, w.parts.bytesTotal
	}
	if w.reason != nil {
		why := w.reason.Failure()
		s.Code, s.Reason, s.Done, s.Hint = string(why.Code), why.Message, why.Done, why.Hint
	}
	if w.waitsForStart() && !w.backoffAt.IsZero() {
		s.RetryInS = max(w.backoffAt.Sub(now).Seconds(), 0)
	}
	w.status.Store(&s)
	same := s
	same.RSSBytes, same.RetryInS = w.seen.RSSBytes, w.seen.RetryInS
	if now.Sub(w.bytesAt) < publishEvery {
		same.BytesDone, same.BytesTotal = w.seen.BytesDone, w.seen.BytesTotal
	}
	if same == w.seen {
		return
	}
	w.seen, w.bytesAt = s, now
	w.cfg.Emit(StatusChanged{Status: s})
}
