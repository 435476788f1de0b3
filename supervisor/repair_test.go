package supervisor_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"qie/supervisor"
	"qie/supervisor/job"
	"qie/supervisor/python"
	st "qie/supervisor/supervisortest"
	"qie/supervisor/worker"
)

// uvScript makes environments whose interpreter is this test binary as a fake worker; TEST stands for its path. It has
// no network while the file "offline" lies beside it.
const uvScript = `#!/bin/sh
set -eu
here=$(dirname "$0")
for last; do :; done
case "$1" in
venv)
  mkdir -p "$last/bin" "$last/lib/python3.12/site-packages"
  printf '#!/bin/sh\nexport QIE_FAKE_ROLE=worker QIE_FAKE_SCRIPT=\nexec "TEST"\n' > "$last/bin/python"
  chmod +x "$last/bin/python" ;;
pip)
  [ ! -e "$here/offline" ] || { echo "error: no network" >&2; exit 2; }
  for p in torch diffusers transformers safetensors PIL msgspec; do
    mkdir -p "$(dirname "$last")/lib/python3.12/site-packages/$p"
  done ;;
esac
`

// realEnv is an environment on the disk that the supervisor builds, starts its worker from, and repairs.
func realEnv(t *testing.T) (e python.Env, offline string) {
	t.Helper()
	tools := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	uv := filepath.Join(tools, "uv")
	if err := os.WriteFile(uv, []byte(strings.ReplaceAll(uvScript, "TEST", self)), 0o700); err != nil {
		t.Fatal(err)
	}
	return python.Env{Home: t.TempDir(), UV: uv, Lock: []byte("torch==2 --hash=sha256:0\n"),
		Source: fstest.MapFS{"pyruntime/__main__.py": {Data: []byte("1\n")}},
		Trial: func(ctx context.Context, dir string) error {
			_, err := python.Handshake(ctx, dir, "cpu")
			return err
		}}, filepath.Join(tools, "offline")
}

// Row 20: the environment breaks while qie runs. The worker that does not start is recognised at once and not tried
// again; a restart builds the environment anew in its place, and the old one stays until the new one has passed.
func TestFault20_EnvironmentBreaksAndIsRebuiltInPlace(t *testing.T) {
	replace := func(text string) func(path string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o700) }
	}
	tests := []struct {
		name  string
		spoil func(interpreter string) error
		says  string
	}{
		{"its interpreter is a link to one that is gone", func(path string) error {
			_ = os.Remove(path)
			return os.Symlink(filepath.Join(filepath.Dir(path), "opt", "python3.12"), path)
		}, "could not be started"},
		{"its interpreter is no program", replace("\x7fELF\x00\x00"), "could not be started"},
		{"its interpreter's library is gone", replace("#!/bin/sh\necho 'python: error while loading shared libraries: libpython3.12.so' >&2\nexit 127\n"),
			"cannot be imported"},
		{"its loader aborts", replace("#!/bin/sh\necho 'dyld: Library not loaded: Python.framework/Python' >&2\nulimit -c 0\nkill -ABRT $$\n"),
			"cannot be imported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, offline := realEnv(t)
			s := st.Fault(t, func(c *supervisor.Config) {
				c.ProvideWorker = func(ctx context.Context, _ func(string)) (supervisor.CommandFunc, error) {
					return func(generation int64, nonce string) (*exec.Cmd, error) {
						return python.Command(e.Dir(), generation, nonce), nil
					}, e.Build(ctx)
				}
				c.RepairWorker = func(ctx context.Context, _ func(string)) error { return e.Mend(ctx) }
			})
			st.WaitReady(t, s)
			if err := tt.spoil(filepath.Join(e.Dir(), "bin", "python")); err != nil {
				t.Fatal(err)
			}
			old, err := os.Stat(e.Dir())
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(s.State().Worker.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			reason, hint := brokenWorker(t, s)
			if w := s.State().Worker; !strings.Contains(reason, tt.says) || !strings.Contains(hint, "qie worker restart") || w.RetryInS != 0 || w.Generation != 2 {
				t.Errorf("it says %q, %q after %d starts", reason, hint, w.Generation)
			}
			j := st.Submit(t, s, "make it sepia")
			write(t, offline, "")
			if err := s.RestartWorker(t.Context()); err != nil {
				t.Fatal(err)
			}
			st.Until(t, s, "a repair that fails", func() bool {
				reasons := s.Ready()
				return len(reasons) > 0 && strings.Contains(reasons[0].Message, "no network")
			})
			if still, err := os.Stat(e.Dir()); err != nil || !os.SameFile(old, still) {
				t.Errorf("the old environment is not in its place: %v", err)
			}
			if err := os.Remove(offline); err != nil {
				t.Fatal(err)
			}
			if state := s.State().Worker.State; state != string(worker.Broken) {
				t.Errorf("before the repair the worker is %s", state)
			}
			restartAndFinish(t, s, j.ID)
			if now, err := os.Stat(e.Dir()); err != nil || os.SameFile(old, now) {
				t.Errorf("the environment was not made anew: %v", err)
			}
			if reasons := s.Ready(); len(reasons) != 0 {
				t.Errorf("afterwards it says %+v", reasons)
			}
		})
	}
}

// What is wrong elsewhere is no reason to touch the environment.
func TestRestart_RepairsNothingElse(t *testing.T) {
	s := st.New(t, st.Script("at hello in gen 1: exit 64"), func(c *supervisor.Config) {
		c.RepairWorker = func(context.Context, func(string)) error { return job.Errorf(job.CodeInternal, "it was asked") }
	})
	st.Until(t, s, "a broken worker", func() bool { return s.State().Worker.State == string(worker.Broken) })
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.WaitReady(t, s)
}
