package worker

import "time"

// rung is one step of a ladder: after so long without success, do this.
type rung struct {
	after time.Duration
	do    action
}

type action string

const (
	doShutdown action = "shutdown message"
	doHangUp   action = "close stdin"
	doTerm     action = "terminate the group"
	doKill     action = "kill the group"
	doGiveUp   action = "wait for the system" // KILL was sent and the process is still there
)

// cancelLadder runs after the cancel message. A killed worker must load its weights again, so a step may finish first.
func cancelLadder(l Limits, stepMean time.Duration) []rung {
	return []rung{{max(l.Cancel, 2*stepMean), doTerm}, {l.Term, doKill}, {l.Reap, doGiveUp}}
}

// stopLadder ends a healthy worker.
func stopLadder(l Limits) []rung {
	return []rung{{0, doShutdown}, {l.Shutdown, doHangUp}, {0, doTerm}, {l.Term, doKill}, {l.Reap, doGiveUp}}
}

// recycleLadder ends one that is stuck: it would not read a message. On a Mac a kill can leave memory wired until the
// next boot, so TERM comes first even here.
func recycleLadder(l Limits) []rung {
	return []rung{{0, doTerm}, {l.Term, doKill}, {l.Reap, doGiveUp}}
}

// killLadder is for those who cannot wait.
func killLadder(l Limits) []rung {
	return []rung{{0, doKill}, {l.Reap, doGiveUp}}
}

// mutedLadder waits for a process that should be ending by itself.
func mutedLadder(l Limits) []rung {
	return []rung{{l.Term, doTerm}, {l.Term, doKill}, {l.Reap, doGiveUp}}
}
