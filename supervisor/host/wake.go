package host

import "time"

// WakeGap is how far the time of day must run ahead of the awake clock between two samples before it is a sleep.
const WakeGap = 5 * time.Second

// Wake finds out that the machine slept, from pairs of the time of day and a clock that stands still in sleep. Both
// come from the caller. A clock that a person sets forward looks the same, and costs nothing but a grace.
type Wake struct {
	wall  time.Time
	awake time.Time
}

// Sample takes the two clocks and tells for how long the machine slept since the last sample; 0 is not at all. wall has
// no monotonic part, awake has one.
func (w *Wake) Sample(wall, awake time.Time) time.Duration {
	first := w.awake.IsZero()
	slept := wall.Sub(w.wall) - awake.Sub(w.awake)
	w.wall, w.awake = wall, awake
	if first || slept <= WakeGap {
		return 0
	}
	return slept
}
