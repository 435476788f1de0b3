package worker

import (
	"testing"
	"time"

	"qie/supervisor/job"
)

// Every pair is tried: the table's pairs move, all others are refused and change nothing.
func TestMachine_EveryPair(t *testing.T) {
	for _, from := range States {
		for _, sig := range triggers {
			m := machine{state: from, before: Busy}
			want, legal := next[pair{from, sig}]
			if from == Suspect && sig == sigRecover {
				want, legal = Busy, true
			}
			if got := m.step(sig); got != legal {
				t.Errorf("%s + %s: took %v, want %v", from, sig, got, legal)
			}
			if !legal {
				want = from
			}
			if m.state != want {
				t.Errorf("%s + %s is %s, want %s", from, sig, m.state, want)
			}
		}
	}
}

func TestMachine_EveryLivingStateCanExitAndStop(t *testing.T) {
	for _, s := range States {
		if !s.alive() {
			continue
		}
		if next[pair{s, sigExit}] != Exited || next[pair{s, sigStop}] != Stopping {
			t.Errorf("%s has no way out", s)
		}
	}
}

func TestMachine_SuspectGoesBackToWhereItWas(t *testing.T) {
	for _, from := range []State{Cold, Loading, Warm, Busy, Unloading} {
		m := machine{state: from}
		if !m.step(sigSuspect) || m.state != Suspect || !m.step(sigRecover) || m.state != from {
			t.Errorf("%s came back as %s", from, m.state)
		}
	}
}

func TestPause_Grows(t *testing.T) {
	want := []int{0, 0, 1, 2, 4, 8, 16, 30, 30}
	for deaths, units := range want {
		if got := pause(deaths, time.Second, 0.5); got != time.Duration(units)*time.Second {
			t.Errorf("after %d deaths %s, want %d s", deaths, got, units)
		}
	}
	if low, high := pause(8, time.Second, 0), pause(8, time.Second, 0.9999); low != 24*time.Second || high < 35*time.Second || high > 36*time.Second {
		t.Errorf("jitter %s to %s, want 24 s to 36 s", low, high)
	}
}

func TestBudget_ASlowMachineGetsMoreTime(t *testing.T) {
	l := Limits{}.orDefaults()
	if got := budget(l, Busy, job.Denoise, pulse{}); got != 2*time.Minute {
		t.Errorf("first step %s", got)
	}
	if got := budget(l, Busy, job.Denoise, pulse{stepMean: time.Minute}); got != 10*time.Minute {
		t.Errorf("steps of a minute %s", got)
	}
	if got := budget(l, Busy, job.Decode, pulse{}); got != 5*time.Minute {
		t.Errorf("first decode %s", got)
	}
	if got := budget(l, Busy, job.Decode, pulse{decode: time.Minute}); got != 10*time.Minute {
		t.Errorf("decodes of a minute %s", got)
	}
	if got := budget(l, Busy, job.Save, pulse{}); got != time.Minute {
		t.Errorf("save %s", got)
	}
	if got := budget(l, Warm, "", pulse{}); got != 0 {
		t.Errorf("idle %s", got)
	}
}
