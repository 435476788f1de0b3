package python

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"qie/supervisor/job"
)

// fakeUV makes an environment of empty packages; it fails at sync while the file "offline" lies beside it.
const fakeUV = `#!/bin/sh
set -eu
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1" in
venv) for last; do :; done
  mkdir -p "$last/bin" "$last/lib/python3.12/site-packages"
  printf '#!/bin/sh\n' > "$last/bin/python"; chmod +x "$last/bin/python" ;;
pip) [ ! -e "$here/offline" ] || { echo "error: no network" >&2; exit 2; }
  for last; do :; done
  for p in torch diffusers transformers safetensors PIL msgspec; do
    mkdir -p "$(dirname "$last")/lib/python3.12/site-packages/$p"
  done
  echo "Installed 6 packages" ;;
esac
`

func testEnv(t *testing.T) (Env, string) {
	t.Helper()
	tools := t.TempDir()
	uv := filepath.Join(tools, "uv")
	if err := os.WriteFile(uv, []byte(fakeUV), 0o700); err != nil {
		t.Fatal(err)
	}
	return Env{Home: t.TempDir(), UV: uv, Lock: []byte("torch==2 --hash=sha256:0\n"), Source: fstest.MapFS{
		"pyruntime/__main__.py":       {Data: []byte("print(1)\n")},
		"pyruntime/__pycache__/x.pyc": {Data: []byte("old")},
	}}, tools
}

func TestEnv_BuildsOnceAndLinksTheSource(t *testing.T) {
	e, tools := testEnv(t)
	if err := e.Ready(); job.AsError(err).Code != job.CodeEnvBroken || job.AsError(err).Hint == "" {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		if err := e.Build(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Ready(); err != nil {
		t.Error(err)
	}
	calls, _ := os.ReadFile(filepath.Join(tools, "calls"))
	if strings.Count(string(calls), "\n") != 2 || !strings.Contains(string(calls), "--require-hashes") {
		t.Errorf("calls: %s", calls)
	}
	pth, err := os.ReadFile(filepath.Join(e.Dir(), "lib/python3.12/site-packages", pthName))
	if err != nil {
		t.Fatal(err)
	}
	src := strings.TrimSpace(string(pth))
	if _, err := os.Stat(filepath.Join(src, "pyruntime/__main__.py")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(src, "pyruntime/__pycache__")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("bytecode was unpacked: %v", err)
	}
}

// Rows 20 and 21: a build that was cut off is not ready, the next one is, and a lost interpreter is built again.
func TestFault21_FailedBuildIsNotReadyAndTheNextOneIs(t *testing.T) {
	e, tools := testEnv(t)
	offline := filepath.Join(tools, "offline")
	if err := os.WriteFile(offline, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := e.Build(t.Context())
	if typed := job.AsError(err); typed.Code != job.CodeEnvBroken || !strings.Contains(typed.Message, "no network") {
		t.Errorf("got %v", err)
	}
	if e.Ready() == nil {
		t.Error("a half environment is ready")
	}
	if err := os.Remove(offline); err != nil {
		t.Fatal(err)
	}
	if err := e.Build(t.Context()); err != nil || e.Ready() != nil {
		t.Errorf("second build: %v, %v", err, e.Ready())
	}
	if err := os.Remove(interpreterOf(e.Dir())); err != nil {
		t.Fatal(err)
	}
	if err := e.Build(t.Context()); err != nil || e.Ready() != nil {
		t.Errorf("rebuild after the interpreter went away: %v", err)
	}
}

func TestEnv_BuildStopsWithItsContext(t *testing.T) {
	e, _ := testEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Build(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestEnvironment_DropsWhatChangesPythonAndStaysOffline(t *testing.T) {
	got := Environment([]string{"PATH=/bin", "PYTHONPATH=/x", "HF_HUB_OFFLINE=0", "HF_TOKEN=s", "QIE_NONCE=old",
		"PYTORCH_ENABLE_MPS_FALLBACK=1"}, 3, "n")
	for _, want := range []string{"PATH=/bin", "HF_HUB_OFFLINE=1", "QIE_NONCE=n", "QIE_GENERATION=3"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, pair := range got {
		for _, bad := range []string{"PYTHONPATH=", "HF_TOKEN=", "HF_HUB_OFFLINE=0", "QIE_NONCE=old", "PYTORCH_ENABLE"} {
			if strings.HasPrefix(pair, bad) {
				t.Errorf("%s came through", pair)
			}
		}
	}
}
