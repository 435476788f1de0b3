package download

import (
	"sync"
	"time"
)

// State is what a pull does now.
type State string

// The states. Only complete, paused and failed are an end.
const (
	StateQueued      State = "queued"      // another pull runs
	StateListing     State = "listing"     // asking the hub which files there are
	StateChecking    State = "checking"    // hashing what is here already
	StateDownloading State = "downloading" // bytes come
	StateWaiting     State = "waiting"     // for the network, the disk, or another process; Why says which
	StatePaused      State = "paused"      // a person stopped it; what was fetched is kept
	StateFailed      State = "failed"      // it ended with an error; what was fetched is kept
	StateComplete    State = "complete"
)

// Progress of a pull. Done counts bytes that are on the disk and checked: it is never ahead of the truth.
type Progress struct {
	State       State
	Why         string // of waiting, in words
	File        string
	Done, Total int64
	Fetched     int64     // from the network, by this pull
	PerS        float64   // mean of the last 30 s; 0 while it is not known
	ETA         []float64 // seconds left: low, high; nil until measured
}

const (
	speedOver  = 30 * time.Second
	speedFrom  = 2 * time.Second // shorter says nothing
	reportStep = 250 * time.Millisecond
)

// meter measures how fast bytes come.
type meter struct {
	mu      sync.Mutex
	began   time.Time
	total   int64
	samples []sample // of the last 30 s, oldest first
}

type sample struct {
	at    time.Time
	total int64
}

// add counts bytes that came.
func (m *meter) add(n int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.began.IsZero() {
		m.began = now
		m.samples = []sample{{now, 0}}
	}
	m.total += n
	if last := m.samples[len(m.samples)-1]; now.Sub(last.at) >= reportStep {
		m.samples = append(m.samples, sample{now, m.total})
	}
	m.drop(now)
}

// drop forgets what is older than the window, but for one sample, from which it begins.
func (m *meter) drop(now time.Time) {
	for len(m.samples) > 1 && now.Sub(m.samples[1].at) >= speedOver {
		m.samples = m.samples[1:]
	}
}

// read gives the speed in bytes a second and the seconds that the rest takes: at the speed of the last 30 s and at the
// speed since the beginning, the lower first.
func (m *meter) read(rest int64, now time.Time) (perS float64, eta []float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.began.IsZero() || now.Sub(m.began) < speedFrom {
		return 0, nil
	}
	m.drop(now)
	from := m.samples[0]
	perS = float64(m.total-from.total) / max(now.Sub(from.at).Seconds(), speedFrom.Seconds())
	mean := float64(m.total) / now.Sub(m.began).Seconds()
	slow, quick := min(perS, mean), max(perS, mean)
	if slow <= 0 {
		return perS, nil
	}
	return perS, []float64{float64(rest) / quick, float64(rest) / slow}
}
