package worker

import (
	"fmt"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/plan"
)

// The gate before a load, as shares of all memory.
const (
	gateWarn = 0.85
	gateStop = 0.95
	// pressureCritical is what macOS calls critical.
	pressureCritical = 4
)

type gateVerdict int

const (
	gateOpen gateVerdict = iota
	gateTight
	gateShut
)

// gate judges a load that needs so many bytes, before it takes the machine down.
func gate(need, total int64, pressure int) gateVerdict {
	if need < footprintNoise || total <= 0 {
		return gateOpen
	}
	share := float64(need) / float64(total)
	switch {
	case share >= gateStop:
		return gateShut
	case share >= gateWarn || pressure >= pressureCritical:
		return gateTight
	}
	return gateOpen
}

// need estimates what the weights of a plan will hold: their files times what was measured the last time, and until
// then what the number format makes of files in 16 bit.
func (w *Worker) need(p plan.Plan) int64 {
	factor := w.factor
	if factor == 0 {
		if factor = 1; w.parts.dtype == "float32" {
			factor = 2
		}
	}
	return int64(float64(p.WeightBytes) * factor)
}

// admitted asks the gate; a load that does not fit ends the attempt before it begins.
func (w *Worker) admitted(a *attempt) bool {
	need := w.need(a.plan)
	numbers := fmt.Sprintf("the model needs about %s and this computer has %s", host.Gigabytes(need), host.Gigabytes(w.total))
	switch gate(need, w.total, w.probe.Pressure()) {
	case gateShut:
		if w.cfg.MemoryOverride {
			break
		}
		w.fail(fault(job.CodeOOMLoad, numbers+", which would take the computer down",
			"choose a smaller model, or start qie with QIE_MEMORY_OVERRIDE=1 to try it all the same").WithDone("it was not loaded"))
		return false
	case gateOpen:
		return true
	}
	w.cfg.Emit(Noticed{job.Notice{Code: "memory_tight", Message: numbers + "; close other programs, or it may get slow or fail"}})
	return true
}

// measured learns what a load really took.
func (w *Worker) measured(p plan.Plan) {
	if grew := w.full - w.empty; p.WeightBytes >= footprintNoise && grew >= footprintNoise && w.empty > 0 {
		w.factor = float64(grew) / float64(p.WeightBytes)
	}
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
