package model

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"qie/supervisor/job"
)

// layout writes a directory that looks like a model: index, spec and two shards.
func layout(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"model_index.json": `{"_class_name":"QwenImageEditPipeline"}`,
		"transformer/diffusion_pytorch_model.safetensors.index.json": `{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}`,
		"transformer/m-1.safetensors":                                "1", "transformer/m-2.safetensors": "2",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSelect(t *testing.T) {
	home, cache, own := t.TempDir(), t.TempDir(), t.TempDir()
	snapshot := filepath.Join(cache, "hub", "models--Qwen--Qwen-Image-Edit", "snapshots", "abc123")
	layout(t, snapshot)
	layout(t, filepath.Join(home, "models", "mine"))
	layout(t, own)
	for _, c := range []struct {
		name, model string
		fits        bool
		want, err   string
	}{
		{name: "nothing asked, one fits: the complete full model", fits: true, want: snapshot},
		{name: "nothing asked, none fits: the demo"},
		{name: "the demo by name", model: "demo", fits: true},
		{name: "a folder of the data folder", model: "mine", want: filepath.Join(home, "models", "mine")},
		{name: "a directory", model: own, want: own},
		{name: "a repository in the cache", model: "Qwen/Qwen-Image-Edit", want: snapshot},
		{name: "unknown names what is here", model: "nonsense", err: "demo, mine, Qwen/Qwen-Image-Edit"},
		{name: "a name of the catalogue", model: "qwen-image-edit", want: snapshot},
		{name: "a name of the catalogue that is not here", model: "qwen-image-edit-2511", err: "not on this machine"},
		{name: "no way out of the folder", model: "../mine", err: "not on this machine"},
	} {
		got, err := Select(c.model, home, cache, c.fits)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
	// A download that was cut short is no model.
	if err := os.Remove(filepath.Join(snapshot, "transformer", "m-2.safetensors")); err != nil {
		t.Fatal(err)
	}
	if got, err := Select("", home, cache, true); got != "" || err != nil {
		t.Errorf("incomplete cache: got %q, %v", got, err)
	}
}

// What is not whole is no model, whatever is missing, and no index leads out of its folder.
func TestComplete(t *testing.T) {
	const named = `{"_class_name":"QwenImageEditPipeline","transformer":["diffusers","T"],"vae":["diffusers","V"],"feature_extractor":[null,null]}`
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path, text string
		remove           string
		want             job.Code
	}{
		{name: "whole"},
		{name: "a part that was not begun", remove: "vae", want: job.CodeWeightsMissing},
		{name: "a shard", remove: "transformer/m-2.safetensors", want: job.CodeWeightsMissing},
		{name: "a shard elsewhere", path: "vae/x.safetensors.index.json", text: `{"weight_map":{"a":"../transformer/m-1.safetensors"}}`, want: job.CodeWeightsCorrupt},
		{name: "a shard at an absolute path", path: "vae/x.safetensors.index.json", text: `{"weight_map":{"a":"/etc/passwd"}}`, want: job.CodeWeightsCorrupt},
		{name: "a shard behind a backslash", path: "vae/x.safetensors.index.json", text: `{"weight_map":{"a":"..\\\\x.safetensors"}}`, want: job.CodeWeightsCorrupt},
		{name: "a pickle", path: "vae/x.safetensors.index.json", text: `{"weight_map":{"a":"x.bin"}}`, want: job.CodeWeightsCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a [strange] name", "m")
			layout(t, dir)
			write(t, filepath.Join(dir, "model_index.json"), named)
			write(t, filepath.Join(dir, "vae", "diffusion_pytorch_model.safetensors"), "1")
			if c.path != "" {
				write(t, filepath.Join(dir, c.path), c.text)
			}
			if c.remove != "" {
				if err := os.RemoveAll(filepath.Join(dir, c.remove)); err != nil {
					t.Fatal(err)
				}
			}
			err := Complete(dir)
			if c.want == "" && err != nil || c.want != "" && (err == nil || job.AsError(err).Code != c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	dir := t.TempDir()
	layout(t, dir)
	shard := filepath.Join(dir, "transformer", "m-1.safetensors")
	if err := os.Remove(shard); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(shard, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Complete(dir); err == nil || job.AsError(err).Code != job.CodeWeightsCorrupt {
		t.Errorf("a FIFO is %v", err)
	}
}
