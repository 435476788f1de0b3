package main

import (
	"fmt"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/worker"
)

// teller says on stderr what happens to one edit: its progress, each notice once, and why it does not go on.
type teller struct {
	a    *app
	own  bool // the server is this process: nobody else will repair it
	told map[string]bool
}

// stuckError is that nothing on this machine can run the edit before somebody repairs something.
type stuckError struct{ why *job.Error }

func (e *stuckError) Error() string { return e.why.Error() }

func (t *teller) see(s sight) error {
	for _, n := range s.Notices {
		t.once("note: "+n.Message, furtherWords("", n.Hint, n.Report)...)
	}
	if s.State.Terminal() {
		return nil
	}
	if m := s.Memory; m != nil && m.Peak > 0 {
		t.once("memory: up to " + bytesText(m.Peak) + ", with " + m.Words)
	}
	switch {
	case s.queue.Paused:
		if t.own && s.queue.By == "worker" && s.worker.RetryInS == 0 {
			return &stuckError{(&job.Error{Code: job.CodeNotReady, Message: s.worker.Reason, Report: s.worker.Report}).
				WithDone("the edit was canceled").WithHint(s.worker.Hint)}
		}
		t.once("the queue is paused: "+s.queue.Reason, furtherWords(s.queue.Done, s.queue.Hint, "")...)
	case len(s.blocked) > 0:
		n := s.blocked[0]
		if t.own {
			return &stuckError{(&job.Error{Code: job.CodeNotReady, Message: n.Message}).WithDone("the edit was canceled").WithHint(n.Hint)}
		}
		t.once(n.Message, furtherWords("", n.Hint, "")...)
	case s.worker.Reason != "" && worker.State(s.worker.State) != worker.Canceling:
		lines := workerLines(s.worker)
		t.once(lines[0], lines[1:]...)
	}
	t.a.showProgress(s.Job)
	return nil
}

// once says it, unless it was said before.
func (t *teller) once(text string, more ...string) {
	if t.told == nil {
		t.told = map[string]bool{}
	}
	if t.told[text] {
		return
	}
	t.told[text] = true
	for _, line := range append([]string{text}, more...) {
		t.a.out.say("%s", line)
	}
}

// workerLines say the state of the worker, and below it why it is so, what was done and what helps.
func workerLines(w event.Worker) []string {
	text := worker.State(w.State).Word()
	switch {
	case w.BytesTotal > 0:
		text += fmt.Sprintf(", %s of %s", bytesText(w.BytesDone), bytesText(w.BytesTotal))
	case worker.State(w.State) == worker.Backoff && w.RetryInS >= 1:
		text += fmt.Sprintf(" in %.0f s", w.RetryInS)
	case worker.State(w.State) == worker.Broken && w.RetryInS >= 1:
		text += fmt.Sprintf(", the next try is in %.0f s", w.RetryInS)
	}
	if w.Reason == "" {
		return []string{"worker: " + text}
	}
	return append([]string{"worker: " + text + ": " + w.Reason}, furtherWords(w.Done, w.Hint, "")...)
}
