package worker

import (
	"fmt"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/plan"
)

const (
	// footprintNoise is what other programs come and go with; less is not judged.
	footprintNoise = 1 << 30
	// returnMin: of a smaller footprint the return is not judged after a death. A quarter may stay away (backShare), which
	// must be more than noise: at 1 GB each second kill of the demo was taken for memory that had not come back.
	returnMin = footprintNoise * 4
	// backShare of a footprint has to be free again after a death or an unload.
	backShare = 0.75
	// heldEvery bounds how often the machine's memory is read while a large worker lives.
	heldEvery    = 10 * time.Second
	traceSamples = 60
	// peakWindow is how far back a footprint still speaks for a memory kill.
	peakWindow = 10 * time.Second
)

// trace is the newest footprints of a generation, oldest first.
type trace struct{ samples []sample }

type sample struct {
	at    time.Time
	bytes int64
}

func (t *trace) add(now time.Time, bytes int64) {
	if len(t.samples) == traceSamples {
		t.samples = append(t.samples[:0], t.samples[1:]...)
	}
	t.samples = append(t.samples, sample{now, bytes})
}

// peak is the largest recent footprint as a share of all memory.
func (t *trace) peak(now time.Time, total int64) float64 {
	var most int64
	for _, s := range t.samples {
		if now.Sub(s.at) <= peakWindow {
			most = max(most, s.bytes)
		}
	}
	if total <= 0 {
		return 0
	}
	return float64(most) / float64(total)
}

func (t *trace) bytes() []int64 {
	all := make([]int64, 0, len(t.samples))
	for _, s := range t.samples {
		all = append(all, s.bytes)
	}
	return all
}

// footprint takes what the worker says that it holds.
func (w *Worker) footprint(now time.Time, bytes int64) {
	w.note(func(s *statusParts) { s.rss = bytes })
	if bytes <= 0 {
		return
	}
	w.trace.add(now, bytes)
	if w.empty == 0 {
		w.empty = bytes // asked for when it became ready, and answered before any load
	}
	if bytes >= returnMin && now.Sub(w.heldAt) >= heldEvery {
		w.held, w.heldAt = w.probe.Memory().Held, now
	}
}

// clearing is the look at the machine's memory after a death. On a Mac, memory that the GPU used can stay wired until
// the next boot; loading on top of it takes the machine down.
type clearing struct {
	below int64     // memory held by everybody has to fall to this
	next  time.Time // the next look; zero when there is nothing to wait for
	until time.Time
}

func (c clearing) waits() bool { return !c.next.IsZero() }

// clear begins to watch whether the memory of the process that died comes back.
func (w *Worker) clear() {
	last := w.parts.rss
	w.parts.rss = 0
	if last < returnMin || w.held == 0 {
		return
	}
	now := time.Now()
	w.cleared = clearing{below: w.held - int64(backShare*float64(last)), next: now, until: now.Add(w.limits.MemoryBack)}
	w.held, w.heldAt = 0, time.Time{}
}

// look is one poll of it. The next process is here already, and what its imports took does not count against the last
// one: until it has told how much that is, nothing is judged.
func (w *Worker) look(now time.Time) {
	held := w.probe.Memory().Held - w.parts.rss
	untold := w.process != nil && w.parts.rss == 0
	if held > w.cleared.below && (untold || now.Before(w.cleared.until)) {
		w.cleared.next = now.Add(w.limits.MemoryPoll)
		return
	}
	if held > w.cleared.below {
		w.breaker.again()
		w.cfg.Log.Warn("memory did not come back after the worker's death", "held", held, "wanted", w.cleared.below)
		w.cfg.Emit(Noticed{job.Notice{Code: "memory_held", Message: fmt.Sprintf("the worker's memory did not come back "+
			"after its end: %s more than expected are in use; if edits get slow or fail, restart the computer",
			host.Gigabytes(held-w.cleared.below))}})
	}
	w.cleared = clearing{}
	w.advance()
}

// profile is the memory profile of the attempt that runs.
func (w *Worker) profile() string {
	if w.attempt == nil {
		return plan.ProfileResident
	}
	return profileOf(w.attempt.plan)
}
