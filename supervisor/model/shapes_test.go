package model

import (
	"os"
	"path/filepath"
	"testing"
)

// The parameters are those that torch counts in the loaded demo: sum(p.numel() for p in module.parameters()).
func TestReadShapes_OfTheDemo(t *testing.T) {
	dir, _ := filepath.Abs("../../pyruntime/demo/model")
	got, err := ReadShapes(dir)
	want := Shapes{TextParams: 2_929_760, CoreParams: 12_198_464, VAEParams: 2_876_059, Width: 256, HeadWidth: 64, VAEWidth: 24,
		VAEScale: 8, TextWidth: 256, TextHidden: 512, VisionWidth: 32, VisionHidden: 64, Patch: 14, Merge: 2, MinPixels: 3136, MaxPixels: 12544}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if spec, err := Load(dir); err != nil || spec.Shapes != want {
		t.Errorf("the spec has %+v, %v", spec.Shapes, err)
	}
}

// A model whose files are damaged is still one that can be named; that it cannot be judged shows.
func TestReadShapes_OfDamagedFiles(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"no configuration": func(dir string) error { return os.Remove(filepath.Join(dir, "vae", "config.json")) },
		"no header": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "text_encoder", "model.safetensors"), []byte("no"), 0o600)
		},
		"a header of a terabyte": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "text_encoder", "model.safetensors"), []byte{0, 0, 0, 0, 0, 1, 0, 0, '{', '}'}, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			if err := os.CopyFS(dir, os.DirFS("../../pyruntime/demo/model")); err != nil {
				t.Fatal(err)
			}
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			if s, err := ReadShapes(dir); err == nil || s.Known() {
				t.Errorf("got %+v, %v", s, err)
			}
			if spec, err := Load(dir); err != nil || spec.Shapes.Known() {
				t.Errorf("the spec has %+v, %v", spec.Shapes, err)
			}
		})
	}
}
