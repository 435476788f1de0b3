package worker

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
)

// A line of deaths, each "seconds kind": kind is early (before ready), crash, oom (at the profile resident) or lower
// (memory, at another profile); also done (a finished job) and held (the last death's memory did not come back).
func TestBreaker(t *testing.T) {
	tests := []struct {
		name, deaths string
		open         string // words in the reason, at the last one; empty stays closed
	}{
		{"two before ready", "0 early,1 early", ""},
		{"three before ready", "0 early,1 early,2 early", "3 starts"},
		{"three before ready with a ready one between", "0 early,1 early,2 crash,3 early,4 early", "5 times"},
		{"before ready, a job between", "0 early,1 early,2 done,3 early,4 early", ""},
		{"four crashes", "0 crash,1 crash,2 crash,3 crash", ""},
		{"five crashes in ten minutes", "0 crash,100 crash,200 crash,300 crash,599 crash", "5 times within 10 minutes"},
		{"five crashes in more", "0 crash,100 crash,200 crash,300 crash,600 crash", ""},
		{"memory twice", "0 oom,599 oom", "memory ran out 2 times"},
		{"memory twice, far apart", "0 oom,600 oom", ""},
		{"memory twice at different profiles", "0 oom,1 lower", ""},
		{"memory once, and it did not come back", "0 oom,0 held,1 crash", ""},
		{"memory did not come back twice", "0 oom,0 held,1 oom", "memory ran out 3 times"},
		{"held counts double among five", "0 crash,0 held,1 crash,1 held,2 crash", "5 times"},
		{"half-open", "0 open,0 crash", "one try"},
		{"half-open, then a job", "0 open,1 done,2 crash", ""},
	}
	for _, tt := range tests {
		b, start, open := breaker{}, time.Now(), ""
		for _, line := range strings.Split(tt.deaths, ",") {
			at, kind, _ := strings.Cut(line, " ")
			seconds, err := time.ParseDuration(at + "s")
			if err != nil {
				t.Fatal(err)
			}
			if open != "" {
				t.Errorf("%s: open before the end: %s", tt.name, open)
			}
			now := start.Add(seconds)
			switch kind {
			case "done":
				b.finished()
			case "held":
				b.again()
			case "open":
				b.halfOpen()
			default:
				profile := map[string]string{"oom": "resident", "lower": "tiled"}[kind]
				open = b.died(Limits{}.orDefaults().rules(), now, kind != "early", profile)
			}
		}
		if (open == "") != (tt.open == "") || !strings.Contains(open, tt.open) {
			t.Errorf("%s: %q, want %q", tt.name, open, tt.open)
		}
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "less than a second", 1100 * time.Millisecond: "1 s", 90 * time.Second: "90 s", 10 * time.Minute: "10 minutes"} {
		if got := words(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// A worker that never gets ready pauses the queue, gives the held job back unhurt, and says the remedy; a person's
// restart is one try.
func TestBreaker_ThreeStartsThatEndEarly(t *testing.T) {
	r := newRig(t, "at hello in gen 1: exit 1; at hello in gen 2: exit 1; at hello in gen 3: exit 1; at hello in gen 4: exit 1")
	p := r.start(r.plan("x"))
	died := r.end(p).(Died)
	if died.Begun || died.Generation != 3 || died.Wanted {
		t.Errorf("the held job came back with %+v", died)
	}
	for range 2 {
		s := r.state(Broken).Status
		if !strings.Contains(s.Done, "queue is paused and nothing is lost") || s.Hint == "" || s.RetryInS != 0 {
			t.Errorf("broken says %q, %q, %q, retry in %v", s.Reason, s.Done, s.Hint, s.RetryInS)
		}
		if err := r.w.Start(t.Context(), r.plan("y")); job.AsError(err).Code != job.CodeNotReady {
			t.Errorf("start while broken: %v", err)
		}
		if err := r.w.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.state(Cold)
	r.finishes("healed")
	if got := r.w.Status().Generation; got != 5 {
		t.Errorf("generation %d, want 5: the person's first try was the only one of generation 4", got)
	}
}

// A cause that can heal gets its try without a person.
func TestBreaker_HalfOpenWhenTheCauseCanHeal(t *testing.T) {
	r := newRig(t, "at hello in gen 1: exit 74; at hello in gen 2: exit 74; at hello in gen 3: exit 74; at hello in gen 4: exit 74",
		func(c *Config) { c.Limits.HalfOpen = 50 * time.Millisecond })
	s := r.state(Broken).Status
	if !strings.Contains(s.Reason, "disk is full") || !strings.Contains(s.Done, "next try") || s.RetryInS <= 0 {
		t.Errorf("broken says %+v", s)
	}
	if s := r.state(Broken).Status; s.Generation != 4 || !strings.Contains(s.Reason, "one try") {
		t.Errorf("after the try: %+v", s)
	}
	r.state(Cold)
	r.finishes("healed")
}

// Memory that ran out twice at the same profile pauses the queue, whoever's jobs they were.
func TestBreaker_MemoryTwice(t *testing.T) {
	r := newRig(t, "")
	for range 2 {
		p := r.start(r.plan("fake: at step 1: fatal oom_run 71"))
		if died := r.end(p).(Died); died.Err.Code != job.CodeOOMRun || !died.Begun {
			t.Fatalf("got %+v", died)
		}
	}
	s := r.state(Broken).Status
	if !strings.Contains(s.Reason, "memory ran out 2 times within 10 minutes") || s.RetryInS < 590 || s.Hint != hintMemory {
		t.Errorf("broken says %+v", s)
	}
}

func TestBreaker_FiveCrashes(t *testing.T) {
	r := newRig(t, "")
	for crash := range 5 {
		p := r.start(r.plan("fake: at step 1: kill"))
		if died := r.end(p).(Died); died.Err.Code != job.CodeWorkerDied {
			t.Fatalf("got %+v", died)
		}
		if crash < 4 {
			r.finishes("good jobs between them do not hide a worker that keeps dying")
		}
	}
	if s := r.state(Broken).Status; !strings.Contains(s.Reason, "ended 5 times within 10 minutes") || s.RetryInS != 0 {
		t.Errorf("broken says %+v", s)
	}
}

// The next process may start, but weights are loaded only once the last one's memory is back.
func TestMemory_LoadWaitsUntilItIsBack(t *testing.T) {
	var held atomic.Int64
	held.Store(40 << 30)
	looks := make(chan struct{}, 1000)
	probe := host.Probe{Memory: func() host.Memory {
		looks <- struct{}{}
		return host.Memory{Total: 64 << 30, Held: held.Load()}
	}}
	r := newRig(t, "at step 1 in gen 1: holds 20480", func(c *Config) {
		c.Probe, c.Limits.MemoryPoll, c.Limits.MemoryBack = probe, 5*time.Millisecond, patience
	})
	p := r.start(r.plan("fake: at step 2 in gen 1: kill"))
	died := r.end(p).(Died)
	if n := len(died.Footprint); n == 0 || died.Footprint[n-1] != 20<<30 {
		t.Errorf("the trace is %v", died.Footprint)
	}
	q := r.start(r.plan("next"))
	r.state(Cold)
	for len(looks) > 0 {
		<-looks
	}
	for range 3 {
		<-looks // it goes on looking while nothing comes back
	}
	if s := r.w.Status(); s.State != string(Cold) {
		t.Errorf("it is %s while the memory is not back", s.State)
	}
	held.Store(40<<30 - 15<<30) // three quarters
	if _, ok := r.end(q).(Finished); !ok {
		t.Errorf("got %+v", r.seen[len(r.seen)-1])
	}
}

func TestMemory_ThatStaysHeldIsToldAndCountsDouble(t *testing.T) {
	probe := host.Probe{Memory: func() host.Memory { return host.Memory{Total: 64 << 30, Held: 40 << 30} }}
	r := newRig(t, "at step 1 in gen 1: holds 20480", func(c *Config) {
		c.Probe, c.Limits.MemoryPoll, c.Limits.MemoryBack, c.Limits.Crashes = probe, time.Millisecond, 20*time.Millisecond, 3
	})
	r.end(r.start(r.plan("fake: at step 2 in gen 1: kill")))
	if n := await[Noticed](r).Notice; n.Code != "memory_held" || !strings.Contains(n.Message, "16.0 GB") {
		t.Errorf("got %+v", n)
	}
	r.finishes("goes on")
	pid := r.pid()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := r.state(Broken).Status; !strings.Contains(s.Reason, "ended 3 times") {
		t.Errorf("broken says %q", s.Reason)
	}
}
