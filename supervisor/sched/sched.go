// Package sched decides what happens next in the queue. It starts nothing, opens nothing and reads no clock.
package sched

import (
	"cmp"
	"slices"

	"qie/supervisor/job"
)

// deathsMax is how many worker deaths one job may cause before it is parked, so that the queue goes on.
const deathsMax = 2

// errorsMax is how many retryable errors one job may have; the second ends it.
const errorsMax = 2

// Item is a job that has not ended, as far as its place in the queue needs it.
type Item struct {
	ID      job.ID
	Order   int64 // smaller goes first; a retried job keeps its order, which puts it at the head
	State   job.State
	Attempt int
	Held    bool // it cannot start yet, for example because its model is being fetched; those behind it can
}

// View is all that the decision depends on.
type View struct {
	Items []Item
	Ready bool // the worker takes a plan (it may still have to start or to load)
}

// Action is one thing to do.
type Action struct {
	Start   job.ID
	Attempt int
}

// Next gives what to start now: one job at a time, in order but for those that are held, and nothing while the worker is
// broken.
func Next(v View) []Action {
	if !v.Ready {
		return nil
	}
	for _, i := range v.Items {
		if i.State.Active() {
			return nil
		}
	}
	for _, i := range Waiting(v.Items) {
		if !i.Held {
			return []Action{{Start: i.ID, Attempt: i.Attempt + 1}}
		}
	}
	return nil
}

// Waiting gives the queue in the order in which it runs.
func Waiting(items []Item) []Item {
	waiting := slices.DeleteFunc(slices.Clone(items), func(i Item) bool { return i.State != job.Queued })
	slices.SortStableFunc(waiting, func(a, b Item) int { return cmp.Compare(a.Order, b.Order) })
	return waiting
}

// Record is what a job's attempts have cost so far.
type Record struct {
	Deaths int // worker processes that died under it
	Errors int // typed errors that another try may cure
}

// Verdict is what becomes of a job after an attempt without a result.
type Verdict struct {
	Requeue bool // at the head
	// Profile is the memory profile of the next attempt; empty keeps the one it had.
	Profile string
	Failure *job.Error
	Record  Record
}

// AfterDeath judges a job whose worker process died under it: the first death costs a retry, the second parks it, and a
// lack of memory goes one plan down. lower is the next memory profile, empty when there is none.
func AfterDeath(state job.State, r Record, why *job.Error, lower string) Verdict {
	if state == job.Canceling {
		return Verdict{Record: r}
	}
	if why.Code == job.CodeEnvBroken {
		// The environment is at fault, not the job: it waits with the queue until a person has repaired it.
		return Verdict{Requeue: true, Record: r}
	}
	if Memory(why) {
		return outOfMemory(r, why, lower)
	}
	r.Deaths++
	if r.Deaths >= deathsMax {
		return Verdict{Record: r, Failure: (&job.Error{Code: job.CodePoison, Report: why.Report, Err: why,
			Message: "the worker died twice under this job; last: " + why.Message}).
			WithDone("it was started again once, then set aside; the queue goes on with the next").
			WithHint("try fewer steps or a smaller picture")}
	}
	if why.Code != job.CodeWorkerDied && !why.Code.Retryable() {
		return Verdict{Record: r, Failure: why}
	}
	return Verdict{Requeue: true, Record: r}
}

// outOfMemory goes to the next plan down, once for each, whatever else the job has cost: the ladder ends by itself. At its
// end the job does.
func outOfMemory(r Record, why *job.Error, lower string) Verdict {
	if lower != "" {
		return Verdict{Requeue: true, Profile: lower, Record: r}
	}
	if why.Done != "" { // it was refused before it began, and says by what
		return Verdict{Record: r, Failure: why}
	}
	failure := *why
	failure.Message += "; there is no plan that needs less memory"
	failure.Done = "it was not tried again, since it would end the same way; the queue goes on with the next"
	return Verdict{Record: r, Failure: &failure}
}

// AfterError judges a job that ended with a typed error while the worker lives on.
func AfterError(state job.State, r Record, why *job.Error, lower string) Verdict {
	if state == job.Canceling {
		return Verdict{Record: r, Failure: why}
	}
	if Memory(why) {
		return outOfMemory(r, why, lower)
	}
	r.Errors++
	if why.Code.Retryable() && r.Errors < errorsMax && r.Deaths == 0 {
		return Verdict{Requeue: true, Record: r}
	}
	if why.Code.Retryable() && why.Done == "" {
		failure := *why
		failure.Done = "it was started again once, and ended the same way"
		return Verdict{Record: r, Failure: &failure}
	}
	return Verdict{Record: r, Failure: why}
}

// Memory tells whether a lack of memory ended the attempt.
func Memory(why *job.Error) bool { return why.Code == job.CodeOOMLoad || why.Code == job.CodeOOMRun }

// AfterRestart judges a job that the supervisor finds active when it starts: its own death is not the job's fault.
func AfterRestart(state job.State) (requeue bool) { return state != job.Canceling }
