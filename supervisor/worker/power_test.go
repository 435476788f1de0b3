package worker

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
)

// Row 43, the worker's part: two hours of sleep in a step. The awake clock stands still, so nothing is overdue; the
// worker is asked, gets its grace, and the job goes on.
func TestFault43_SleepInAJob(t *testing.T) {
	var slept atomic.Int64
	gate := filepath.Join(t.TempDir(), "gate")
	r := newRig(t, "", func(c *Config) {
		c.Limits.Beat, c.Limits.Step = 300*time.Millisecond, 600*time.Millisecond
		c.Probe.Wall = func() time.Time { return time.Now().Round(0).Add(time.Duration(slept.Load())) }
	})
	p := r.start(r.plan("fake: at step 2: quiet; at step 2: wait " + gate))
	r.step(p)
	slept.Store(int64(2 * time.Hour))
	if n := await[Noticed](r).Notice; n.Code != "woke" || !strings.Contains(n.Message, "120 minutes") {
		t.Errorf("got %+v", n)
	}
	// Silent for longer than both limits, which the grace of a minute covers.
	after := time.After(900 * time.Millisecond)
	for quiet := true; quiet; {
		select {
		case e := <-r.events:
			r.seen = append(r.seen, e)
			if c, ok := e.(StatusChanged); ok && c.Status.State != string(Busy) {
				t.Errorf("after the sleep it is %s", c.Status.State)
			}
		case <-after:
			quiet = false
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.end(p).(Finished); !ok {
		t.Errorf("got %+v", r.seen[len(r.seen)-1])
	}
	if got := r.w.Status().Generation; got != 1 {
		t.Errorf("generation %d", got)
	}
}

// Row 42, the worker's part: the clock of the machine is set by a day, back and forth, and nothing times out.
func TestFault42_ClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		var set atomic.Int64
		gate := filepath.Join(t.TempDir(), "gate")
		r := newRig(t, "", func(c *Config) {
			c.Probe.Wall = func() time.Time { return time.Now().Round(0).Add(time.Duration(set.Load())) }
		})
		p := r.start(r.plan("fake: at step 2: wait " + gate))
		r.step(p)
		set.Store(int64(by))
		if by > 0 {
			await[Noticed](r)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.end(p).(Finished); !ok {
			t.Errorf("got %+v", r.seen[len(r.seen)-1])
		}
		r.one(p)
		for _, e := range r.seen {
			if c, ok := e.(StatusChanged); ok && c.Status.State == string(Suspect) {
				t.Errorf("a clock set by %s made the worker suspect", by)
			}
		}
	}
}

// Row 6: this program is stopped and goes on; what the worker said meanwhile waits in the pipe, and its silence is ours.
func TestFault06_OwnPauseIsNoHang(t *testing.T) {
	w := New(Config{Emit: func(Event) {}})
	now := time.Now()
	w.machine.state, w.attempt = Busy, &attempt{phase: job.Denoise}
	w.pulse.start(now)
	w.clocks(now, time.Time{})
	later := now.Add(10 * time.Minute) // the timer was set for ten seconds
	w.clocks(later, now.Add(10*time.Second))
	beat, work := w.silence()
	if !beat.Equal(later.Add(time.Minute)) || !work.Equal(later.Add(time.Minute)) {
		t.Errorf("beat is due %s and work %s after the pause", beat.Sub(later), work.Sub(later))
	}
	w.power.grace = time.Time{}
	w.clocks(later.Add(time.Second), later.Add(500*time.Millisecond)) // a busy machine is no pause
	if !w.power.grace.IsZero() {
		t.Error("half a second late is a pause")
	}
}

// The machine is kept awake exactly while an attempt runs, however it ends.
func TestPower_AwakeOnlyWhileAJobRuns(t *testing.T) {
	var awake, times atomic.Int32
	r := newRig(t, "", func(c *Config) {
		c.Probe.KeepAwake = func(pid int) func() {
			if pid <= 1 || awake.Add(1) != 1 {
				t.Errorf("kept awake for process %d, %d at a time", pid, awake.Load())
			}
			times.Add(1)
			return func() { awake.Add(-1) }
		}
	})
	idle := func(what string, count int32) {
		t.Helper()
		// The loop answers after it is done with the event.
		if err := r.w.ask(t.Context(), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		if awake.Load() != 0 || times.Load() != count {
			t.Errorf("%s: awake %d, kept %d times", what, awake.Load(), times.Load())
		}
	}
	r.state(Cold)
	idle("before", 0)
	r.finishes("one")
	idle("finished", 1)
	r.end(r.start(r.plan("fake: at step 1: error internal")))
	idle("failed", 2)
	p := r.start(r.plan("fake: at step 2: wait /nowhere"))
	r.step(p)
	if awake.Load() != 1 {
		t.Error("the machine may sleep in a job")
	}
	r.cancel(p)
	r.end(p)
	idle("canceled", 3)
	r.end(r.start(r.plan("fake: at step 1: kill")))
	idle("died", 4)
	if err := r.w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if awake.Load() != 0 {
		t.Error("kept awake after the end")
	}
}

// A nearly empty battery stops the job between two steps, without a doubt and without a loss; the charger lets it go on.
func TestPower_LowBatteryPausesBeforeTheNextStep(t *testing.T) {
	var percent, plugged, awake atomic.Int64
	percent.Store(80)
	low := func(c *Config) {
		c.Limits.Battery, c.Limits.Beat, c.Limits.Step = 5*time.Millisecond, 400*time.Millisecond, 500*time.Millisecond
		c.Probe.Battery = func() (host.Battery, bool) {
			return host.Battery{Percent: int(percent.Load()), OnBattery: plugged.Load() == 0}, true
		}
		c.Probe.KeepAwake = func(int) func() { awake.Add(1); return func() { awake.Add(-1) } }
	}
	r := newRig(t, "step takes 10ms", low)
	p := r.plan("x")
	p.Steps = 60
	r.start(p)
	r.step(p)
	percent.Store(5)
	if n := await[Began](r).Notice; n.Code != "battery_low" {
		t.Errorf("got %+v", n)
	}
	s := r.until("the pause", func(e Event) bool {
		c, ok := e.(StatusChanged)
		return ok && strings.Contains(c.Status.Reason, "battery is nearly empty")
	}).(StatusChanged).Status
	if s.State != string(Busy) || s.Hint == "" || awake.Load() != 0 {
		t.Errorf("paused as %+v, awake %d", s, awake.Load())
	}
	stopped := func() bool {
		f, ok := host.System().Process(s.PID)
		return ok && f.Stopped
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 80 { // longer than both limits
		<-tick.C
		if !stopped() || r.w.Status().State != string(Busy) {
			t.Fatalf("stopped %t, state %s", stopped(), r.w.Status().State)
		}
	}
	percent.Store(7) // not enough to go on
	<-tick.C
	if !stopped() {
		t.Error("it goes on at 7 %")
	}
	plugged.Store(1)
	if e := await[Over](r); e.Code != "battery_low" {
		t.Errorf("on power: %+v", e)
	}
	if _, ok := r.end(p).(Finished); !ok {
		t.Errorf("got %+v", r.seen[len(r.seen)-1])
	}
	r.one(p)
	if s := r.w.Status(); s.Generation != 1 || s.Reason != "" {
		t.Errorf("afterwards %+v", s)
	}

	// A paused job can be canceled and stopped.
	plugged.Store(0)
	percent.Store(3)
	q := r.plan("y")
	q.Steps = 60
	r.start(q)
	r.until("the second pause", func(e Event) bool {
		c, ok := e.(StatusChanged)
		return ok && strings.Contains(c.Status.Reason, "battery is nearly empty")
	})
	r.cancel(q)
	if _, ok := r.end(q).(Canceled); !ok {
		t.Errorf("got %+v", r.seen[len(r.seen)-1])
	}
	over := 0 // with the attempt the pause is over, on the empty battery too
	for _, e := range r.seen {
		if _, ok := e.(Over); ok {
			over++
		}
	}
	if over == 1 {
		await[Over](r)
	}
}
