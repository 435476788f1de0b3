package worker

import "time"

const (
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
	if bytes > 0 {
		w.trace.add(now, bytes)
	}
}
