package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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
	second.Env = append(env, "QIE_HOME="+other)
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
