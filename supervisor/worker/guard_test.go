package worker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/plan"
	"qie/supervisor/worker/fakeworker"
)

const supervisorRole = "QIE_TEST_SUPERVISOR"

// supervisorIfAsked is a supervisor with nothing but a worker; it prints the worker's pid and waits to be killed.
func supervisorIfAsked() {
	script, asked := os.LookupEnv(supervisorRole)
	if !asked {
		return
	}
	_ = os.Unsetenv(supervisorRole)
	command := fakeworker.Command(script)
	var w *Worker
	w = New(Config{RunDir: os.TempDir(), Limits: Limits{Restart: 10 * time.Millisecond},
		Command: func(gen int64, nonce string) (*exec.Cmd, error) {
			fmt.Println("nonce", nonce)
			return command(gen, nonce)
		},
		Guard: func() (*exec.Cmd, error) {
			fmt.Println("newguard 0")
			return fakeworker.Guard()
		},
		Emit: func(e Event) {
			switch e := e.(type) {
			case StatusChanged:
				fmt.Println(e.Status.State, e.Status.PID)
				if e.Status.State == string(Loading) {
					fmt.Println("guard", w.guard.cmd.Process.Pid)
				}
			case Progress:
				fmt.Println("step", e.Step)
			}
		}})
	go func() {
		_ = w.Start(context.Background(), plan.Plan{Job: "j", Attempt: 1, ModelID: "m", ModelDir: "/m", Steps: 3,
			ResultPath: os.DevNull})
	}()
	_ = w.Run(context.Background())
	os.Exit(0)
}

// orphan starts such a supervisor, waits for a line, kills it by -9 and gives the worker's pid.
func orphan(t *testing.T, script, line string) int {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), supervisorRole+"="+script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	pid := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if state, number, ok := strings.Cut(lines.Text(), " "); ok && state == string(Loading) {
			pid, _ = strconv.Atoi(number)
		}
		if strings.HasPrefix(lines.Text(), line) {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if pid == 0 {
		t.Fatal("no worker was seen")
	}
	return pid
}

// Row 2.
func TestFault02_WorkerDiesWithItsSupervisor(t *testing.T) {
	gone(t, orphan(t, "at step 2: stall", "step 1"))
}

