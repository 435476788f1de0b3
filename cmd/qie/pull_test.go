package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/download/downloadtest"
)

// fakeHub serves small files under the names of the catalogue: those whose hashes the catalogue does not know, and one
// that it knows better.
func fakeHub(t *testing.T) *downloadtest.Hub {
	t.Helper()
	h, err := downloadtest.New(map[string]map[string]*downloadtest.File{
		"Qwen/Qwen-Image-Edit-2509": {
			"model_index.json": {Text: `{"_class_name":"QwenImageEditPlusPipeline","transformer":["diffusers","T"]}`},
			"transformer/diffusion_pytorch_model.safetensors": {Size: 3 << 20},
		},
		"lightx2v/Qwen-Image-Lightning": {
			"Qwen-Image-Edit-2509/Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors": {Size: 1 << 20},
			"Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors":                           {Size: 24 << 20},
		},
		"lightx2v/Qwen-Image-Edit-2511-Lightning": {"Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors": {Size: 849_608}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// Ctrl+C pauses a pull, says how to go on, and the same command goes on there.
func TestPull_CtrlCPauses(t *testing.T) {
	hub := fakeHub(t)
	hub.BreakEvery = 1 << 20
	home, env := newHome(t, "")
	env = append(env, "HF_ENDPOINT="+hub.URL, "HF_HOME=", "HF_HUB_CACHE=", "NO_PROXY=*")
	p := start(t, home, env, "--json", "pull", "lightning-edit-4")
	lines := json.NewDecoder(p.stdout)
	for {
		var line struct {
			State string `json:"state"`
			Done  int64  `json:"bytes_done"`
		}
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("%v\n%s", err, p.stderr.String())
		}
		if line.State == "downloading" {
			break
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitInterrupted || !strings.Contains(p.stderr.String(), "to go on: qie pull lightning-edit-4") {
		t.Fatalf("exit %d, %s", code, p.stderr.String())
	}
	partial, _ := filepath.Glob(filepath.Join(home, "huggingface_cache", "hub", "models--*", "blobs", "*"))
	if len(partial) > 0 {
		t.Errorf("something partial is in blobs: %v", partial)
	}
	p = start(t, home, env, "pull", "lightning-edit-4")
	if code := p.end(t); code != 0 {
		t.Fatalf("exit %d, %s", code, p.stderr.String())
	}
	if sent := hub.Sent(); sent > 24<<20+12<<20 {
		t.Errorf("%d MB were sent for 24 MB and a pause", sent>>20)
	}
}

// Two programs at once fetch once: the second waits for what the first fetches, in its words, and both end well.
func TestPull_TwoPrograms(t *testing.T) {
	hub := fakeHub(t)
	hub.Gate = make(chan struct{})
	home, env := newHome(t, "")
	cache := filepath.Join(filepath.Dir(home), "cache")
	env = append(env, "HF_ENDPOINT="+hub.URL, "HF_HOME=", "HF_HUB_CACHE="+cache, "NO_PROXY=*")
	first := start(t, home, env, "pull", "lightning-edit-4")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	locked := func() bool {
		found, _ := filepath.Glob(filepath.Join(cache, "models--*", ".qie", "*.part"))
		return len(found) > 0
	}
	for !locked() {
		select {
		case <-ctx.Done():
			t.Fatalf("the first does not begin: %s", first.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	other := filepath.Join(filepath.Dir(home), "data-2")
	second := exec.Command(first.cmd.Path, "--json", "pull", "lightning-edit-4")
	second.Env = append(slices.Clone(env), "QIE_HOME="+other)
	out, err := second.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	second.Stderr = os.Stderr
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(out)
	waited := false
	for {
		var line struct{ State, Why string }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.State == "waiting" && line.Why == "another program fetches this file" && !waited {
			waited = true
			close(hub.Gate)
		}
		if line.State == "complete" {
			break
		}
	}
	if err := second.Wait(); err != nil || !waited {
		t.Errorf("the second: %v, waited %v", err, waited)
	}
	if code := first.end(t); code != 0 {
		t.Errorf("the first: exit %d, %s", code, first.stderr.String())
	}
	if sent := hub.Sent(); sent != 24<<20 {
		t.Errorf("%d bytes were sent for %d", sent, 24<<20)
	}
}

// Hugging Face's own client and qie share a cache: while it holds a file, qie waits for it, and what qie has fetched it
// finds, offline and without a warning.
func TestPull_SharesTheCacheWithTheHubsOwnClient(t *testing.T) {
	python := filepath.Join(os.Getenv("QIE_PYTHON_ENV"), "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("QIE_PYTHON_ENV names no Python environment; ./setup.sh --test makes one and sets it: %v", err)
	}
	hub := fakeHub(t)
	home, env := newHome(t, "")
	cache := filepath.Join(filepath.Dir(home), "cache")
	env = append(env, "HF_ENDPOINT="+hub.URL, "HF_HOME=", "HF_HUB_CACHE="+cache, "NO_PROXY=*")
	blob := hub.Hash("lightx2v/Qwen-Image-Lightning", "Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors")
	client := func(script string, args ...string) *exec.Cmd {
		cmd := exec.Command(python, append([]string{"-c", script}, args...)...)
		cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "HF_HOME="+filepath.Dir(home))
		cmd.Stderr = os.Stderr
		return cmd
	}
	locks := filepath.Join(cache, ".locks", "models--lightx2v--Qwen-Image-Lightning")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		t.Fatal(err)
	}
	holder := client(`
import sys
from huggingface_hub.utils import WeakFileLock
with WeakFileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
`, filepath.Join(locks, blob+".lock"))
	release, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, env, "--json", "pull", "lightning-edit-4")
	waited := false
	for lines := json.NewDecoder(p.stdout); ; {
		var line struct{ State, Why string }
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("%v: %s", err, p.stderr.String())
		}
		if line.Why == "another program fetches this file" && !waited {
			if waited = true; hub.Sent() != 0 {
				t.Error("something was fetched under the client's lock")
			}
			if err := release.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if line.State == "complete" {
			break
		}
	}
	if code := p.end(t); code != 0 || !waited {
		t.Fatalf("exit %d, waited %v", code, waited)
	}
	if err := holder.Wait(); err != nil {
		t.Error(err)
	}
	found, err := client(`
import sys
from huggingface_hub import scan_cache_dir, snapshot_download
print(snapshot_download("lightx2v/Qwen-Image-Lightning", local_files_only=True, cache_dir=sys.argv[1]))
print(scan_cache_dir(sys.argv[1]).warnings)
`, cache).Output()
	want := filepath.Join(cache, "models--lightx2v--Qwen-Image-Lightning", "snapshots", downloadtest.Commit) + "\n[]\n"
	if err != nil || string(found) != want {
		t.Errorf("its own client says %q, %v", found, err)
	}
}
