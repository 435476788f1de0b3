package worker

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/wire"
)

func TestState_EveryOneHasAWord(t *testing.T) {
	for _, s := range States {
		if s.Word() == "" {
			t.Errorf("state %s has no word", s)
		}
	}
	field := event.Worker{}
	if listed := stateDoc(t, field); !slices.Equal(listed, States) {
		t.Errorf("event.Worker documents %v, the states are %v", listed, States)
	}
}

// stateDoc reads the states that the API documents.
func stateDoc(t *testing.T, _ event.Worker) []State {
	t.Helper()
	source, err := os.ReadFile("../event/event.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), `doc:"down `)
	list, _, _ := strings.Cut("down "+rest, `"`)
	var states []State
	for _, word := range strings.Fields(list) {
		states = append(states, State(word))
	}
	return states
}

// Every cause of a death, in every state in which it can happen: whoever looks reads the cause, what was done and one
// next action.
func TestDeath_EveryCauseSaysWhatWasDoneAndWhatNext(t *testing.T) {
	codes := []int{wire.ExitBye, wire.ExitProtocol, wire.ExitConfig, wire.ExitImport, wire.ExitInternal, wire.ExitOOM, wire.ExitGPUContext,
		wire.ExitWeights, wire.ExitDisk, wire.ExitParentGone, 1, 3}
	signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, 40}
	said := [][]string{nil, {"ModuleNotFoundError: x"}, {"MemoryError"}, {"CUDA error: x"}, {"failed assertion `x'"}}
	var deaths []death
	for _, state := range []State{Spawning, Probing, Cold, Loading, Warm, Busy, Canceling, Unloading} {
		for _, stderr := range said {
			for _, code := range codes {
				deaths = append(deaths, death{state: state, facts: exitFacts{code: code, stderr: stderr}})
			}
			for _, signal := range signals {
				deaths = append(deaths, death{state: state, facts: exitFacts{code: -1, signal: signal, stderr: stderr}},
					death{state: state, sent: signal, facts: exitFacts{code: -1, signal: signal, stderr: stderr}})
			}
		}
		deaths = append(deaths, death{state: state, peak: 0.9, facts: exitFacts{code: -1, signal: syscall.SIGKILL}},
			death{state: state, facts: exitFacts{code: -1, signal: syscall.SIGKILL, oomKills: 1}},
			death{state: state, facts: exitFacts{code: -1, signal: syscall.SIGKILL, jetsam: true}},
			death{state: state, why: fault(job.CodeWorkerStalled, "it did not get on", hintLog)})
	}
	for _, short := range []error{syscall.EAGAIN, syscall.ENOENT, syscall.ENOEXEC, job.Errorf(job.CodeEnvBroken, "no lock")} {
		deaths = append(deaths, death{spawn: short, state: Spawning})
	}
	for _, d := range deaths {
		for _, opens := range []bool{false, true} {
			w := New(Config{Emit: func(Event) {}})
			w.machine.state = Spawning
			if d.state.alive() {
				w.machine.state = d.state
			}
			if opens {
				w.limits.Early, w.limits.Crashes, w.limits.OOMs = 1, 1, 1
			}
			w.ended(d)
			w.publish()
			s := w.Status()
			if s.State != string(Backoff) && s.State != string(Broken) || s.Reason == "" || s.Done == "" || s.Hint == "" || s.Code == "" {
				t.Fatalf("%+v leads to %+v", d, s)
			}
			if lost := strings.Contains(s.Done, "nothing is lost"); lost != (s.State == string(Broken)) {
				t.Fatalf("%s says %q", s.State, s.Done)
			}
			// A promise is made only where the breaker keeps it.
			planned := strings.Contains(s.Done, "next try is in") || strings.Contains(s.Done, "started again")
			if planned != (s.State == string(Backoff) || s.RetryInS > 0) || s.State == string(Broken) && strings.HasPrefix(s.Hint, "wait") {
				t.Fatalf("%s, next try in %.0f s, says %q and %q", s.State, s.RetryInS, s.Done, s.Hint)
			}
		}
	}
}

// What a report must never hold, at every place where a worker can say something.
func TestCrash_CanariesAreInNoReportAndNoLog(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	const prompt, negative = "make the canaryprompt sing\nand its canaryline fly", "canarynegative is ugly"
	said := []string{
		"make the canaryprompt sing", "ValueError: and its canaryline fly is too long", negative,
		"open " + home + "/canaryfolder/canaryphoto.jpg", "FileNotFoundError: [Errno 2] No such file or directory: '/Users/canaryuser/My canaryfolder/canary photo.jpg'",
		"cannot identify image file 'canary holiday 2026.heic'", "reading canaryphoto.png failed", "/Volumes/canarydisk/a b canary c.webp is cut off",
		"HF_TOKEN=hf_canaryAbCdEfGh0123", "Authorization: Bearer canarybearer0123456789", "token: canarytoken0123456789",
		`File "/home/canaryuser/env/lib/torch/linear.py", line 7`, "input-1.png is truncated",
	}
	for name, end := range map[string]string{"exit code": "exit 3", "last word": "fatal internal 70", "signal": "signal SEGV"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var script strings.Builder
			for _, line := range said {
				script.WriteString("at step 2 in gen 1: say " + line + "; ")
			}
			script.WriteString("at step 2 in gen 1: " + end)
			r := newRig(t, script.String(), func(c *Config) { c.CrashDir, c.LogFile = dir, filepath.Join(dir, "worker.log") })
			p := r.plan(prompt)
			p.NegativePrompt = negative
			died := r.end(r.start(p)).(Died)
			if died.Err.Report == "" {
				t.Fatal("the death names no report")
			}
			data, err := os.ReadFile(filepath.Join(dir, died.Err.Report))
			if err != nil {
				t.Fatal(err)
			}
			if i := strings.Index(string(data), "canary"); i >= 0 {
				t.Errorf("the report holds %q", data[max(0, i-60):min(len(data), i+40)])
			}
			if strings.Contains(string(data), home+"/") {
				t.Errorf("the report names the home folder: %s", data)
			}
			var c crash
			if err := json.Unmarshal(data, &c); err != nil || !strings.Contains(strings.Join(c.Stderr, "\n"), "linear.py") ||
				!strings.Contains(strings.Join(c.Stderr, "\n"), "input-1.png is truncated") || c.Done == "" {
				t.Errorf("what helps is not in it: %v %s", err, data)
			}
			r.until("status that names the report", func(e Event) bool {
				s, ok := e.(StatusChanged)
				return ok && s.Status.Report == died.Err.Report
			})
		})
	}
}

func TestWithoutNames(t *testing.T) {
	for text, want := range map[string]string{
		"no such file: '/Users/ann/My Photos/secret party.jpg'": "no such file: '[path]'",
		"no such file: /Users/ann/photos/secret party.jpg":      "no such file: [file]",
		"cannot identify image file 'secret party.png'":         "cannot identify image file '[path]'",
		"cannot open party.jpeg: it is cut off":                 "cannot open [file]: it is cut off",
		"result.png and attempt-2.png and input-3.png":          "result.png and attempt-2.png and input-3.png",
		"Bearer abcdef123456 was refused":                       "[token] was refused",
		`{"token": "abcdef123456"}`:                             `{"[token]"}`,
		"the tokenizer has 4096 tokens":                         "the tokenizer has 4096 tokens",
		"expected 'a b' but got 'c d'":                          "expected 'a b' but got 'c d'",
		`File "/opt/x/linear.py", line 3`:                       `File "linear.py", line 3`,
	} {
		if got := withoutNames(text, ""); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
