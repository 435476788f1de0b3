package job

import "fmt"

// State of a job. Only succeeded, failed and canceled end it; interrupted ends an attempt and the job is queued
// again (decision 23).
type State string

// The states, in the order a job meets them.
const (
	Queued      State = "queued"
	Dispatched  State = "dispatched"
	Running     State = "running"
	Canceling   State = "canceling"
	Succeeded   State = "succeeded"
	Failed      State = "failed"
	Canceled    State = "canceled"
	Interrupted State = "interrupted"
)

// States lists every state.
var States = []State{Queued, Dispatched, Running, Canceling, Succeeded, Failed, Canceled, Interrupted}

// Terminal tells whether the job has ended.
func (s State) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// Active tells whether the worker holds the job.
func (s State) Active() bool { return s == Dispatched || s == Running || s == Canceling }

// Step is what happened to a job. The pair (state, step) decides the next state.
type Step string

// The steps.
const (
	StepDispatch  Step = "dispatch"  // the loop handed it to the worker
	StepAccept    Step = "accept"    // the worker began
	StepCancel    Step = "cancel"    // somebody asked to stop
	StepSucceed   Step = "succeed"   // result verified
	StepFail      Step = "fail"      // typed error, or retries used up
	StepStopped   Step = "stopped"   // the worker confirmed the cancel, or died while canceling
	StepInterrupt Step = "interrupt" // the worker or the supervisor died under it
	StepRequeue   Step = "requeue"   // a new attempt waits
	StepRetry     Step = "retry"     // a person asked for another try of an ended job
)

type pair struct {
	from State
	step Step
}

// next holds every legal pair; a test proves that all others are refused.
var next = map[pair]State{
	{Queued, StepDispatch}: Dispatched,
	{Queued, StepCancel}:   Canceled,
	{Queued, StepFail}:     Failed,

	{Dispatched, StepAccept}:    Running,
	{Dispatched, StepCancel}:    Canceling,
	{Dispatched, StepFail}:      Failed,
	{Dispatched, StepInterrupt}: Interrupted,

	{Running, StepCancel}:    Canceling,
	{Running, StepSucceed}:   Succeeded,
	{Running, StepFail}:      Failed,
	{Running, StepInterrupt}: Interrupted,

	{Canceling, StepCancel}:    Canceling, // twice is once
	{Canceling, StepAccept}:    Canceling, // the accept was on its way when the cancel came
	{Canceling, StepStopped}:   Canceled,
	{Canceling, StepSucceed}:   Succeeded, // the result landed first: one end, and it is true
	{Canceling, StepFail}:      Failed,
	{Canceling, StepInterrupt}: Canceled, // a cancel that needed a kill is a cancel

	{Interrupted, StepRequeue}: Queued,
	{Interrupted, StepFail}:    Failed,
	{Interrupted, StepCancel}:  Canceled,

	{Failed, StepRetry}:   Queued,
	{Canceled, StepRetry}: Queued,
}

// Next gives the state after step, or an error for a pair that must never happen.
func Next(from State, step Step) (State, error) {
	to, ok := next[pair{from, step}]
	if !ok {
		return from, fmt.Errorf("job in state %s cannot %s", from, step)
	}
	return to, nil
}

// Phase is the part of an attempt that runs now.
type Phase string

// The phases in their order.
const (
	Loading Phase = "loading"
	Encode  Phase = "encode"
	Denoise Phase = "denoise"
	Decode  Phase = "decode"
	Save    Phase = "save"
)

// Phases lists every phase in order.
var Phases = []Phase{Loading, Encode, Denoise, Decode, Save}
