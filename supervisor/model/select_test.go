package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		memory      int64
		want, err   string
	}{
		{name: "nothing asked, memory is enough: the complete full model", memory: 64 << 30, want: snapshot},
		{name: "nothing asked, little memory: the demo", memory: 24 << 30},
		{name: "the demo by name", model: "demo", memory: 64 << 30},
		{name: "a folder of the data folder", model: "mine", want: filepath.Join(home, "models", "mine")},
		{name: "a directory", model: own, want: own},
		{name: "a repository in the cache", model: "Qwen/Qwen-Image-Edit", want: snapshot},
		{name: "unknown names what is here", model: "nonsense", err: "demo, mine, Qwen/Qwen-Image-Edit"},
		{name: "no way out of the folder", model: "../mine", err: "not on this machine"},
	} {
		got, err := Select(c.model, home, cache, c.memory)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
	// A download that was cut short is no model.
	if err := os.Remove(filepath.Join(snapshot, "transformer", "m-2.safetensors")); err != nil {
		t.Fatal(err)
	}
	if got, err := Select("", home, cache, 64<<30); got != "" || err != nil {
		t.Errorf("incomplete cache: got %q, %v", got, err)
	}
}
