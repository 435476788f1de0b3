package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/job"
	"qie/supervisor/worker/fakeworker"
)

func TestWorker_MakesAPicture(t *testing.T) {
	r := newRig(t, "")
	p := r.start(r.plan("make it sepia"))
	done := r.end(p).(Finished)
	data, err := os.ReadFile(done.Path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != done.SHA256 || int64(len(data)) != done.Bytes || done.Path != p.ResultPath {
		t.Errorf("got %+v for a file of %d bytes", done, len(data))
	}
	file, err := os.Open(done.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if picture, err := png.DecodeConfig(file); err != nil || picture.Width != 48 || picture.Height != 40 {
		t.Errorf("picture %+v, %v", picture, err)
	}
	var order []string
	for _, e := range r.seen {
		switch e := e.(type) {
		case Accepted:
			order = append(order, "accepted")
		case Progress:
			if len(order) == 0 || order[len(order)-1] != string(e.Phase) {
				order = append(order, string(e.Phase))
			}
		case Finished:
			order = append(order, "finished")
		}
	}
	if got, want := strings.Join(order, " "), "loading accepted encode denoise decode save finished"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s := r.w.Status(); s.Generation != 1 || s.Device != "cpu" || s.PID == 0 {
		t.Errorf("status %+v", s)
	}
	r.one(p)
	loads := 0
	for _, e := range r.seen {
		if c, ok := e.(StatusChanged); ok && c.Status.State == string(Loading) {
			loads++
		}
	}
	if loads != 1 {
		t.Errorf("%d loads for two jobs of one model", loads)
	}
}

func TestWorker_AnotherModelIsLoaded(t *testing.T) {
	r := newRig(t, "")
	r.finishes("one")
	p := r.plan("two")
	p.ModelID, p.ModelDir = "other", "/models/other"
	r.start(p)
	if _, ok := r.end(p).(Finished); !ok || r.w.Status().Model != "other" {
		t.Errorf("status %+v", r.w.Status())
	}
}

// Fault 1: the death shows at once, the next worker takes the next job.
func TestFault01_KillIsNoticedAtOnce(t *testing.T) {
	r := newRig(t, "step takes 5ms; at step 2: stall")
	p := r.start(r.plan("x"))
	r.step(p)
	killed := time.Now()
	if err := syscall.Kill(r.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	died := r.end(p).(Died)
	if took := time.Since(killed); took > time.Second {
		t.Errorf("noticed after %s", took)
	}
	if died.Err.Code != job.CodeWorkerDied || !strings.Contains(died.Err.Message, "SIGKILL") || died.Wanted {
		t.Errorf("got %+v, %v", died, died.Err)
	}
	if died.Generation != 1 || r.state(Cold).Status.Generation != 2 {
		t.Error("no second generation")
	}
}

func TestWorker_CrashThenTheNextJobSucceeds(t *testing.T) {
	tests := []struct {
		name, script string
		code         job.Code
		words        string
	}{
		{"kill in a step", "at step 2 in gen 1: kill", job.CodeWorkerDied, "SIGKILL"},
		{"exit 0 in the middle is no success", "at step 2 in gen 1: exit 0", job.CodeWorkerDied, "without a result"},
		{"exit 1", "at step 1 in gen 1: say boom; at step 1 in gen 1: exit 1", job.CodeWorkerDied, "exit code 1: boom"},
		{"kill while loading", "at load in gen 1: kill", job.CodeWorkerDied, "SIGKILL"},
		{"out of memory", "at step 1 in gen 1: fatal oom_run 71", job.CodeOOMRun, "scripted oom_run"},
		{"GPU context dead", "at step 1 in gen 1: fatal gpu_context 72", job.CodeGPUContext, "scripted gpu_context"},
		{"disk full", "at save in gen 1: exit 74", job.CodeDiskFull, "disk is full"},
		{"closes its mouth and lives on", "at step 1 in gen 1: huge 2; at step 1 in gen 1: huge 2; at step 1 in gen 1: huge 2; " +
			"at step 1 in gen 1: stall", job.CodeProtocol, "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.script)
			p := r.start(r.plan("x"))
			died, ok := r.end(p).(Died)
			if !ok || died.Err.Code != tt.code || !strings.Contains(died.Err.Message, tt.words) || died.Wanted {
				t.Fatalf("got %+v: %v", died, died.Err)
			}
			r.one(p)
		})
	}
}

// Rows 7 to 11: what is printed on stdout costs log lines and nothing else.
func TestFault07_GarbageOnStdout(t *testing.T)          { noise(t, "garbage", "3/3 [00:01]") }
func TestFault08_PrintGluedToAFrame(t *testing.T)       { noise(t, "glued", "print without newline") }
func TestFault09_BinaryOnStdout(t *testing.T)           { noise(t, "binary", `\x00\x01\xff\xfe`) }
func TestWorker_UnknownMessageHasNoEffect(t *testing.T) { noise(t, "unknown", "") }
func TestFault18_StaleEventsHaveNoEffect(t *testing.T)  { noise(t, "stale", "") }

// Row 11: a line of 100 MB is skipped in bounded memory.
func TestFault11_HugeLine(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	noise(t, "huge 100", "was skipped]")
	runtime.ReadMemStats(&after)
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 16<<20 {
		t.Errorf("%d bytes were allocated on the way", grew)
	}
}

func noise(t *testing.T, do, logged string) {
	t.Helper()
	r := newRig(t, "at start: "+do+"; at ready: "+do+"; at step 2: "+do)
	if strings.HasPrefix(do, "huge") {
		r = newRig(t, "at step 2: "+do) // three of them are a fault
	}
	p := r.start(r.plan("x"))
	if _, ok := r.end(p).(Finished); !ok {
		t.Fatalf("got %+v", r.seen[len(r.seen)-1])
	}
	for _, e := range r.seen {
		if s, ok := e.(Progress); ok && s.Step > p.Steps {
			t.Errorf("a stale event came through: %+v", s)
		}
	}
	if r.w.Status().Generation != 1 {
		t.Error("the worker was restarted")
	}
	r.one(p)
	if err := r.w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if logged == "" {
		return
	}
	data, err := os.ReadFile(r.log)
	if err != nil || !strings.Contains(string(data), logged) {
		t.Errorf("the log holds no %q: %.2000s, %v", logged, data, err)
	}
}

// Row 10: half a line is no event; it is in the log, and the death is a crash.
func TestFault10_HalfALine(t *testing.T) {
	r := newRig(t, "at result in gen 1: half")
	p := r.start(r.plan("x"))
	if died, ok := r.end(p).(Died); !ok || died.Err.Code != job.CodeWorkerDied || died.Wanted {
		t.Fatalf("got %+v", r.seen[len(r.seen)-1])
	}
	r.logged(`"t":"result","seq":99`)
	r.one(p)
}

// Row 12: a gigabyte on stderr or stdout, in lines or in one, neither slows the worker nor fills memory or disk. Messages
// must be decoded to be dropped, so theirs is less.
func TestFault12_Flood(t *testing.T) {
	for _, do := range []string{fmt.Sprintf("flood %d", floodMB), fmt.Sprintf("printflood %d", floodMB),
		fmt.Sprintf("huge %d", floodMB), fmt.Sprintf("newsflood %d", floodMB/16)} {
		t.Run(do, func(t *testing.T) {
			r := newRig(t, "at step 2: "+do)
			p := r.start(r.plan("x"))
			r.step(p)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			if _, ok := r.end(p).(Finished); !ok {
				t.Fatalf("got %+v", r.seen[len(r.seen)-1])
			}
			runtime.ReadMemStats(&after)
			t.Logf("in %v, the process took %d KB more of the system", time.Since(begin), (after.Sys-before.Sys)>>10)
			if grown := int64(after.Sys) - int64(before.Sys); grown > 16<<20 {
				t.Errorf("the flood took %d bytes of memory", grown)
			}
			if got := r.w.Status().Generation; got != 1 {
				t.Errorf("the worker was started %d times", got)
			}
			if err := r.w.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			logs, err := filepath.Glob(r.log + "*")
			if err != nil || len(logs) > logKept+1 {
				t.Errorf("logs %v, %v", logs, err)
			}
			for _, path := range logs {
				info, err := os.Stat(path)
				if err != nil || info.Size() > logBytesMax {
					t.Errorf("%s has %d bytes, %v", path, info.Size(), err)
				}
			}
		})
	}
}

// Row 15: a worker that stops reading is noticed when the pipe is full: shown as suspect, asked for its stacks, and
// recycled when it does not read in time, though it goes on beating.
func TestFault15_WorkerStopsReading(t *testing.T) {
	r := newRig(t, "at idle in gen 1: deafstdin", func(c *Config) {
		c.Limits.Write, c.Limits.Beat = 100*time.Millisecond, 1500*time.Millisecond
	})
	p := r.start(r.plan(strings.Repeat("long ", 40_000)))
	if s := r.state(Suspect).Status; !strings.Contains(s.Reason, "stopped reading") || s.Hint == "" || s.Job != p.Job {
		t.Errorf("suspect says %+v", s)
	}
	r.logged("Current thread")
	died, ok := r.end(p).(Died)
	if !ok || died.Err.Code != job.CodeWorkerStalled || !strings.Contains(died.Err.Message, "stopped reading") || died.Wanted {
		t.Fatalf("got %+v", r.seen[len(r.seen)-1])
	}
	r.one(p)
}

// Row 15: one that only was stopped is asked to go on, finds the rest of its line, and does the job.
func TestFault15_StoppedReaderGoesOn(t *testing.T) {
	r := newRig(t, "", func(c *Config) { c.Limits.Write = 100 * time.Millisecond })
	r.end(r.start(r.plan("fake: at end: stop")))
	p := r.start(r.plan(strings.Repeat("long ", 40_000)))
	r.state(Suspect)
	if _, ok := r.end(p).(Finished); !ok {
		t.Fatalf("got %+v", r.seen[len(r.seen)-1])
	}
	if s := r.w.Status(); s.Generation != 1 || s.Reason != "" {
		t.Errorf("got %+v", s)
	}
}

// Row 53: a system without processes or descriptors costs pauses, not the program; a short one heals by itself, a long
// one pauses the queue and goes on trying.
func TestFault53_NoProcessCanBeStarted(t *testing.T) {
	var starts atomic.Int64
	command := fakeworker.Command("")
	short := func(gen int64, nonce string) (*exec.Cmd, error) {
		if n := starts.Add(1); n <= 2 || n > 3 && n <= 6 {
			return nil, &os.PathError{Op: "fork/exec", Path: "python", Err: []error{syscall.EAGAIN, syscall.EMFILE}[n%2]}
		}
		return command(gen, nonce)
	}
	r := newRigWith(t, short, func(c *Config) { c.Limits.HalfOpen = 20 * time.Millisecond })
	p := r.start(r.plan("x"))
	if s := r.state(Backoff).Status; !strings.Contains(s.Reason, "could not be started") || s.Hint == "" {
		t.Errorf("backoff says %+v", s)
	}
	if _, ok := r.end(p).(Finished); !ok {
		t.Fatalf("got %+v", r.seen[len(r.seen)-1])
	}
	if err := r.w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.state(Broken).Status; !strings.Contains(s.Reason, "3 starts") || s.RetryInS <= 0 {
		t.Errorf("broken says %+v", s)
	}
	r.state(Cold)
	r.one(p)
}

// Rows 34, 35, 37 and 38: cancel in every phase, asked twice, and the next job is not poisoned.
func TestFault35_CancelInEachPhase(t *testing.T) {
	scripts := map[job.Phase]string{
		job.Loading: "load takes 20000ms", job.Encode: "step takes 20000ms",
		job.Denoise: "at step 2: wait /nonexistent/gate", job.Decode: "at decode: wait /nonexistent/gate",
		job.Save: "at save: wait /nonexistent/gate",
	}
	for phase, script := range scripts {
		t.Run(string(phase), func(t *testing.T) {
			r := newRig(t, "")
			if phase == job.Loading {
				r = newRig(t, script)
			}
			p := r.plan("fake:" + script)
			r.start(p)
			r.phase(p, phase)
			r.cancel(p)
			// A second one may find the first already done.
			if err := r.w.Cancel(t.Context(), p.Job); err != nil && job.AsError(err).Code != job.CodeNotFound {
				t.Errorf("a second cancel: %v", err)
			}
			canceled, ok := r.end(p).(Canceled)
			if !ok || canceled.Phase != phase {
				t.Fatalf("got %+v", r.seen[len(r.seen)-1])
			}
			err := r.w.Cancel(t.Context(), p.Job)
			if typed := job.AsError(err); typed.Code != job.CodeNotFound {
				t.Errorf("a third cancel: %v", err)
			}
			if _, err := os.Stat(p.ResultPath); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a canceled job left a picture: %v", err)
			}
			if phase == job.Loading {
				r.state(Cold)
				return // the next load would take as long
			}
			r.one(p)
			if r.w.Status().Generation != 1 {
				t.Error("a cancel cost the worker")
			}
		})
	}
}

// Row 35, the second rung: work that looks at no flag is interrupted, the weights stay, and the next job runs beside
// them in the same process.
func TestFault35_InterruptKeepsTheWeights(t *testing.T) {
	r := newRig(t, "", func(c *Config) { c.Limits.Soft = 50 * time.Millisecond })
	p := r.start(r.plan("fake: at step 1: deafflag; at step 2: wait /nonexistent/gate"))
	r.step(p)
	begin := time.Now()
	r.cancel(p)
	if end, ok := r.end(p).(Canceled); !ok || time.Since(begin) < 50*time.Millisecond {
		t.Fatalf("after %v: %+v", time.Since(begin), end)
	}
	r.state(Warm)
	r.one(p)
	if s := r.w.Status(); s.Generation != 1 {
		t.Errorf("generation %d", s.Generation)
	}
}

// Row 33 at this level: a plan that waits for the worker to start is let go at once.
func TestFault33_CancelBeforeTheWorkerIsReady(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	r := newRig(t, "at ready: wait "+gate)
	p := r.start(r.plan("x"))
	r.cancel(p)
	if _, ok := r.end(p).(Canceled); !ok {
		t.Fatal("not canceled")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.one(p)
}

// Row 36: when the result is on its way, it wins, and there is one end.
func TestFault36_CancelRacesCompletion(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	r := newRig(t, "at result in gen 1: touch "+gate)
	p := r.start(r.plan("fake: at result: deafcancel; at result: wait " + gate + "2; at save: say saving"))
	r.phase(p, job.Save)
	r.cancel(p)
	if err := os.WriteFile(gate+"2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	switch end := r.end(p).(type) {
	case Finished, Canceled:
	default:
		t.Fatalf("got %+v", end)
	}
	r.one(p)
}

func TestWorker_CancelThatIsIgnoredEndsByTheLadder(t *testing.T) {
	fast := func(c *Config) { c.Limits.Cancel = 50 * time.Millisecond; c.Limits.Term = 100 * time.Millisecond }
	for _, deaf := range []string{"", "; at term: deafterm"} {
		r := newRig(t, "at step 2 in gen 1: deafcancel; at step 2 in gen 1: stall"+deaf, fast)
		p := r.start(r.plan("x"))
		r.step(p)
		pid := r.pid()
		r.cancel(p)
		died, ok := r.end(p).(Died)
		if !ok || !died.Wanted {
			t.Fatalf("got %+v", r.seen[len(r.seen)-1])
		}
		gone(t, pid)
		r.one(p)
	}
}

func TestWorker_TypedErrorKeepsTheWorker(t *testing.T) {
	r := newRig(t, "")
	p := r.start(r.plan("fake: at step 1: error nan_output"))
	failed := r.end(p).(Failed)
	if failed.Err.Code != job.CodeNaNOutput {
		t.Errorf("got %v", failed.Err)
	}
	r.one(p)
	q := r.start(r.plan("fake: at step 1: error oom_run fatal"))
	if failed := r.end(q).(Failed); failed.Err.Code != job.CodeOOMRun {
		t.Errorf("got %v", failed.Err)
	}
	r.one(q)
	if got := r.w.Status().Generation; got != 2 {
		t.Errorf("generation %d after a fatal error, want 2", got)
	}
}

func TestWorker_OneAttemptAtATime(t *testing.T) {
	r := newRig(t, "")
	p := r.start(r.plan("fake: at step 1: wait /nonexistent/gate"))
	if err := r.w.Start(t.Context(), r.plan("y")); job.AsError(err).Code != job.CodeConflict {
		t.Errorf("second start: %v", err)
	}
	if err := r.w.Unload(t.Context()); job.AsError(err).Code != job.CodeConflict {
		t.Errorf("unload under a job: %v", err)
	}
	r.phase(p, job.Denoise)
	r.cancel(p)
	r.end(p)
	if err := r.w.Unload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.state(Unloading)
	r.state(Cold)
	r.finishes("again")
}

var holderPID = regexp.MustCompile(`holder pid (\d+)`)

// Row 13: a child of the worker that keeps the pipes does not hold up the reap, and goes with the group.
func TestFault13_ChildHoldsThePipe(t *testing.T) {
	for _, kind := range []string{"grandchild", "daemon"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, "at ready: "+kind)
			r.state(Cold)
			pid := r.pid()
			stopped := time.Now()
			if err := r.w.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			// The race detector alone keeps every process a second longer at its exit.
			if took := time.Since(stopped); took > 4*time.Second {
				t.Errorf("stop took %s", took)
			}
			if r.w.Status().State != string(Down) {
				t.Errorf("status %+v", r.w.Status())
			}
			gone(t, pid)
			data, err := os.ReadFile(r.log)
			found := holderPID.FindSubmatch(data)
			if err != nil || found == nil {
				t.Fatalf("no holder in %s: %v", data, err)
			}
			held, _ := strconv.Atoi(string(found[1]))
			if kind == "daemon" {
				// A session of its own escapes the group by design.
				if err := syscall.Kill(held, syscall.SIGKILL); err != nil {
					t.Errorf("the daemon: %v", err)
				}
			}
			gone(t, held)
		})
	}
}

