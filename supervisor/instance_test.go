package supervisor

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// held starts a process that lives until the test ends, with a nonce in its environment.
func held(t *testing.T, nonce string) int {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.Env = append(os.Environ(), "QIE_NONCE="+nonce)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = in.Close(); <-gone })
	return cmd.Process.Pid
}

// Row 46: a pid that belongs to somebody else by now is not touched, whatever was written down; the real one is ended.
func TestFault46_PidReuseIsNotTouched(t *testing.T) {
	pid := held(t, "mine")
	born := startTime(pid)
	for name, tt := range map[string]struct {
		facts   workerFacts
		touched bool
	}{
		"started at another time": {workerFacts{PID: pid, StartTime: born + 10, Nonce: "mine"}, false},
		"another nonce":           {workerFacts{PID: pid, StartTime: born, Nonce: "other"}, false},
		"no such process":         {workerFacts{PID: 1 << 22, StartTime: born, Nonce: "mine"}, false},
		"it is the one":           {workerFacts{PID: held(t, "old"), Nonce: "old"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.touched {
				tt.facts.StartTime = startTime(tt.facts.PID)
			}
			if _, err := os.Stat("/proc/self/environ"); err != nil && name == "another nonce" {
				t.Log("this system does not show a process's environment; pid and start time decide")
				return
			}
			dir := t.TempDir()
			i := &instance{file: filepath.Join(dir, "worker.json")}
			if err := writeJSON(i.file, tt.facts); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			i.endStaleWorker(slog.New(slog.NewTextHandler(io.Discard, nil)))
			alive := sameProcess(tt.facts)
			if alive {
				t.Error("the stale worker lives")
			}
			if !tt.touched && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				t.Error("a stranger was ended")
			}
			if time.Since(begin) > staleGrace && !tt.touched {
				t.Error("it waited for a stranger")
			}
			if _, err := os.Stat(i.file); err == nil {
				t.Error("what was written down stays")
			}
		})
	}
}

// A supervisor that is killed while it starts a process leaves its lock with that process for a moment: the next start
// waits for it, and refuses at once when the holder lives.
func TestInstance_LockOfADeadHolderIsWaitedFor(t *testing.T) {
	home := t.TempDir()
	first, err := openInstance(home, "boot")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	var running *RunningError
	if _, err := openInstance(home, "second"); !errors.As(err, &running) || running.PID != os.Getpid() || time.Since(begin) > lockPatience/2 {
		t.Errorf("beside a living holder after %v: %v", time.Since(begin), err)
	}
	dead := first.facts
	dead.StartTime-- // as if the pid were another process's by now
	if err := writeJSON(first.path, dead); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = first.lock.Close() })
	second, err := openInstance(home, "third")
	if err != nil {
		t.Fatal(err)
	}
	if err := second.close(); err != nil {
		t.Error(err)
	}
}
