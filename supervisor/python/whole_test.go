package python

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor/job"
)

// wholeEnv is a built environment whose package torch has one file and a RECORD.
func wholeEnv(t *testing.T) (e Env, file string) {
	t.Helper()
	e, tools := testEnv(t)
	body := "weights = 1\n"
	sum := sha256.Sum256([]byte(body))
	record := fmt.Sprintf("torch/__init__.py,sha256=%s,%d\ntorch-2.dist-info/RECORD,,\n", base64.RawURLEncoding.EncodeToString(sum[:]), len(body))
	script, err := os.ReadFile(filepath.Join(tools, "uv"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(script), `  echo "Installed`, `  site="$(dirname "$last")/lib/python3.12/site-packages"; mkdir -p "$site/torch-2.dist-info"
  printf 'weights = 1\n' > "$site/torch/__init__.py"
  cp "$here/RECORD" "$site/torch-2.dist-info/RECORD"
  echo "Installed`, 1)
	if err := errors.Join(os.WriteFile(filepath.Join(tools, "uv"), []byte(text), 0o700), os.WriteFile(filepath.Join(tools, "RECORD"), []byte(record), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := e.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e, filepath.Join(e.Dir(), "lib/python3.12/site-packages/torch/__init__.py")
}

func TestWhole_FindsWhatIsMissingOrChangedAndRepairs(t *testing.T) {
	e, file := wholeEnv(t)
	if n, err := e.Whole(t.Context(), true); err != nil || n != 1 {
		t.Fatalf("a fresh one: %d files, %v", n, err)
	}
	for _, tt := range []struct {
		name  string
		do    func() error
		quick bool // seen without reading
		want  string
	}{
		{"a file is gone", func() error { return os.Remove(file) }, true, "torch/__init__.py is missing"},
		{"a file is cut", func() error { return os.Truncate(file, 3) }, true, "3 bytes instead of 12"},
		{"a byte is flipped", func() error { return os.WriteFile(file, []byte("weights = 2\n"), 0o600) }, false, "was changed"},
		{"a package is gone", func() error { return os.RemoveAll(filepath.Join(filepath.Dir(file), "../torch-2.dist-info")) }, true, "misses the package torch-2"},
	} {
		if err := tt.do(); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Whole(t.Context(), true); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if _, err := e.Whole(t.Context(), false); (err != nil) != tt.quick {
			t.Errorf("%s, looked at quickly: %v", tt.name, err)
		}
		repair := e.Repair
		if !tt.quick {
			repair = e.Renew
		}
		if err := repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Whole(t.Context(), true); err != nil {
			t.Errorf("%s, and after the repair: %v", tt.name, err)
		}
	}
}

// A new environment that fails its trial leaves the old one where it is.
func TestBuild_SwapsOnlyWhatPassesItsTrial(t *testing.T) {
	e, file := wholeEnv(t)
	if err := os.Truncate(file, 3); err != nil {
		t.Fatal(err)
	}
	tried := ""
	e.Trial = func(_ context.Context, dir string) error {
		tried = dir
		return job.Errorf(job.CodeEnvBroken, "it does not start")
	}
	if err := e.Repair(t.Context()); job.AsError(err).Message != "it does not start" || tried != e.Dir()+".part" {
		t.Errorf("got %v, tried %s", err, tried)
	}
	if info, err := os.Stat(file); err != nil || info.Size() != 3 {
		t.Errorf("the old environment is not in its place: %v", err)
	}
}

func TestBuild_TwiceAtOnceBuildsOnce(t *testing.T) {
	e, tools := testEnv(t)
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- e.Build(t.Context()) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	calls, err := os.ReadFile(filepath.Join(tools, "calls"))
	if err != nil || strings.Count(string(calls), "venv ") != 1 {
		t.Errorf("uv was called:\n%s%v", calls, err)
	}
}

// The real uv asks the index, and nothing before it: no Python is fetched for that. It ends with its context.
func TestReach_AsksTheIndexOnly(t *testing.T) {
	uv, err := exec.LookPath("uv")
	if err != nil {
		t.Fatal("uv is not on PATH; go run ./cmd/dev check puts that of .qie/tools there")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("UV_DEFAULT_INDEX", "http://"+l.Addr().String()+"/simple")
	t.Setenv("UV_PYTHON_INSTALL_MIRROR", "http://"+l.Addr().String()+"/python")
	t.Setenv("NO_PROXY", "*")
	ctx, asked := context.WithTimeout(t.Context(), 30*time.Second)
	defer asked()
	done, first := make(chan struct{}), ""
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil { // and never answers
			first, _ = bufio.NewReader(c).ReadString('\n')
			asked()
			defer func() { _ = c.Close() }()
			<-t.Context().Done()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	why, late := Env{UV: uv}.Reach(ctx)
	if !errors.Is(ctx.Err(), context.Canceled) || !late || why == "" || !strings.HasPrefix(first, "GET /simple/msgspec/ ") {
		t.Errorf("it was asked %q: %q, %t, %v", first, why, late, ctx.Err())
	}
}

func TestProgress_CountsWhatUVSays(t *testing.T) {
	var p Progress
	for _, tt := range [][2]string{{"Resolved 67 packages in 2ms", ""}, {"Downloading torch (500.0MiB)", "0 of 524 MB"},
		{"Downloading numpy (500.0MiB)", "0 of 1049 MB"}, {" Downloaded torch", "524 of 1049 MB"}, {"Prepared 67 packages", "putting them in place"}} {
		if got := p.Line(tt[0]); !strings.Contains(got, tt[1]) || tt[1] == "" && got != "" {
			t.Errorf("%q gives %q", tt[0], got)
		}
	}
}

func TestRequest_NeverTakesAPythonForAnotherProcessor(t *testing.T) {
	intel := foundOf("3.12.4 x86_64 /usr/local/bin/python3\n")
	if got := request(intel, "darwin", "arm64"); got != appleFallback {
		t.Errorf("got %s", got)
	}
	if got := request(intel, "linux", "amd64"); got != intel.Path {
		t.Errorf("got %s", got)
	}
	if got := request(foundOf("3.9.6 arm64 /usr/bin/python3"), "linux", "amd64"); got != fallbackPython {
		t.Errorf("got %s", got)
	}
}