// Row 3: a worker that hears nothing, neither end-of-file nor TERM, dies by the guard within 6 s.
func TestFault03_GuardEndsAWorkerThatHearsNothing(t *testing.T) {
	tests := []struct{ name, script, line string }{
		{"deaf to TERM and to its stdin", "at idle: deafstdin; at term: deafterm; at loaded: stall", string(Loading)},
		{"stopped", "at step 2: stop", "step 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pid := orphan(t, tt.script, tt.line)
			killed := time.Now()
			gone(t, pid)
			if took := time.Since(killed); took > 7*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// Row 4: the guard is replaced, and the new one knows what to watch.
func TestFault04_GuardIsRespawned(t *testing.T) {
	started := make(chan *exec.Cmd, 10)
	r := newRig(t, "", func(c *Config) {
		c.Guard = func() (*exec.Cmd, error) {
			cmd, err := fakeworker.Guard()
			started <- cmd
			return cmd, err
		}
	})
	first := <-started
	r.state(Cold)
	gate := t.TempDir() + "/gate"
	p := r.start(r.plan("fake: at step 2: wait " + gate))
	r.step(p)
	if err := syscall.Kill(first.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-started:
	case <-time.After(patience):
		t.Fatal("no second guard")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.end(p).(Finished); !ok {
		t.Error("the job noticed the guard's death")
	}
	// The second guard was told whom to watch: when its pipe closes, as the kernel does for a dead supervisor, it acts.
	err := r.w.ask(t.Context(), func() error { return r.w.guard.pipe.Close() })
	if err != nil {
		t.Fatal(err)
	}
	if died := await[Died](r); died.Generation != 1 {
		t.Errorf("got %+v", died)
	}
}

// lineage is a supervisor process of its own, as its lines tell of it.
type lineage struct {
	t                         *testing.T
	cmd                       *exec.Cmd
	lines                     *bufio.Scanner
	supervisor, worker, guard int
	nonces                    map[string]bool
}

func newLineage(t *testing.T, script string) *lineage {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &lineage{t: t, cmd: exec.Command(exe), nonces: map[string]bool{}}
	l.cmd.Env = append(os.Environ(), supervisorRole+"="+script)
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.lines, l.supervisor = bufio.NewScanner(out), l.cmd.Process.Pid
	t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
	})
	return l
}

// until reads what the supervisor tells up to a line that begins so.
func (l *lineage) until(begin string) {
	l.t.Helper()
	for l.lines.Scan() {
		word, rest, _ := strings.Cut(l.lines.Text(), " ")
		number, _ := strconv.Atoi(rest)
		switch word {
		case "nonce":
			l.nonces[rest] = true
		case "guard":
			l.guard = number
		case string(Loading):
			l.worker = number
		}
		if strings.HasPrefix(l.lines.Text(), begin) {
			return
		}
	}
	l.t.Fatalf("the supervisor ended before it said %q", begin)
}

// Whichever of supervisor, worker and guard are killed at the same moment: 6 s after the supervisor's end, nothing with
// a nonce of its lives. While the supervisor lives, it has replaced what was killed.
func TestOrphans_EveryCombinationOfKills(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other processes' environments, which prove the end, are shown by Linux only")
	}
	for _, mood := range []struct {
		name, script string
		sets         []int
	}{
		{"steady", "at step 2 in gen 1: wait /nowhere", []int{1, 2, 3, 4, 5, 6, 7}},
		{"deaf to TERM", "at term: deafterm; at step 2 in gen 1: wait /nowhere", []int{1, 5}},
		// Without supervisor and guard the worker itself ends its children. Only when it is killed as well is nobody left
		// for them; the next start sweeps them (row 14).
		{"with a child", "at ready: grandchild; at step 2 in gen 1: wait /nowhere", []int{1, 2, 3, 4, 5, 6}},
	} {
		for _, set := range mood.sets {
			name := mood.name
			for bit, who := range []string{"supervisor", "worker", "guard"} {
				if set&(1<<bit) != 0 {
					name += "-" + who
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLineage(t, mood.script)
				l.until("step 1")
				killed := time.Now()
				for bit, pid := range []int{l.supervisor, l.worker, l.guard} {
					if set&(1<<bit) == 0 {
						continue
					}
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatalf("process %d: %v", pid, err)
					}
				}
				if set&1 == 0 {
					old := l.nonces
					if set&2 != 0 {
						l.nonces = map[string]bool{}
						l.until(string(Cold)) // the next generation
						nobody(t, old, 6*time.Second)
					}
					if set&4 != 0 && set&2 == 0 {
						l.until("newguard")
					}
					killed = time.Now()
					if err := syscall.Kill(l.supervisor, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
				for l.lines.Scan() { // what it said last may hold a nonce
					if nonce, ok := strings.CutPrefix(l.lines.Text(), "nonce "); ok {
						l.nonces[nonce] = true
					}
				}
				if len(l.nonces) == 0 {
					t.Fatal("no nonce was seen")
				}
				nobody(t, l.nonces, time.Until(killed.Add(6*time.Second)))
			})
		}
	}
}

// nobody waits until no process carries one of the nonces, for at most limit (and what a busy machine adds).
func nobody(t *testing.T, nonces map[string]bool, limit time.Duration) {
	t.Helper()
	deadline := time.After(limit + time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		left := host.WithEnv("QIE_NONCE", nonces)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s there is still %+v", limit, left)
		}
	}
}

func TestWatch_ReadsWhatItUnderstands(t *testing.T) {
	got := watch(strings.NewReader("watch 12\nwatch 13\nforget 12\nwatch 1\nwatch 0\nwatch -5\nwatch x\nnoise\n"))
	if len(got) != 1 || !got[13] {
		t.Errorf("got %v", got)
	}
}
