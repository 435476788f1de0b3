package python

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

const (
	builderHome = "QIE_TEST_BUILD_IN"
	builderLock = "QIE_TEST_BUILD_LOCK"
	wheelName   = "everything-1.0-py3-none-any.whl"
	wheelPad    = 4 << 20 // that nothing can compress, so that half of it is on the way for certain
)

// The real uv, killed with the set-up while a wheel is half here: nothing is taken for complete, and the next build ends
// with every byte right.
func TestBuild_KilledWhileAWheelComes(t *testing.T) {
	uv, err := exec.LookPath("uv")
	if err != nil {
		t.Fatal("uv is not on PATH; go run ./cmd/dev check puts that of .qie/tools there")
	}
	env := func(home, lock string) Env {
		return Env{Home: home, UV: uv, Lock: []byte(lock), Source: fstest.MapFS{"pyruntime/__main__.py": {Data: []byte("1\n")}}}
	}
	if home := os.Getenv(builderHome); home != "" { // the set-up that is killed
		_ = env(home, os.Getenv(builderLock)).Build(t.Context())
		return
	}
	wheel := everything(t)
	lock := fmt.Sprintf("everything==1.0 --hash=sha256:%x\n", sha256.Sum256(wheel))
	half := make(chan struct{})
	var asked atomic.Int32
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/simple/everything"):
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, `<a href="/files/%s#sha256=%x">%s</a>`, wheelName, sha256.Sum256(wheel), wheelName)
		case r.URL.Path != "/files/"+wheelName:
			http.NotFound(w, r)
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", fmt.Sprint(len(wheel)))
		case asked.Add(1) == 1:
			w.Header().Set("Content-Length", fmt.Sprint(len(wheel)))
			_, _ = w.Write(wheel[:len(wheel)/2])
			_ = http.NewResponseController(w).Flush()
			close(half)
			<-r.Context().Done()
		default:
			_, _ = w.Write(wheel)
		}
	}))
	defer index.Close()
	t.Setenv("UV_DEFAULT_INDEX", index.URL+"/simple")
	t.Setenv("UV_CACHE_DIR", t.TempDir())
	t.Setenv("NO_PROXY", "*")
	home := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	builder := exec.CommandContext(ctx, exe, "-test.run=^TestBuild_KilledWhileAWheelComes$")
	builder.Env = append(os.Environ(), builderHome+"="+home, builderLock+"="+lock)
	if err := builder.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-half:
	case <-ctx.Done():
		t.Fatal("no wheel was asked for")
	}
	if err := builder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = builder.Wait()
	e := env(home, lock)
	if err := e.Ready(); err == nil {
		t.Error("half an environment is ready")
	}
	if found, _ := filepath.Glob(filepath.Join(home, "python", "*.part")); len(found) != 1 {
		t.Errorf("it was not killed in its middle: %v", found)
	}
	index.CloseClientConnections() // where uv does not end with its set-up, as on macOS
	if err := e.Build(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Whole(ctx, true); err != nil {
		t.Error(err)
	}
	if found, _ := filepath.Glob(filepath.Join(home, "python", "*.part")); len(found) != 0 {
		t.Errorf("left behind: %v", found)
	}
}

// everything is a wheel with all the packages that an environment must have.
func everything(t *testing.T) []byte {
	t.Helper()
	pad := make([]byte, wheelPad)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(pad)
	files := map[string][]byte{"torch/pad.bin": pad,
		"everything-1.0.dist-info/METADATA": []byte("Metadata-Version: 2.1\nName: everything\nVersion: 1.0\n"),
		"everything-1.0.dist-info/WHEEL":    []byte("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")}
	for _, name := range []string{"torch", "diffusers", "transformers", "safetensors", "PIL", "msgspec"} {
		files[name+"/__init__.py"] = []byte("x = 1\n")
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	add := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const record = "everything-1.0.dist-info/RECORD"
	list := record + ",,\n"
	for name, data := range files {
		sum := sha256.Sum256(data)
		list += fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(data))
		add(name, data)
	}
	add(record, []byte(list))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