func TestWorker_StopInTheMiddleOfAJob(t *testing.T) {
	r := newRig(t, "at step 2: wait /nonexistent/gate")
	p := r.start(r.plan("x"))
	r.step(p)
	if err := r.w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if died := r.end(p).(Died); !died.Wanted {
		t.Errorf("got %+v", died)
	}
	if err := r.w.Start(t.Context(), r.plan("y")); job.AsError(err).Code != job.CodeNotReady {
		t.Errorf("start after stop: %v", err)
	}
	if err := r.w.Stop(t.Context()); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

func TestWorker_RestartsWithBackoff(t *testing.T) {
	r := newRig(t, "at hello: exit 1", func(c *Config) { c.Limits.Early = 10 })
	var waits []float64
	for len(waits) < 4 {
		s := r.state(Backoff).Status
		waits = append(waits, s.RetryInS)
		if s.Reason == "" || s.Hint == "" {
			t.Errorf("no reason: %+v", s)
		}
	}
	if waits[0] > 0.001 || waits[3] < 0.025 || waits[3] > 0.050 {
		t.Errorf("pauses %v, want about 0 0.01 0.02 0.04", waits)
	}
}

func TestWorker_BrokenEnvironmentDoesNotLoop(t *testing.T) {
	for script, code := range map[string]job.Code{
		"at hello in gen 1: exit 64": job.CodeProtocol, "at hello in gen 1: exit 65": job.CodeEnvBroken,
		"at hello in gen 1: exit 66": job.CodeEnvBroken, "at ready in gen 1: fatal weights_missing 73": job.CodeWeightsMissing,
		"at hello in gen 1: say ModuleNotFoundError: No module named 'torch'; at hello in gen 1: exit 1": job.CodeEnvBroken,
	} {
		r := newRig(t, script)
		died := await[Died](r)
		if died.Err.Code != code || died.Err.Hint == "" {
			t.Errorf("%s: got %v", script, died.Err)
		}
		if s := r.state(Broken).Status; s.Reason == "" || s.Hint == "" || s.Generation != 1 {
			t.Errorf("%s: %+v", script, s)
		}
		if err := r.w.Start(t.Context(), r.plan("x")); job.AsError(err).Code != job.CodeNotReady {
			t.Errorf("start while broken: %v", err)
		}
		if err := r.w.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.state(Cold)
		r.finishes("healed")
	}
}

func TestWorker_LogHoldsNoPrompt(t *testing.T) {
	const prompt = "зробити мою бабусю молодшою"
	r := newRig(t, "at step 1: say got "+prompt+" now; at step 2: print got "+prompt+" now")
	r.finishes(prompt)
	if err := r.w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(r.log)
	if err != nil || strings.Contains(string(data), prompt) || strings.Count(string(data), "got "+redacted+" now") != 2 {
		t.Errorf("%s, %v", data, err)
	}
}

func TestWorker_ForeignHelloIsIgnored(t *testing.T) {
	fake := `{"qie":1,"t":"hello","seq":1,"gen":1,"ms":0,"nonce":"guess","protocol":1,"pid":1,"python":"x","source_hash":""}`
	r := newRig(t, "at start: print "+fake)
	r.finishes("x")
}
