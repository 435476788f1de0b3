package worker

import (
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/plan"
	"qie/supervisor/wire"
)

func (r *rig) logged(words string) {
	r.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		data, _ := os.ReadFile(r.log)
		if strings.Contains(string(data), words) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("the log never holds %q: %.3000s", words, data)
		}
	}
}

// The numbers of the design, written down a second time.
func TestLimits_AreTheDesigns(t *testing.T) {
	l := Limits{}.orDefaults()
	for name, pair := range map[string][2]time.Duration{
		"hello": {l.Hello, 30 * time.Second}, "import": {l.Ready, 120 * time.Second}, "load stall": {l.Load, 120 * time.Second},
		"beat": {l.Beat, 10 * time.Second}, "step": {l.Step, 120 * time.Second}, "decode": {l.Decode, 300 * time.Second},
		"save": {l.Save, 60 * time.Second}, "cancel": {l.Cancel, 30 * time.Second}, "soft": {l.Soft, 5 * time.Second},
		"shutdown": {l.Shutdown, 5 * time.Second}, "term": {l.Term, 5 * time.Second}, "reap": {l.Reap, 2 * time.Second},
		"write": {l.Write, 2 * time.Second}, "drain": {l.Drain, 500 * time.Millisecond}, "idle": {l.Idle, 10 * time.Minute},
		"window": {l.Window, 10 * time.Minute}, "half-open": {l.HalfOpen, 10 * time.Minute}, "warm": {l.Warm, 5 * time.Minute},
		"memory back": {l.MemoryBack, 10 * time.Second}, "memory poll": {l.MemoryPoll, 250 * time.Millisecond},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %s, want %s", name, pair[0], pair[1])
		}
	}
	if l.rules() != (rules{early: 3, crashes: 5, ooms: 2, window: 10 * time.Minute}) {
		t.Errorf("breaker %+v", l.rules())
	}
	total := time.Duration(0)
	for _, r := range stopLadder(l) {
		total += r.after
	}
	if total > 15*time.Second {
		t.Errorf("a stop may take %s", total)
	}
}

// Waiting is right while the rest of the step costs less than loading again.
func TestCancelWait(t *testing.T) {
	l := Limits{}.orDefaults()
	s := time.Second
	tests := []struct{ mean, rest, reload, want time.Duration }{
		{0, 0, 0, 30 * s}, {10 * s, 8 * s, 60 * s, 30 * s}, {40 * s, 35 * s, 60 * s, 80 * s},
		{90 * s, 80 * s, 60 * s, 120 * s}, {10 * s, 8 * s, 2 * s, 5 * s}, {90 * s, 30 * s, 60 * s, 180 * s},
	}
	for _, tt := range tests {
		if got := cancelWait(l, tt.mean, tt.rest, tt.reload); got != tt.want {
			t.Errorf("steps of %s, rest %s, reload %s: %s, want %s", tt.mean, tt.rest, tt.reload, got, tt.want)
		}
	}
	for mean, want := range map[time.Duration]time.Duration{0: 5 * s, 2 * s: 5 * s, 40 * s: 80 * s} {
		if got := interruptAfter(l, mean); got != want {
			t.Errorf("an interrupt in steps of %s comes after %s, want %s", mean, got, want)
		}
	}
	p := pulse{stepMean: 40 * s, decode: 20 * s}
	now := time.Now()
	p.worked, p.phaseAt = now.Add(-10*s), now.Add(-5*s)
	for phase, want := range map[job.Phase]time.Duration{job.Denoise: 30 * s, job.Decode: 15 * s, job.Save: 0} {
		if got := p.rest(now, phase); got != want {
			t.Errorf("rest of %s: %s, want %s", phase, got, want)
		}
	}
}

func TestPulse_LearnsTheDecode(t *testing.T) {
	now := time.Now()
	var p pulse
	p.expect(plan.Pace{Step: 2, Decode: 3})
	if p.stepMean != 2*time.Second || p.decode != 3*time.Second {
		t.Errorf("got %+v", p)
	}
	p.phase(now, job.Denoise, job.Decode)
	p.phase(now.Add(time.Minute), job.Decode, job.Save)
	if p.decode != time.Minute {
		t.Errorf("a decode of a minute is %s", p.decode)
	}
}

func machineOf(total int64) host.Probe {
	return host.Probe{Memory: func() host.Memory { return host.Memory{Total: total} }, Pressure: func() int { return 1 }}
}

