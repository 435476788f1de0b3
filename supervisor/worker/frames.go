package worker

import (
	"fmt"
	"time"

	"qie/supervisor/job"
	"qie/supervisor/wire"
)

var (
	unloadMessage = wire.Unload{}
	memMessage    = wire.Mem{}
)

// take handles what a process said.
func (w *Worker) take(m message) {
	if m.gen != w.gen || w.process == nil {
		w.counts.Stale++
		return
	}
	switch {
	case m.exit != nil:
		w.exited(*m.exit)
	case m.stuck:
		w.deaf(time.Now())
	case m.reads:
		w.hears()
	case m.oversize:
		if w.end.over++; w.end.over == oversizeMax {
			w.recycle(fault(job.CodeProtocol, fmt.Sprintf("the worker wrote %d lines that are too long", oversizeMax), hintLog))
		}
	case m.look != nil:
		w.looked(*m.look)
	case m.battery != nil:
		w.charged(*m.battery)
	case m.frame != nil:
		w.frame(m.frame)
	case m.eof:
		// Normally the exit follows within milliseconds; a process that lives on without a voice is ended.
		if len(w.ladder) == 0 {
			w.climb(mutedLadder(w.limits))
		}
	}
}

// frame handles one message of the running generation.
func (w *Worker) frame(f *wire.Frame) {
	now := time.Now()
	early := w.machine.state == Spawning || w.machine.state == Probing
	if f.Gen != w.gen && !(f.Gen == 0 && early) {
		w.counts.Stale++
		return
	}
	w.pulse.listen(now)
	if w.machine.state == Suspect {
		defer w.trust()()
	}
	switch msg := f.Msg.(type) {
	case nil:
		w.counts.Unknown++
	case *wire.Hello:
		w.hello(msg)
	case *wire.Ready:
		w.becameReady(msg)
	case *wire.Beat:
		w.pulse.beat(now, msg.Tick)
		w.footprint(now, msg.Bytes)
		w.settleUnload(now)
		w.replaceCrept()
		w.askFree()
	case *wire.MemReport:
		w.footprint(now, msg.Bytes)
		if msg.DeviceFree > 0 {
			w.parts.deviceFree = msg.DeviceFree + msg.DeviceBytes
		}
	case *wire.Log:
		w.log.line(w.gen, msg.Level, w.secrets.clean(wire.Escape([]byte(msg.Text))))
	case *wire.Dropped:
		w.cfg.Log.Warn("the worker dropped lines", "count", msg.Count, "generation", w.gen)
	case *wire.Fatal:
		msg.Message = w.secrets.clean(msg.Message) // it goes into logs and reports
		w.end.fatal = msg
	case *wire.Bye:
		w.end.bye = true
	case *wire.Pong:
	case *wire.Unloaded:
		w.footprint(now, msg.Bytes)
		if w.machine.state == Unloading && w.unloaded.IsZero() {
			w.modelDir, w.unloaded = "", now
		}
		w.settleUnload(now)
	default:
		w.attemptFrame(f, now)
		w.askFree()
	}
}

// askFree asks an idle worker what is free of a GPU's own memory, which only its process can tell: so the choice for the
// next attempt knows what other programs have taken since.
func (w *Worker) askFree() {
	if w.attempt == nil && w.parts.device == "cuda" && (w.machine.state == Cold || w.machine.state == Warm) {
		w.send(nil, memMessage)
	}
}

// settleUnload ends an unload once the memory is back; a worker that keeps it is replaced.
func (w *Worker) settleUnload(now time.Time) {
	if w.machine.state != Unloading || w.unloaded.IsZero() {
		return
	}
	switch {
	case w.freed():
		w.unloaded, w.full, w.settled, w.empty = time.Time{}, 0, 0, w.parts.rss
		w.step(sigCold)
		w.advance()
	case now.Sub(w.unloaded) >= w.limits.MemoryBack:
		w.cfg.Log.Warn("an unload did not give the memory back; the worker is replaced", "bytes", w.parts.rss)
		w.retire()
	default:
		w.send(nil, memMessage)
	}
}

func (w *Worker) hello(msg *wire.Hello) {
	switch {
	case w.machine.state != Spawning:
		w.counts.Odd++
	case msg.Nonce != w.process.nonce:
		// Not from our child, or not this one; the hello limit ends it if the right one never comes.
		w.cfg.Log.Warn("a hello with a wrong nonce was ignored", "generation", w.gen)
	case msg.Protocol != wire.Version:
		w.recycle(fault(job.CodeProtocol, fmt.Sprintf("the worker speaks protocol %d, the supervisor %d", msg.Protocol,
			wire.Version), hintUpdated))
	default:
		w.step(sigHello)
		w.send(nil, wire.Configure{Device: w.cfg.Device, ScratchDir: w.cfg.RunDir, BeatMS: beatMS,
			MaxPixels: w.cfg.MaxPixels, PreviewSide: w.cfg.PreviewSide, CPUThreads: w.cfg.CPUThreads})
	}
}

func (w *Worker) becameReady(msg *wire.Ready) {
	if w.machine.state != Probing {
		w.counts.Odd++
		return
	}
	w.step(sigReady)
	w.ready, w.breaker.early = time.Now(), 0
	w.note(func(s *statusParts) {
		s.device, s.dtype, s.torch, s.deviceMax, s.deviceFree = msg.Device, msg.DType, msg.Torch, msg.DeviceMax, msg.DeviceFree
	})
	w.cfg.Log.Info("worker ready", "generation", w.gen, "device", msg.Device, "dtype", msg.DType,
		"import_s", msg.ImportS)
	w.send(nil, memMessage)
	w.advance()
}

