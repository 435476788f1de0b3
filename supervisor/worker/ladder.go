package worker

import (
	"time"

	"qie/supervisor/job"
)

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
	doDump     action = "ask for the stacks"
	doKill     action = "kill the group"
	doGiveUp   action = "wait for the system" // KILL was sent and the process is still there
)

// cancelLadder runs after the cancel message. Before KILL the worker is asked for its stacks.
func cancelLadder(l Limits, wait time.Duration) []rung {
	return []rung{{wait, doTerm}, {l.Term, doDump}, {l.Dump, doKill}, {l.Reap, doGiveUp}}
}

// cancelWait is how long a cancel waits for the worker's own end. A killed worker must load its weights again, so
// waiting is right while the rest of the step or decode takes less than that; 0 for rest is not known.
func cancelWait(l Limits, stepMean, rest, reload time.Duration) time.Duration {
	if rest > 0 && reload > 0 && rest > reload {
		return max(l.Soft, 2*min(stepMean, reload))
	}
	return max(l.Cancel, 2*stepMean)
}

// interruptAfter is when the worker itself breaks off Python code that does not look at its flag. The weights stay, so it
// comes long before TERM.
func interruptAfter(l Limits, stepMean time.Duration) time.Duration { return max(l.Soft, 2*stepMean) }

// rest is how long the current step or decode is expected to take still.
func (p pulse) rest(now time.Time, phase job.Phase) time.Duration {
	switch phase {
	case job.Denoise:
		return max(p.stepMean-now.Sub(p.worked), 0)
	case job.Decode:
		return max(p.decode-now.Sub(p.phaseAt), 0)
	}
	return 0
}

// stopLadder ends a healthy worker.
func stopLadder(l Limits) []rung {
	return []rung{{0, doShutdown}, {l.Shutdown, doHangUp}, {0, doTerm}, {l.Term, doKill}, {l.Reap, doGiveUp}}
}

// recycleLadder ends one that is stuck: it would not read a message. On a Mac a kill can leave memory wired until the
// next boot, so TERM comes first even here.
func recycleLadder(l Limits) []rung {
	return []rung{{0, doTerm}, {l.Term, doDump}, {l.Dump, doKill}, {l.Reap, doGiveUp}}
}

// killLadder is for those who cannot wait.
func killLadder(l Limits) []rung {
	return []rung{{0, doKill}, {l.Reap, doGiveUp}}
}

// mutedLadder waits for a process that should be ending by itself.
func mutedLadder(l Limits) []rung {
	return []rung{{l.Term, doTerm}, {l.Term, doKill}, {l.Reap, doGiveUp}}
}