// A model that does not fit is refused with numbers before it takes the machine down; the worker lives on.
func TestGate_RefusesALoadThatDoesNotFit(t *testing.T) {
	r := newRig(t, "", func(c *Config) { c.Probe = machineOf(64 << 30) })
	p := r.plan("x")
	p.WeightBytes = 35 << 30 // in 16 bit; this worker computes in 32
	failed := r.end(r.start(p)).(Failed)
	if failed.Err.Code != job.CodeOOMLoad || !strings.Contains(failed.Err.Message, "75.2 GB and this computer has 68.7 GB") ||
		!strings.Contains(failed.Err.Hint, "QIE_MEMORY_OVERRIDE") {
		t.Errorf("got %+v", failed.Err)
	}
	r.finishes("a smaller one")
	if got := r.w.Status().Generation; got != 1 {
		t.Errorf("generation %d", got)
	}
}

// The plan is the first that fits what is free: others hold the rest. A load is asked for by its name.
func TestGate_TakesThePlanThatFitsWhatIsFree(t *testing.T) {
	const gb = 1 << 30
	for free, want := range map[int64]string{150 * gb: plan.ProfileResident, 90 * gb: plan.ProfileStaged} {
		r := newRig(t, "", func(c *Config) {
			c.Probe = machineOf(200 * gb)
			c.Probe.Memory = func() host.Memory { return host.Memory{Total: 200 * gb, Held: 200*gb - free} }
		})
		p := r.plan("x")
		p.Shapes, p.WorkWidth, p.WorkHeight = model.Full, 1024, 1024 // 112 and 84 GB in 32 bit
		r.start(p)
		if c := await[Planned](r).Choice; c.Profile != want || c.Peak() < 80*gb/2 {
			t.Errorf("with %d free: %+v", free/gb, c)
		}
		if _, ok := r.end(p).(Finished); !ok {
			t.Errorf("got %+v", r.seen[len(r.seen)-1])
		}
	}
}

// One worker takes jobs of different plans: the weights are loaded again as the next one wants them.
func TestGate_AnotherPlanLoadsAgain(t *testing.T) {
	r := newRig(t, "")
	for _, profile := range []string{plan.ProfileResident, plan.ProfileStaged, plan.ProfileStaged} {
		p := r.plan("x")
		p.Profile = profile
		r.start(p)
		if _, ok := r.end(p).(Finished); !ok {
			t.Fatalf("got %+v", r.seen[len(r.seen)-1])
		}
	}
	loads := 0
	for _, e := range r.seen {
		if c, ok := e.(StatusChanged); ok && c.Status.State == string(Loading) {
			loads++
		}
	}
	if loads != 2 || r.w.Status().Generation != 1 {
		t.Errorf("%d loads in generation %d", loads, r.w.Status().Generation)
	}
}

func TestRoom(t *testing.T) {
	const gb = 1 << 30
	w := &Worker{probe: host.Probe{Memory: func() host.Memory { return host.Memory{Total: 64 * gb, Held: 50 * gb} }, Pressure: func() int { return 4 }}}
	w.parts.rss = 20 * gb
	if got := w.room(); got != (plan.Room{Total: 64 * gb, Free: 34 * gb, Pressed: true}) {
		t.Errorf("a CPU has %+v", got)
	}
	w.parts.device, w.parts.deviceMax = "mps", 48*gb
	if got := w.room(); got != (plan.Room{Total: 48 * gb, Free: 34 * gb, Pressed: true}) {
		t.Errorf("a Mac has %+v", got)
	}
	w.parts.device, w.parts.deviceMax, w.parts.deviceFree = "cuda", 80*gb, 79*gb
	if got := w.room(); got != (plan.Room{Total: 80 * gb, Free: 79 * gb, GPU: true}) {
		t.Errorf("a GPU has %+v", got)
	}
	w.machine.state = Warm
	w.frame(&wire.Frame{Msg: &wire.MemReport{DeviceBytes: 30 * gb, DeviceFree: 10 * gb}})
	if got := w.room(); got.Free != 40*gb {
		t.Errorf("a GPU of which others have taken 40 GiB since has %+v", got)
	}
}

