package worker

import (
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/plan"
)

// Event is what the worker's goroutine tells the supervisor's loop. Emit hands it over without waiting.
type Event interface{ workerEvent() }

// StatusChanged carries a copy of the worker's state; advisory for everybody but the worker's goroutine.
type StatusChanged struct{ Status event.Worker }

// Accepted says that the worker began the attempt.
type Accepted struct {
	Job     job.ID
	Attempt int
}

// Planned says with which memory plan the attempt begins.
type Planned struct {
	Job     job.ID
	Attempt int
	Choice  plan.Choice
}

// Progress of an attempt. Phase changes and steps both come so.
type Progress struct {
	Job         job.ID
	Attempt     int
	Phase       job.Phase
	Step, Steps int
	// Fraction of the phase in 0..1, for loading, encode and decode.
	Fraction float64
	// StepS is the seconds the last step took, 0 before the first.
	StepS float64
}

// Resumed says that the attempt goes on behind a step of an earlier one.
type Resumed struct {
	Job     job.ID
	Attempt int
	Step    int
}

// Preview is ready at the plan's PreviewPath.
type Preview struct {
	Job     job.ID
	Attempt int
	Step    int
}

// Finished says that the result lies at Path. The loop verifies size and hash before it believes so.
type Finished struct {
	Job           job.ID
	Attempt       int
	Path          string
	Bytes         int64
	SHA256        string
	Width, Height int
	Seed          int64
	Timings       map[string]float64
	Notices       []job.Notice
}

// Failed is a typed error from a worker that lives on.
type Failed struct {
	Job     job.ID
	Attempt int
	Err     *job.Error
}

// Canceled says that the worker stopped the attempt as asked.
type Canceled struct {
	Job     job.ID
	Attempt int
	Phase   job.Phase
}

// Died says that the process ended. Job is empty when it was idle. It comes after the reap, exactly once a generation.
type Died struct {
	Generation int64
	Job        job.ID
	Attempt    int
	Begun      bool       // the worker had begun the attempt; false: it was only held, and is not to blame
	Err        *job.Error // why, in words
	Wanted     bool       // we stopped it (stop, unload, cancel ladder)
	Footprint  []int64    // its last bytes in memory, one a beat, oldest first
}

// Noticed is something that a person should know and that belongs to no job. It has happened, and is told once.
type Noticed struct{ Notice job.Notice }

// Began is Noticed of something that lasts until Over.
type Began struct{ Notice job.Notice }

// Over says that what Began told is not so any more.
type Over struct{ Code string }

func (Noticed) workerEvent()       {}
func (Began) workerEvent()         {}
func (Over) workerEvent()          {}
func (StatusChanged) workerEvent() {}
func (Planned) workerEvent()       {}
func (Accepted) workerEvent()      {}
func (Progress) workerEvent()      {}
func (Resumed) workerEvent()       {}
func (Preview) workerEvent()       {}
func (Finished) workerEvent()      {}
func (Failed) workerEvent()        {}
func (Canceled) workerEvent()      {}
func (Died) workerEvent()          {}
