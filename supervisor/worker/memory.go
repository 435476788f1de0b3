package worker

import (
	"fmt"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/plan"
)

// pressureCritical is what macOS calls critical.
const pressureCritical = 4

// noticeTight lasts until an attempt begins that fits well.
const noticeTight = "memory_tight"

// room is what the device of this worker can hold, and what of it is free for an attempt: what the worker itself holds is,
// since weights that are in the way go first.
func (w *Worker) room() plan.Room {
	m := w.probe.Memory()
	room := plan.Room{Total: m.Total, Pressed: w.probe.Pressure() >= pressureCritical}
	if m.Held > 0 {
		room.Free = max(m.Total-max(m.Held-w.parts.rss, 0), 1)
	}
	if w.parts.deviceMax <= 0 {
		return room
	}
	if w.parts.device == "cuda" { // memory of its own
		return plan.Room{Total: w.parts.deviceMax, Free: w.parts.deviceFree, GPU: true}
	}
	// One memory for all: the device's limit is a part of it.
	room.Total = min(room.Total, w.parts.deviceMax)
	room.Free = min(room.Free, room.Total)
	return room
}

// admitted chooses the memory plan of an attempt, from the first that it may have down to the one that fits. An attempt
// that fits nowhere ends before it begins.
func (w *Worker) admitted(a *attempt) bool {
	if a.admitted {
		return true
	}
	memory := a.plan.Predict(plan.ItemBytes(w.parts.dtype))
	choice, err := plan.Choose(memory, profileOf(a.plan), w.room(), w.cfg.MemoryOverride)
	a.plan.Profile = choice.Profile
	w.cfg.Emit(Planned{Job: a.plan.Job, Attempt: a.plan.Attempt, Choice: choice})
	if err != nil {
		why := job.AsError(err)
		w.fail(fault(why.Code, why.Message, "choose a smaller model, or start qie with QIE_MEMORY_OVERRIDE=1 to try it all the same").
			WithDone("it was not loaded"))
		return false
	}
	a.admitted = true
	if w.tight && !choice.Tight {
		w.cfg.Emit(Over{noticeTight})
	}
	if w.tight = choice.Tight; w.tight {
		w.cfg.Emit(Began{job.Notice{Code: noticeTight,
			Message: "the model's memory is tight: " + choice.Numbers() + "; close other programs, or it may get slow or fail"}})
	}
	return true
}

// creepShare of all memory is what a worker may hold beyond its first job before it is replaced between two jobs.
const creepShare = 0.15

// crept tells whether the worker holds far more than after its first job: allocators keep what they once took.
func crept(now, start, total int64) bool {
	return start > 0 && total > 0 && float64(now-start) > creepShare*float64(total)
}

// settledIn notes what the worker holds once it has done a job; allocators keep what a job needs for the next.
func (w *Worker) settledIn() {
	if w.settled == 0 {
		w.settled = w.parts.rss
	}
}

// replaceCrept ends an idle worker that has grown; the next one starts clean.
func (w *Worker) replaceCrept() {
	if w.attempt != nil || w.machine.state != Warm || !crept(w.parts.rss, w.settled, w.total) {
		return
	}
	w.cfg.Log.Info("the worker has grown and is replaced", "generation", w.gen, "bytes", w.parts.rss, "start", w.settled)
	w.cfg.Emit(Noticed{job.Notice{Code: "worker_replaced", Message: fmt.Sprintf("the worker had grown from %.1f to %s "+
		"and is started afresh between two jobs", float64(w.settled)/1e9, host.Gigabytes(w.parts.rss))}})
	w.retire()
}

// freed tells whether an unload gave back what the load took; small models are not judged.
func (w *Worker) freed() bool {
	weights := w.full - w.empty
	return weights < footprintNoise || float64(w.full-w.parts.rss) >= backShare*float64(weights)
}
