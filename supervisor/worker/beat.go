package worker

import (
	"time"

	"qie/supervisor/job"
	"qie/supervisor/plan"
)

// Limits are the times after which a silent worker is doubted or ended. Zero fields take the default.
type Limits struct {
	Hello    time.Duration // from start to hello
	Ready    time.Duration // from hello to ready: imports, device
	Load     time.Duration // without a byte while loading: a stall, never a total
	Beat     time.Duration // without any line: suspect
	Step     time.Duration // a denoise step without sign of work, or ten times the mean
	Decode   time.Duration // encode and decode
	Save     time.Duration
	Unload   time.Duration
	Cancel   time.Duration // from the cancel message to TERM, or twice the mean step
	Soft     time.Duration // the same when a restart is quicker than the rest of the step; also to the interrupt
	Dump     time.Duration // from the request for stacks to KILL
	Grace    time.Duration // after a sleep: no silence counts
	Battery  time.Duration // between two looks at the battery, while an attempt runs
	Idle     time.Duration // warm without a job before the weights are dropped; below 0 is never
	Shutdown time.Duration // from the shutdown message to TERM
	Term     time.Duration // from TERM to KILL
	Reap     time.Duration // from KILL to giving up
	Write    time.Duration // one line to stdin
	Drain    time.Duration // reading the pipes after the exit
	Restart  time.Duration // unit of the restart pauses
	Warm     time.Duration // alive and ready this long forgives earlier deaths

	// Deaths that open the breaker: one after the other before ready; all within Window; of memory within Window at the
	// same profile. HalfOpen is when a cause that can heal gets its next try.
	Early, Crashes, OOMs int
	Window, HalfOpen     time.Duration
	// After a death, how long its memory may take to come back, and how often that is looked at.
	MemoryBack, MemoryPoll time.Duration
}

var defaults = Limits{
	Hello: 30 * time.Second, Ready: 120 * time.Second, Load: 120 * time.Second, Beat: 10 * time.Second,
	Step: 120 * time.Second, Decode: 300 * time.Second, Save: 60 * time.Second, Unload: 30 * time.Second,
	Cancel: 30 * time.Second, Shutdown: 5 * time.Second, Term: 5 * time.Second, Reap: 2 * time.Second,
	Write: 2 * time.Second, Drain: 500 * time.Millisecond, Restart: restartUnit, Warm: 5 * time.Minute,
	Soft: 5 * time.Second, Dump: 250 * time.Millisecond, Idle: 10 * time.Minute,
	Grace: time.Minute, Battery: 30 * time.Second,
	Early: 3, Crashes: 5, OOMs: 2, Window: 10 * time.Minute, HalfOpen: 10 * time.Minute,
	MemoryBack: 10 * time.Second, MemoryPoll: 250 * time.Millisecond,
}

func (l Limits) orDefaults() Limits {
	d := defaults
	fill(&l.Hello, d.Hello)
	fill(&l.Ready, d.Ready)
	fill(&l.Load, d.Load)
	fill(&l.Beat, d.Beat)
	fill(&l.Step, d.Step)
	fill(&l.Decode, d.Decode)
	fill(&l.Save, d.Save)
	fill(&l.Unload, d.Unload)
	fill(&l.Cancel, d.Cancel)
	fill(&l.Shutdown, d.Shutdown)
	fill(&l.Term, d.Term)
	fill(&l.Reap, d.Reap)
	fill(&l.Write, d.Write)
	fill(&l.Drain, d.Drain)
	fill(&l.Restart, d.Restart)
	fill(&l.Warm, d.Warm)
	fill(&l.Window, d.Window)
	fill(&l.HalfOpen, d.HalfOpen)
	fill(&l.MemoryBack, d.MemoryBack)
	fill(&l.MemoryPoll, d.MemoryPoll)
	fill(&l.Early, d.Early)
	fill(&l.Soft, d.Soft)
	fill(&l.Dump, d.Dump)
	fill(&l.Idle, d.Idle)
	fill(&l.Grace, d.Grace)
	fill(&l.Battery, d.Battery)
	fill(&l.Crashes, d.Crashes)
	fill(&l.OOMs, d.OOMs)
	return l
}

func fill[T comparable](field *T, standard T) {
	var zero T
	if *field == zero {
		*field = standard
	}
}

func (l Limits) rules() rules {
	return rules{early: l.Early, crashes: l.Crashes, ooms: l.OOMs, window: l.Window}
}

// pulse is what is known about a process's liveness: lines prove the process, ticks and progress prove its work loop.
type pulse struct {
	heard    time.Time // any line
	worked   time.Time // progress, or a tick that moved
	tick     int64
	stepMean time.Duration
	decode   time.Duration // the last one
	phaseAt  time.Time
}

func (p *pulse) start(now time.Time)  { *p = pulse{heard: now, worked: now, phaseAt: now} }
func (p *pulse) work(now time.Time)   { p.worked = now }
func (p *pulse) listen(now time.Time) { p.heard = now }

func (p *pulse) beat(now time.Time, tick int64) {
	if tick != p.tick {
		p.tick, p.worked = tick, now
	}
}

// expect takes what was measured for such plans, also by earlier processes.
func (p *pulse) expect(pace plan.Pace) {
	p.stepMean, p.decode = lasting(pace.Step), lasting(pace.Decode)
}

// lasting makes a duration of the seconds that the wire and the paces count in.
func lasting(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// phase remembers how long a decode took.
func (p *pulse) phase(now time.Time, from, to job.Phase) {
	if from == job.Decode && to != job.Decode {
		p.decode = now.Sub(p.phaseAt)
	}
	if from != to {
		p.phaseAt = now
	}
}

// step remembers how long steps take; an even mixture of the last and all before is enough for a budget.
func (p *pulse) step(took time.Duration) {
	if took <= 0 {
		return
	}
	if p.stepMean == 0 {
		p.stepMean = took
		return
	}
	p.stepMean = (p.stepMean + took) / 2
}

// budget is how long the state and phase may last without a sign of work; 0 is no limit.
func budget(l Limits, state State, phase job.Phase, p pulse) time.Duration {
	switch state {
	case Spawning:
		return l.Hello
	case Probing:
		return l.Ready
	case Loading:
		return l.Load
	case Unloading:
		return l.Unload
	case Busy:
		switch phase {
		case job.Denoise:
			return max(l.Step, 10*p.stepMean)
		case job.Save:
			return l.Save
		}
		return max(l.Decode, 10*p.decode)
	}
	return 0
}

// beats tells whether a worker in this state must be heard once per beat limit.
func (s State) beats() bool {
	switch s {
	case Cold, Loading, Warm, Busy, Unloading:
		return true
	}
	return false
}
