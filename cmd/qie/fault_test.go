package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	st "qie/supervisor/supervisortest"
)

// The names of these tests carry the numbers of the fault table in the design (supervision.md B). They run the real
// program; what lies in its Python environment is the fake worker.

// program is one process of qie.
type program struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr quiet
	ended  chan error
}

// quiet is a buffer that two goroutines may use.
type quiet struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (q *quiet) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.text.Write(p)
}

func (q *quiet) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.text.String()
}

// newHome is a data folder with the fake worker behind it.
func newHome(t *testing.T, script string) (home string, env []string) {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err == nil {
		err = st.PythonEnv(filepath.Join(dir, "env"), exe, script, dir)
	}
	if err == nil {
		err = os.Symlink(exe, filepath.Join(dir, "qie"))
	}
	if err != nil {
		t.Fatal(err)
	}
	home = filepath.Join(dir, "data")
	return home, append(os.Environ(), "HOME="+dir, "QIE_HOME="+home, "QIE_PYTHON_ENV="+filepath.Join(dir, "env"),
		"GORACE=atexit_sleep_ms=0", "PORT=0", "HOST=127.0.0.1", "QIE_TOKEN=", "QIE_MODEL=")
}

func start(t *testing.T, home string, env []string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(filepath.Join(filepath.Dir(home), "qie"), args...), ended: make(chan error, 1)}
	p.cmd.Env = env
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// url waits until it serves.
func (p *program) url(t *testing.T) string {
	t.Helper()
	var line struct{ URL string }
	if err := json.NewDecoder(p.stdout).Decode(&line); err != nil || line.URL == "" {
		t.Fatalf("it said no address: %v", err)
	}
	return line.URL
}

// end waits for the exit code.
func (p *program) end(t *testing.T) int {
	t.Helper()
	go func() {
		_, _ = io.Copy(io.Discard, p.stdout)
		p.ended <- p.cmd.Wait()
	}()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(st.Patience):
		t.Fatalf("it does not end; stderr: %s", p.stderr.String())
		return 0
	}
}

func getJSON(t *testing.T, url string, v any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// waitWorker waits for the pid of a worker in that state.
func waitWorker(t *testing.T, url, state string) int {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(st.Patience)
	for {
		var system struct {
			Worker struct {
				State string
				PID   int
			}
		}
		getJSON(t, url+"/api/v1/system", &system)
		if system.Worker.State == state {
			return system.Worker.PID
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the worker is %+v, never %s", system.Worker, state)
		}
	}
}

func waitGone(t *testing.T, pid int, limit time.Duration) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for syscall.Kill(pid, 0) == nil {
		if time.Since(begin) > limit {
			t.Fatalf("process %d lives %v later", pid, limit)
		}
		<-tick.C
	}
}

// Two programs on one data folder: the second leads to the first, ends with 0 and ends nobody.
func TestFault44_SecondInstanceLeadsToTheFirst(t *testing.T) {
	home, env := newHome(t, "")
	first := start(t, home, env, "--json", "serve")
	url := first.url(t)
	worker := waitWorker(t, url, "cold")
	for _, how := range [][]string{{"serve"}, {"serve", "--port", url[strings.LastIndex(url, ":")+1:]}} {
		second := start(t, home, env, append([]string{"--json"}, how...)...)
		var line struct {
			URL     string
			Running bool
		}
		if err := json.NewDecoder(second.stdout).Decode(&line); err != nil || line.URL != url || !line.Running {
			t.Errorf("%v said %+v, %v", how, line, err)
		}
		if code := second.end(t); code != 0 {
			t.Errorf("%v ended with %d: %s", how, code, second.stderr.String())
		}
	}
	if got := waitWorker(t, url, "cold"); got != worker {
		t.Errorf("the worker is process %d, it was %d", got, worker)
	}
	_ = first.cmd.Process.Signal(os.Interrupt)
	if code := first.end(t); code != 0 {
		t.Errorf("the first ended with %d", code)
	}
	waitGone(t, worker, time.Second)
}

// A stranger on the port is named and left alone; the exit code is that of something not ready.
func TestFault45_StrangerOnThePort(t *testing.T) {
	home, env := newHome(t, "")
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	port := stranger.Addr().(*net.TCPAddr).Port
	p := start(t, home, env, "serve", "--port", fmt.Sprint(port))
	if code := p.end(t); code != exitNotReady {
		t.Errorf("it ended with %d, want %d", code, exitNotReady)
	}
	for _, words := range []string{fmt.Sprintf("port %d is taken by", port), fmt.Sprintf("process %d", os.Getpid()), fmt.Sprintf("--port %d", port+1)} {
		if !strings.Contains(p.stderr.String(), words) {
			t.Errorf("stderr does not say %q: %s", words, p.stderr.String())
		}
	}
	conn, err := net.Dial("tcp", stranger.Addr().String())
	if err != nil {
		t.Errorf("the stranger is gone: %v", err)
	} else {
		_ = conn.Close()
	}
}

// Ctrl-C lets the worker end in order; a second one ends at once with 130. Nothing stays either way.
func TestFault50_CtrlCOnceAndTwice(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		home, env := newHome(t, "")
		p := start(t, home, env, "--json", "serve")
		worker := waitWorker(t, p.url(t), "cold")
		begin := time.Now()
		_ = p.cmd.Process.Signal(os.Interrupt)
		if code := p.end(t); code != 0 {
			t.Errorf("it ended with %d: %s", code, p.stderr.String())
		}
		waitGone(t, worker, time.Second)
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("twice", func(t *testing.T) {
		// A worker that hears nothing makes the orderly end long.
		mark := filepath.Join(t.TempDir(), "told")
		home, env := newHome(t, "at shutdown: touch "+mark+"; at shutdown: hang; at term: deafterm")
		p := start(t, home, env, "--json", "serve")
		worker := waitWorker(t, p.url(t), "cold")
		_ = p.cmd.Process.Signal(os.Interrupt)
		waitPath(t, mark)
		begin := time.Now()
		_ = p.cmd.Process.Signal(os.Interrupt)
		p.end(t)
		took := time.Since(begin)
		t.Logf("the second Ctrl-C took %v, ended as %v", took, p.cmd.ProcessState)
		status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		// A shell shows a death by SIGINT as 130, and so does the code of our own.
		if p.cmd.ProcessState.ExitCode() != exitInterrupted && status.Signal() != syscall.SIGINT {
			t.Errorf("it ended as %v", p.cmd.ProcessState)
		}
		if took > 2*time.Second {
			t.Errorf("the second Ctrl-C took %v", took)
		}
		waitGone(t, worker, 8*time.Second)
	})
}

func waitPath(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), st.Patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s never came", path)
		}
	}
}