// A worker on a GPU is asked again what is free of it, so that the next choice knows what others have taken since.
func TestRoom_IsAskedForAgain(t *testing.T) {
	r := newRig(t, "at ready: gpu 79; at result: gpu 40")
	deadline := time.Now().Add(patience)
	for n := 1; ; n++ {
		p := r.start(r.plan("x"))
		free := await[Planned](r).Choice.Room.Free
		if _, ok := r.end(p).(Finished); !ok {
			t.Fatalf("got %+v", r.seen[len(r.seen)-1])
		}
		if n == 1 && free != 79<<30 {
			t.Fatalf("at first %d bytes are free", free)
		}
		if free == 40<<30 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %d attempts %d bytes are free", n, free)
		}
	}
}

func TestGate_OverrideAndWarning(t *testing.T) {
	for _, size := range []int64{29 << 30, 35 << 30} {
		r := newRig(t, "", func(c *Config) { c.Probe, c.MemoryOverride = machineOf(64<<30), true })
		p := r.plan("x")
		p.WeightBytes = size
		r.start(p)
		if n := await[Began](r).Notice; n.Code != "memory_tight" {
			t.Errorf("got %+v", n)
		}
		if _, ok := r.end(p).(Finished); !ok {
			t.Errorf("got %+v", r.seen[len(r.seen)-1])
		}
		r.start(r.plan("small"))
		if e := await[Over](r); e.Code != "memory_tight" {
			t.Errorf("got %+v", e)
		}
	}
}

// Row 5. A stopped worker is suspected, asked to go on, and goes on.
func TestFault05_StoppedWorkerIsContinued(t *testing.T) {
	r := newRig(t, "at step 2: stop", func(c *Config) { c.Limits.Beat = 300 * time.Millisecond })
	p := r.start(r.plan("x"))
	if s := r.state(Suspect).Status; !strings.Contains(s.Reason, "not responding") || s.Hint == "" {
		t.Errorf("suspect says %+v", s)
	}
	if _, ok := r.end(p).(Finished); !ok {
		t.Fatal("the job did not go on")
	}
	r.logged("the process was stopped (state T); SIGCONT is sent")
	if s := r.w.Status(); s.Generation != 1 || s.Reason != "" {
		t.Errorf("afterwards %+v", s)
	}
}

// Row 5, the other end: the system does not tell that it is stopped, so only the budget helps, and TERM alone would
// stay pending.
func TestFault05_StoppedWorkerThatNobodyContinues(t *testing.T) {
	r := newRig(t, "at step 2 in gen 1: stop", func(c *Config) {
		c.Limits.Beat, c.Limits.Step = 100*time.Millisecond, 300*time.Millisecond
		c.Probe.Process = func(int) (host.Process, bool) { return host.Process{}, false }
	})
	p := r.start(r.plan("x"))
	died := r.end(p).(Died)
	if died.Err.Code != job.CodeWorkerStalled || died.Wanted {
		t.Errorf("got %+v", died.Err)
	}
	r.one(p)
}

// A silent worker writes down where it stands, a person learns whether it computes, and only the budget ends it.
func TestHang_SuspectedDumpedAndRecycled(t *testing.T) {
	var cpu atomic.Int64
	r := newRig(t, "at step 2 in gen 1: hang", func(c *Config) {
		c.Limits.Beat, c.Limits.Step = 100*time.Millisecond, 900*time.Millisecond
		c.Probe.Process = func(int) (host.Process, bool) {
			return host.Process{CPU: time.Duration(cpu.Add(int64(time.Hour)))}, true
		}
	})
	p := r.start(r.plan("x"))
	r.until("a look at the processor time", func(e Event) bool {
		c, ok := e.(StatusChanged)
		return ok && c.Status.State == string(Suspect) && strings.Contains(c.Status.Reason, "it computes (")
	})
	r.logged("most recent call first")
	died := r.end(p).(Died)
	if died.Err.Code != job.CodeWorkerStalled || died.Wanted {
		t.Errorf("got %+v: %v", died, died.Err)
	}
	r.one(p)
}

// A worker without beats whose work goes on is doubted, never ended.
func TestHang_WorkWithoutBeatsIsLeftAlone(t *testing.T) {
	r := newRig(t, "at accepted in gen 1: quiet; step takes 150ms", func(c *Config) {
		c.Limits.Beat, c.Limits.Step, c.Limits.Decode = 50*time.Millisecond, patience, patience
	})
	p := r.start(r.plan("x"))
	r.state(Suspect)
	if _, ok := r.end(p).(Finished); !ok {
		t.Errorf("got %+v", r.seen[len(r.seen)-1])
	}
	if got := r.w.Status().Generation; got != 1 {
		t.Errorf("generation %d", got)
	}
}

