package worker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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
	w := New(Config{Command: fakeworker.Command(script), RunDir: os.TempDir(), Emit: func(e Event) {
		switch e := e.(type) {
		case StatusChanged:
			fmt.Println(e.Status.State, e.Status.PID)
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

// Fault 2.
func TestGuard_WorkerDiesWithItsSupervisor(t *testing.T) {
	gone(t, orphan(t, "at step 2: stall", "step 1"))
}

// Fault 3: a worker that hears nothing, neither end-of-file nor TERM, dies by the guard within 6 s.
func TestGuard_EndsAWorkerThatHearsNothing(t *testing.T) {
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

// Fault 4: the guard is replaced, and the new one knows what to watch.
func TestGuard_IsRespawned(t *testing.T) {
	started := make(chan *exec.Cmd, 10)
	r := newRig(t, "", func(c *Config) {
		c.Guard = func() (*exec.Cmd, error) {
			cmd, err := ownBinaryAsGuard()
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
}

func TestWatch_ReadsWhatItUnderstands(t *testing.T) {
	got := watch(strings.NewReader("watch 12\nwatch 13\nforget 12\nwatch 1\nwatch 0\nwatch -5\nwatch x\nnoise\n"))
	if len(got) != 1 || !got[13] {
		t.Errorf("got %v", got)
	}
}
