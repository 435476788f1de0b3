package worker

// Word is the state as a person reads it. Page and command line show it; why it is so stands in the status's reason.
func (s State) Word() string { return stateWords[s] }

var stateWords = map[State]string{
	Down: "not started", Spawning: "starting", Probing: "starting", Cold: "ready, model not loaded",
	Loading: "loading the model", Warm: "ready", Busy: "working", Canceling: "canceling", Suspect: "not answering",
	Unloading: "freeing memory", Stopping: "stopping", Exited: "stopped", Backoff: "starts again", Broken: "does not start",
}