// attemptFrame handles what belongs to the attempt. A message of another job or attempt is old news.
func (w *Worker) attemptFrame(f *wire.Frame, now time.Time) {
	a := w.attempt
	aboutLoad := f.Job == "" && a != nil && a.begun && !a.sent
	if a == nil || !a.begun || !aboutLoad && (f.Job != string(a.plan.Job) || f.Attempt != a.plan.Attempt) {
		w.counts.Stale++
		return
	}
	id, attempt := a.plan.Job, a.plan.Attempt
	w.pulse.work(now)
	switch msg := f.Msg.(type) {
	case *wire.LoadProgress:
		w.note(func(s *statusParts) { s.bytesDone, s.bytesTotal = msg.BytesDone, msg.BytesTotal })
		p := Progress{Job: id, Attempt: attempt, Phase: job.Loading, Steps: a.plan.Steps}
		if msg.BytesTotal > 0 {
			p.Fraction = float64(msg.BytesDone) / float64(msg.BytesTotal)
		}
		w.cfg.Emit(p)
	case *wire.Loaded:
		w.loaded(a, msg)
	case *wire.Accepted:
		a.phase = job.Encode
		w.cfg.Emit(Accepted{Job: id, Attempt: attempt})
	case *wire.Phase:
		w.pulse.phase(now, a.phase, job.Phase(msg.Phase))
		a.phase = job.Phase(msg.Phase)
		w.cfg.Emit(Progress{Job: id, Attempt: attempt, Phase: a.phase, Steps: a.plan.Steps})
	case *wire.Progress:
		a.phase = job.Phase(msg.Phase)
		w.pulse.step(lasting(msg.StepS))
		w.cfg.Emit(Progress{Job: id, Attempt: attempt, Phase: a.phase, Step: msg.Step, Steps: msg.Steps,
			Fraction: msg.Fraction, StepS: msg.StepS})
		w.pauseIfLow()
	case *wire.Resumed:
		w.cfg.Emit(Resumed{Job: id, Attempt: attempt, Step: msg.Step})
	case *wire.Preview:
		w.cfg.Emit(Preview{Job: id, Attempt: attempt, Step: msg.Step})
	case *wire.Result:
		if !a.sent {
			w.counts.Odd++
			return
		}
		w.finish(msg)
	case *wire.Canceled:
		w.stopped(a, job.Phase(msg.Phase))
	case *wire.Error:
		w.failed(msg)
	}
}

func (w *Worker) loaded(a *attempt, msg *wire.Loaded) {
	if a.sent || w.machine.state != Loading && w.machine.state != Canceling {
		w.counts.Odd++
		return
	}
	w.modelDir, w.loadedAs = a.plan.ModelDir, profileOf(a.plan)
	w.note(func(s *statusParts) { s.model, s.loadS, s.rss = a.plan.ModelID, msg.Seconds, msg.Bytes })
	w.full, w.settled = msg.Bytes, 0 // other weights, or another plan: what a job needs is learned anew
	if a.canceling {
		// The weights were there before the cancel arrived. Nothing was generated, so this is the end of the attempt; a
		// canceled that is still on its way finds no attempt and is dropped.
		w.stopped(a, job.Loading)
		return
	}
	w.step(sigWarm)
	w.advance()
}

// settle brings the state back to idle after the end of an attempt, and ends a cancel ladder.
func (w *Worker) settle() {
	if w.machine.state == Stopping {
		return // a ladder took over; the exit follows
	}
	w.ladder, w.reason = nil, nil
	if w.modelDir == "" {
		w.step(sigCold)
		return
	}
	w.step(sigWarm)
}

func (w *Worker) finish(msg *wire.Result) {
	a := w.attempt
	done := Finished{Job: a.plan.Job, Attempt: a.plan.Attempt, Path: msg.Path, Bytes: msg.Bytes, SHA256: msg.SHA256,
		Width: msg.Width, Height: msg.Height, Seed: msg.Seed, Timings: map[string]float64{}}
	for _, t := range msg.Timings {
		done.Timings[t.Name] = t.Seconds
	}
	if msg.Unchanged {
		done.Notices = []job.Notice{{Code: "no_visible_change", Message: "the result shows no visible change"}}
	}
	w.breaker.finished()
	w.settle()
	w.drop()
	w.cfg.Emit(done)
	w.settledIn()
	w.replaceCrept()
}

func (w *Worker) stopped(a *attempt, phase job.Phase) {
	w.settle()
	w.drop()
	w.cfg.Emit(Canceled{Job: a.plan.Job, Attempt: a.plan.Attempt, Phase: phase})
	w.replaceCrept()
}

func (w *Worker) failed(msg *wire.Error) {
	err := &job.Error{Code: job.Code(msg.Code), Message: w.secrets.clean(msg.Message)}
	if !known[err.Code] {
		err.Code = job.CodeInternal
	}
	switch err.Code {
	case job.CodeWeightsMissing, job.CodeWeightsCorrupt:
		err.Hint = hintModel
	case job.CodeOOMLoad, job.CodeOOMRun:
		err.Hint = hintMemory
	}
	if msg.Trace != "" {
		w.log.line(w.gen, "trace", w.secrets.clean(wire.Escape([]byte(msg.Trace))))
	}
	if msg.FatalProcess {
		// The process ends by itself; nothing new is sent to it.
		w.end.why = err
		w.halt()
		w.climb(mutedLadder(w.limits))
	} else {
		w.settle()
	}
	w.fail(err)
}

var known = func() map[job.Code]bool {
	codes := map[job.Code]bool{}
	for _, c := range job.Codes() {
		codes[c] = true
	}
	return codes
}()
