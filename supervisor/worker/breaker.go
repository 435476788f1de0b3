package worker

import (
	"fmt"
	"time"
)

// breaker counts deaths and says when no further start is tried without a person, or without a pause long enough for
// the cause to heal. It is pure: the caller brings the time, which stands still while the machine sleeps.
type breaker struct {
	row    int    // unwanted deaths one after the other; a finished job forgives them
	early  int    // deaths one after the other before the worker was ready
	recent []note // abnormal deaths inside the window
	trial  bool   // half-open: the next death opens it again at once
}

// note is one abnormal death.
type note struct {
	at      time.Time
	profile string // memory profile under which memory ran out; empty for every other death
}

// rules are the numbers that open a breaker.
type rules struct {
	early, crashes, ooms int
	window               time.Duration
}

// died counts one abnormal death and gives why the breaker opens; empty keeps it closed. profile is set when memory ran
// out.
func (b *breaker) died(r rules, now time.Time, ready bool, profile string) (open string) {
	b.row++
	if ready {
		b.early = 0
	} else {
		b.early++
	}
	b.recent = append(b.since(now.Add(-r.window)), note{now, profile})
	switch {
	case b.trial:
		return "the one try ended as well"
	case b.early >= r.early:
		return fmt.Sprintf("%d starts one after the other ended before the worker was ready", b.early)
	case profile != "" && b.ooms(profile) >= r.ooms:
		return fmt.Sprintf("memory ran out %d times within %s", b.ooms(profile), words(r.window))
	case len(b.recent) >= r.crashes:
		return fmt.Sprintf("the worker ended %d times within %s", len(b.recent), words(r.window))
	}
	return ""
}

// again counts the last death once more: its memory did not come back.
func (b *breaker) again() {
	if n := len(b.recent); n > 0 {
		b.recent = append(b.recent, b.recent[n-1])
	}
}

// finished forgives: a job was done, so starts make sense.
func (b *breaker) finished() { b.row, b.early, b.trial = 0, 0, false }

// stood forgives the pauses: the worker was ready for long.
func (b *breaker) stood() { b.row, b.early = 0, 0 }

// halfOpen begins the one try of an open breaker.
func (b *breaker) halfOpen() { *b = breaker{trial: true} }

func (b *breaker) since(from time.Time) []note {
	kept := b.recent[:0:0]
	for _, n := range b.recent {
		if n.at.After(from) {
			kept = append(kept, n)
		}
	}
	return kept
}

func (b *breaker) ooms(profile string) (n int) {
	for _, d := range b.recent {
		if d.profile == profile {
			n++
		}
	}
	return n
}

// words gives a pause as people say it.
func words(d time.Duration) string {
	switch {
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Round(time.Minute).Minutes()))
	case d < time.Second:
		return "less than a second"
	}
	return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
}
