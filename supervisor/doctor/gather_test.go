package doctor

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"qie/supervisor/config"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
)

// The quick set starts no Python of the environment, so it imports no torch, writes nothing and takes at most two
// seconds; Verify does start it.
func TestGather_QuickStartsNoWorker(t *testing.T) {
	dir := t.TempDir()
	env, started := filepath.Join(dir, "env"), filepath.Join(dir, "started")
	site := filepath.Join(env, "lib/python3.12/site-packages")
	for _, p := range []string{"torch", "diffusers", "transformers", "safetensors", "PIL", "msgspec"} {
		if err := os.MkdirAll(filepath.Join(site, p), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(env, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho yes > '" + started + "'\necho 'ImportError: no torch' >&2\nexit 66\n"
	for path, text := range map[string]string{filepath.Join(env, "bin/python"): script, filepath.Join(site, "pyruntime.pth"): dir + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(dir, "data")
	o := Options{Config: config.Config{Home: home, HFHome: filepath.Join(home, "hf"), JobsDir: filepath.Join(home, "jobs"), Device: "auto"},
		Env: python.Env{Home: home, Override: env, Source: fstest.MapFS{}}, Demo: fstest.MapFS{"manifest.json": {Data: []byte("{}")}},
		Node: "node", Running: func(context.Context) bool { return false }}
	began := time.Now()
	f := Gather(t.Context(), o)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	if f.Env.Err != nil || f.Host.MemoryTotal == 0 || f.Host.DiskFree == 0 || f.Handshake.Done {
		t.Errorf("facts: %+v", f)
	}
	for _, path := range []string{started, home} {
		if there(path) {
			t.Errorf("%s was made", path)
		}
	}
	o.Verify = true
	f = Gather(t.Context(), o)
	if !there(started) || f.Handshake.Err == nil {
		t.Errorf("verify started nothing: %+v", f.Handshake)
	}
	findings, err := preflight.Run(f, "worker")
	if err != nil || findings[0].Level != preflight.Error || findings[0].Cause == "" {
		t.Errorf("%+v, %v", findings, err)
	}
}

// A package index that never answers costs the quick set its limit, beside the other looks, and no more; neither does a
// uv whose children hold its output.
func TestGather_SilentIndexIsQuick(t *testing.T) {
	dir := t.TempDir()
	home, uv := filepath.Join(dir, "data"), filepath.Join(dir, "uv")
	if err := os.WriteFile(uv, []byte("#!/bin/sh\nsleep 60 &\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{Config: config.Config{Home: home, HFHome: filepath.Join(home, "hf"), JobsDir: filepath.Join(home, "jobs"), Device: "auto"},
		Env: python.Env{Home: home, Lock: []byte("x"), Source: fstest.MapFS{}}, Demo: fstest.MapFS{"manifest.json": {Data: []byte("{}")}},
		Node: "node", Running: func(context.Context) bool { return false }}
	began := time.Now()
	Gather(t.Context(), o)
	alone := time.Since(began) // a busy machine makes every look slow
	o.Env.UV = uv
	began = time.Now()
	f := Gather(t.Context(), o)
	if took := time.Since(began); took > max(quickLimit, alone)+time.Second {
		t.Errorf("it took %s, %s without the question", took, alone)
	}
	findings, err := preflight.Run(f, "network")
	if err != nil || findings[0].Level != preflight.Warning || findings[0].Cause == "" {
		t.Errorf("it says %+v, %v", findings, err)
	}
}

func TestFolder_SaysWhyItCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := folder(filepath.Join(file, "data"), "QIE_HOME"); f.Err == nil {
		t.Error("a folder below a file can be made")
	}
	if f := folder(filepath.Join(dir, "not", "yet"), "QIE_HOME"); f.Err != nil || f.There {
		t.Errorf("got %+v", f)
	}
}
