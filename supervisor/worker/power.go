package worker

import (
	"fmt"
	"syscall"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/wire"
)

// On battery, a job pauses before its next step at this charge, and goes on at the other one or on power.
const (
	batteryPause  = 5
	batteryResume = 10
)

const noticeBattery = "battery_low"

// power is what sleep, clock and battery have to do with the worker.
type power struct {
	wake    host.Wake
	grace   time.Time // until then no silence counts
	release func()    // lets the machine sleep again; nil while it may
	next    time.Time // the next look at the battery
	low     bool
	paused  bool // by SIGSTOP
}

// clocks notices that the machine slept, or that this program was stopped: both look like a silent worker. Deadlines
// run on the awake clock, so a sleep alone ends nothing; the worker gets a while to find its feet.
func (w *Worker) clocks(now, expected time.Time) {
	if slept := w.power.wake.Sample(w.probe.Wall(), now); slept > 0 {
		w.cfg.Log.Info("the machine slept", "for", slept)
		w.grace(now)
		w.cfg.Emit(Noticed{job.Notice{Code: "woke", Message: "the computer slept for " + words(slept) +
			" or its clock was set; what was running goes on"}})
	}
	if late := now.Sub(expected); !expected.IsZero() && late > host.WakeGap {
		w.cfg.Log.Info("this program was stopped", "for", late)
		w.grace(now)
	}
}

// grace lets no silence count for a while, and asks the worker whether it is there.
func (w *Worker) grace(now time.Time) {
	w.power.grace = now.Add(w.limits.Grace)
	if w.process != nil && w.machine.state.beats() {
		w.send(nil, wire.Ping{ID: now.Unix()})
	}
}

// stayAwake keeps the machine awake while an attempt runs, and only then.
func (w *Worker) stayAwake() {
	if w.power.release == nil && w.process != nil {
		w.power.release = w.probe.KeepAwake(w.process.pid)
	}
	if w.power.next.IsZero() {
		w.power.next = time.Now()
	}
}

func (w *Worker) maySleep() {
	if w.power.release != nil {
		w.power.release()
	}
	w.power.release, w.power.next = nil, time.Time{}
	w.chargedEnough() // nobody looks any more, and there is nothing to pause; the next attempt asks at once
}

// charge asks for the battery outside the loop.
func (w *Worker) charge() {
	w.power.next = time.Now().Add(w.limits.Battery)
	gen, probe, out := w.gen, w.probe, w.inbox.put
	go func() {
		if b, ok := probe.Battery(); ok {
			out(message{gen: gen, battery: &b})
		}
	}()
}

// charged takes the answer.
func (w *Worker) charged(b host.Battery) {
	switch {
	case !b.OnBattery || b.Percent >= batteryResume:
		w.chargedEnough()
		w.resume()
	case b.Percent <= batteryPause && !w.power.low && w.attempt != nil:
		w.power.low = true
		w.cfg.Emit(Began{job.Notice{Code: noticeBattery, Message: fmt.Sprintf("the battery is at %d %%; the job pauses "+
			"before its next step", b.Percent)}})
	}
}

func (w *Worker) chargedEnough() {
	if w.power.low {
		w.power.low = false
		w.cfg.Emit(Over{noticeBattery})
	}
}

// pauseIfLow stops the worker between two steps while the battery is low. The job and what it has computed stay.
func (w *Worker) pauseIfLow() {
	if !w.power.low || w.power.paused || w.machine.state != Busy {
		return
	}
	w.power.paused = true
	signalGroup(w.process.pid, syscall.SIGSTOP)
	if w.power.release != nil {
		w.power.release()
		w.power.release = nil
	}
	w.reason = fault(job.CodeNotReady, "the battery is nearly empty", "connect the charger").
		WithDone("the job is paused, keeps what it has computed, and goes on by itself")
}

// resume lets a paused worker go on. It comes before every ladder: a stopped process hears nothing.
func (w *Worker) resume() {
	if !w.power.paused {
		return
	}
	w.power.paused, w.reason = false, nil
	if w.process != nil {
		signalGroup(w.process.pid, syscall.SIGCONT)
		w.grace(time.Now())
		w.stayAwake()
	}
}