func TestIdle_WeightsAreDroppedAndComeBack(t *testing.T) {
	r := newRig(t, "", func(c *Config) { c.Limits.Idle = 30 * time.Millisecond })
	r.finishes("one")
	r.state(Unloading)
	if s := r.state(Cold).Status; s.Model != "" || s.PID == 0 {
		t.Errorf("after the unload %+v", s)
	}
	r.finishes("two")
	if got := r.w.Status().Generation; got != 1 {
		t.Errorf("generation %d", got)
	}
	never := &Worker{limits: Limits{Idle: -1}, machine: machine{state: Warm}, idleSince: time.Now()}
	if at := never.idleUntil(); !at.IsZero() {
		t.Errorf("never is %v", at)
	}
}

// An unload has to give the memory back; a worker that keeps it is replaced.
func TestIdle_UnloadThatKeepsTheMemory(t *testing.T) {
	for left, generation := range map[string]int64{"4096": 1, "16384": 2} {
		t.Run(left, func(t *testing.T) {
			r := newRig(t, "at loaded: holds 20480; at unload in gen 1: holds "+left, func(c *Config) {
				c.Probe, c.Limits.MemoryBack, c.Limits.MemoryPoll = machineOf(64<<30), 50*time.Millisecond, 5*time.Millisecond
			})
			r.finishes("one")
			if err := r.w.Unload(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.state(Unloading)
			if s := r.state(Cold).Status; s.Generation != generation {
				t.Errorf("generation %d, want %d", s.Generation, generation)
			}
			r.finishes("two")
		})
	}
}

// Row 32: memory that creeps costs a fresh process between two jobs, no job, and is no death.
func TestFault32_CreepIsRecycledBetweenJobs(t *testing.T) {
	r := newRig(t, "at loaded: holds 20480", func(c *Config) {
		c.Probe = machineOf(64 << 30)
		c.Limits.Crashes = 1
	})
	r.finishes("fake: at step 1: holds 30720") // what a job needs is no creep
	r.finishes("fake: at step 1: holds 40000") // 9.1 GiB more; the limit is 9.6
	r.finishes("fake: at step 1: holds 45000; at step 2: holds 40000")
	p := r.start(r.plan("fake: at step 1: holds 40600"))
	if _, ok := r.end(p).(Finished); !ok {
		t.Errorf("got %+v", r.seen[len(r.seen)-1])
	}
	if n := await[Noticed](r).Notice; n.Code != "worker_replaced" {
		t.Errorf("got %+v", n)
	}
	if died := await[Died](r); !died.Wanted || died.Job != "" || died.Generation != 1 {
		t.Errorf("got %+v", died)
	}
	r.one(p)
	if got := r.w.Status().Generation; got != 2 {
		t.Errorf("generation %d", got)
	}
}

// Row 51: a process that survives KILL is shown, nothing new is started beside it, and its end is the end.
func TestFault51_UnkillableIsShownAndNothingIsStartedBesideIt(t *testing.T) {
	var held atomic.Bool
	held.Store(true)
	r := newRig(t, "at step 2 in gen 1: hang", func(c *Config) {
		c.Limits.Beat, c.Limits.Step, c.Limits.Term, c.Limits.Reap = 50*time.Millisecond, 100*time.Millisecond, 30*time.Millisecond, 30*time.Millisecond
		c.kill = func(pid int, sig syscall.Signal) {
			if !held.Load() {
				signalGroup(pid, sig)
			}
		}
	})
	p := r.start(r.plan("x"))
	r.step(p)
	pid := r.pid()
	s := r.until("the word unkillable", func(e Event) bool {
		c, ok := e.(StatusChanged)
		return ok && c.Status.State == string(Stopping) && strings.Contains(c.Status.Reason, "does not end")
	}).(StatusChanged).Status
	if s.Generation != 1 || s.PID != pid || s.Hint == "" {
		t.Errorf("stopping says %+v", s)
	}
	if err := r.w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.w.Status(); s.Generation != 1 || s.State != string(Stopping) {
		t.Errorf("beside it: %+v", s)
	}
	held.Store(false)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.end(p)
	r.one(p)
}
