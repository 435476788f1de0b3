package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
	"qie/supervisor/worker"
)

// said gives what do prints on stdout and stderr.
func said(t *testing.T, do func()) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	do() // fits into the pipe
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func wants(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s does not say %q:\n%s", what, part, text)
		}
	}
}

func TestWords_EveryCodeAtTheCommandLine(t *testing.T) {
	for _, c := range job.Codes() {
		w := c.Words()
		e := &job.Error{Code: c, Message: "it measured 3", Report: "crash-1-1.json"}
		text := said(t, func() { (&output{}).fail(e) })
		wants(t, string(c), text, "qie: it measured 3\n", "\n     "+w.Done+"\n", "\nnext: "+w.Next+"\n", "qie crashes crash-1-1.json")
		f := e.Failure()
		text = said(t, func() { _ = (&app{}).showJob(job.Job{State: job.Failed, Error: &f}) })
		wants(t, string(c)+" of a job", text, w.What, "it measured 3", w.Done, "next: "+w.Next, "qie crashes crash-1-1.json")
		old := job.Failure{Code: c, Message: "it measured 3"}
		wants(t, string(c)+" of an older version", said(t, func() { _ = (&app{}).showJob(job.Job{State: job.Failed, Error: &old}) }), w.Done, w.Next)
	}
}

func TestWords_EveryWorkerStateAndPauseInStatus(t *testing.T) {
	for _, state := range worker.States {
		w := event.Worker{State: string(state), Reason: "it was killed", Done: "it is started again", Hint: "wait a little", Report: "crash-1-1.json"}
		text := strings.Join(statusLines(event.State{Worker: w}, "http://here"), "\n")
		wants(t, string(state), text, "worker: "+state.Word()+": it was killed", "it is started again", "next: wait a little", "qie crashes crash-1-1.json")
		if state.Word() == "" {
			t.Errorf("%s has no word", state)
		}
	}
	for _, by := range []string{"person", "disk", "worker"} {
		q := event.Queue{Paused: true, By: by, Reason: "lunch", Done: "nothing is lost", Hint: "eat", Waiting: []job.ID{"a"}}
		wants(t, by, strings.Join(statusLines(event.State{Queue: q}, "http://here"), "\n"), "1 wait; paused: lunch", "nothing is lost", "next: eat")
	}
	wants(t, "no server", strings.Join(statusLines(event.State{}, ""), "\n"), "qie does not run", "next: start it with ./start")
}

// edit runs the real program on the fake worker, without a server.
func edit(t *testing.T, script, prompt string) (code int, stderr string, home string, env []string) {
	t.Helper()
	home, env = newHome(t, script)
	photo := filepath.Join(t.TempDir(), "photo.png")
	if err := os.WriteFile(photo, st.Picture(96, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, env, "edit", "-i", photo, "-o", filepath.Join(t.TempDir(), "out.png"), prompt)
	code = p.end(t)
	return code, p.stderr.String(), home, env
}

func output1(t *testing.T, home string, env []string, args ...string) string {
	t.Helper()
	p := start(t, home, env, args...)
	text, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	p.end(t)
	return string(text)
}

// A crash under an edit is told while it happens, and the report can be looked at by its name.
func TestWords_EditTellsTheCrashAndTheSecondTry(t *testing.T) {
	code, stderr, home, env := edit(t, "at step 2 in gen 1: kill", "make it sepia")
	if code != exitOK {
		t.Fatalf("it ended with %d: %s", code, stderr)
	}
	wants(t, "stderr", stderr, "note: the worker was killed by another process (SIGKILL); this edit has a second try", "crash report: qie crashes crash-",
		"note: it was resumed at step 2 of 4", "try 2")
	list := output1(t, home, env, "crashes")
	name, _, _ := strings.Cut(list, " ")
	wants(t, "the list", list, "crash-", "killed by another process", "started again")
	wants(t, "the report", output1(t, home, env, "crashes", name), `"signal": "SIGKILL"`)
	wants(t, "status", output1(t, home, env, "status"), "qie does not run", "queue: 0 run, 0 wait")
}

func TestWords_EditThatIsParked(t *testing.T) {
	code, stderr, home, env := edit(t, "", "fake: at step 2: kill")
	if code != exitJobFailed {
		t.Errorf("it ended with %d", code)
	}
	wants(t, "stderr", stderr, "qie: the worker died twice under this job", "set aside", "next: try fewer steps", "crash report: qie crashes crash-")
	wants(t, "the list", output1(t, home, env, "jobs"), "This edit made the worker fail twice.")
}

// Without a server nobody else repairs what is broken: the command says so and ends, and leaves no edit behind.
func TestWords_EditOnABrokenWorkerEnds(t *testing.T) {
	code, stderr, home, env := edit(t, "at hello: exit 64", "make it sepia")
	if code != exitNotReady {
		t.Errorf("it ended with %d", code)
	}
	wants(t, "stderr", stderr, "qie: worker and supervisor are of different versions", "the edit was canceled", "next: restart qie")
	wants(t, "the list", output1(t, home, env, "jobs"), "canceled")
}
