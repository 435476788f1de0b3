package worker

// State of the worker, as supervision.md A2 names them.
type State string

// The states.
const (
	Down      State = "down"      // no process
	Spawning  State = "spawning"  // started, hello not yet seen
	Probing   State = "probing"   // imports and device
	Cold      State = "cold"      // ready, no weights
	Loading   State = "loading"   // weights are read for an attempt
	Warm      State = "warm"      // idle with weights
	Busy      State = "busy"      // an attempt runs
	Canceling State = "canceling" // the cancel ladder runs
	Suspect   State = "suspect"   // beats are overdue
	Unloading State = "unloading" // weights are dropped
	Stopping  State = "stopping"  // the stop ladder runs
	Exited    State = "exited"    // reaped; being judged
	Backoff   State = "backoff"   // waits for the next start
	Broken    State = "broken"    // no start without a person
)

// States lists every state.
var States = []State{Down, Spawning, Probing, Cold, Loading, Warm, Busy, Canceling, Suspect, Unloading, Stopping,
	Exited, Backoff, Broken}

// trigger is what happened to the worker; the pair (state, trigger) decides the next state.
type trigger string

const (
	sigSpawn    trigger = "spawn"
	sigHello    trigger = "hello"
	sigReady    trigger = "ready"
	sigLoad     trigger = "load"     // load was sent
	sigGenerate trigger = "generate" // generate was sent
	sigWarm     trigger = "warm"     // a request ended, weights are there
	sigCold     trigger = "cold"     // a request ended, no weights are there
	sigCancel   trigger = "cancel"
	sigUnload   trigger = "unload"
	sigSuspect  trigger = "suspect"
	sigRecover  trigger = "recover" // a suspect spoke: back to where it was
	sigStop     trigger = "stop"
	sigExit     trigger = "exit"
	sigRest     trigger = "rest" // nobody wants a process now
	sigBackoff  trigger = "backoff"
	sigBreak    trigger = "break"
)

var triggers = []trigger{sigSpawn, sigHello, sigReady, sigLoad, sigGenerate, sigWarm, sigCold, sigCancel, sigUnload,
	sigSuspect, sigRecover, sigStop, sigExit, sigRest, sigBackoff, sigBreak}

type pair struct {
	from State
	sig  trigger
}

// next holds every legal pair; a test proves that all others are refused. Suspect goes back to the state it came from,
// which only the machine knows.
var next = map[pair]State{
	{Down, sigSpawn}:    Spawning,
	{Down, sigBackoff}:  Backoff, // the start itself failed
	{Down, sigBreak}:    Broken,
	{Backoff, sigSpawn}: Spawning,
	{Backoff, sigRest}:  Down,
	{Broken, sigSpawn}:  Spawning, // half-open: one try, asked for by a person
	{Broken, sigRest}:   Down,

	{Spawning, sigHello}: Probing, {Spawning, sigStop}: Stopping, {Spawning, sigExit}: Exited,
	{Probing, sigReady}: Cold, {Probing, sigStop}: Stopping, {Probing, sigExit}: Exited,

	{Cold, sigLoad}: Loading, {Cold, sigSuspect}: Suspect, {Cold, sigStop}: Stopping, {Cold, sigExit}: Exited,

	{Loading, sigWarm}: Warm, {Loading, sigCold}: Cold, {Loading, sigCancel}: Canceling,
	{Loading, sigSuspect}: Suspect, {Loading, sigStop}: Stopping, {Loading, sigExit}: Exited,

	{Warm, sigLoad}: Loading, {Warm, sigGenerate}: Busy, {Warm, sigUnload}: Unloading,
	{Warm, sigSuspect}: Suspect, {Warm, sigStop}: Stopping, {Warm, sigExit}: Exited,

	{Busy, sigWarm}: Warm, {Busy, sigCancel}: Canceling,
	{Busy, sigSuspect}: Suspect, {Busy, sigStop}: Stopping, {Busy, sigExit}: Exited,

	{Canceling, sigWarm}: Warm, {Canceling, sigCold}: Cold, {Canceling, sigCancel}: Canceling,
	{Canceling, sigStop}: Stopping, {Canceling, sigExit}: Exited,

	{Suspect, sigCancel}: Canceling, {Suspect, sigSuspect}: Suspect,
	{Suspect, sigStop}: Stopping, {Suspect, sigExit}: Exited,

	{Unloading, sigCold}: Cold, {Unloading, sigSuspect}: Suspect, {Unloading, sigStop}: Stopping, {Unloading, sigExit}: Exited,

	{Stopping, sigStop}: Stopping, {Stopping, sigExit}: Exited,

	{Exited, sigRest}: Down, {Exited, sigSpawn}: Spawning, {Exited, sigBackoff}: Backoff, {Exited, sigBreak}: Broken,
}

// machine is the worker's state and, while suspect, the one to go back to.
type machine struct {
	state  State
	before State
}

// step takes sig; false means that the pair is not in the table, and nothing changed.
func (m *machine) step(sig trigger) bool {
	if m.state == Suspect && sig == sigRecover {
		m.state, m.before = m.before, ""
		return true
	}
	to, ok := next[pair{m.state, sig}]
	if !ok {
		return false
	}
	if to == Suspect && m.state != Suspect {
		m.before = m.state
	}
	m.state = to
	return true
}

// alive tells whether a process exists in this state.
func (s State) alive() bool {
	switch s {
	case Down, Exited, Backoff, Broken:
		return false
	}
	return true
}
