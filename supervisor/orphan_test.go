package supervisor_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/shirou/gopsutil/v3/process"

	"qie/supervisor"
	"qie/supervisor/host"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

func lasting(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "120")
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if text, ok := v.(string); ok {
		data = []byte(text)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func born(t *testing.T, pid int) int64 {
	t.Helper()
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		t.Fatal(err)
	}
	at, err := p.CreateTime()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Rows 3 and 46: at the start, the worker of a killed run is ended, also a stopped one; a process that only has its pid
// now is not touched.
func TestFault46_OnlyOurOwnStaleWorkerIsEnded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the nonce of another process is shown by Linux only")
	}
	tests := []struct {
		name, nonce string
		later       int64 // added to the start time
		ended       bool
	}{
		{"ours", "n1", 0, true},
		{"the pid is another's, by its start", "n1", 10, false},
		{"the pid is another's, by its nonce", "n2", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home := t.TempDir()
			cmd := lasting(t, "QIE_NONCE=n1")
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(home, "run", "worker.json"), map[string]any{"pid": cmd.Process.Pid,
				"start_time": born(t, cmd.Process.Pid) + tt.later, "nonce": tt.nonce})
			s := st.New(t, st.Home(home))
			st.WaitReady(t, s) // the clean-up comes before the first worker
			alive := len(host.WithEnv("QIE_NONCE", map[string]bool{"n1": true})) > 0
			if alive == tt.ended {
				t.Errorf("alive is %t", alive)
			}
		})
	}
}

// Row 14: what a worker detached into a session of its own disturbs no job, and the next start finds it by the nonce in
// its environment, ends it and tells.
func TestFault14_DaemonIsFoundByItsNonce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the nonce of another process is shown by Linux only")
	}
	home := t.TempDir()
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home), st.Script("at ready: daemon")))
	if err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); j.State != job.Succeeded {
		t.Fatalf("ended as %s: %+v", j.State, j.Error)
	}
	st.Close(t, s)
	text, err := os.ReadFile(filepath.Join(home, "run", "nonces"))
	if err != nil {
		t.Fatal(err)
	}
	nonces := map[string]bool{}
	for nonce := range strings.FieldsSeq(string(text)) {
		nonces[nonce] = true
	}
	if left := host.WithEnv("QIE_NONCE", nonces); len(left) != 1 {
		t.Fatalf("after the end there are %+v, want the daemon", left)
	}
	stranger := lasting(t, "QIE_NONCE=of-somebody-else")
	s = st.New(t, st.Home(home))
	st.WaitReady(t, s)
	if left := host.WithEnv("QIE_NONCE", nonces); len(left) != 0 {
		t.Errorf("still there: %+v", left)
	}
	told := false
	for _, n := range s.State().Notices {
		told = told || n.Code == "leftover_ended"
	}
	if !told {
		t.Errorf("nothing is told of it: %+v", s.State().Notices)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger is gone: %v", err)
	}
}
