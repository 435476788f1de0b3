package model

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"qie/supervisor/job"
)

const embedded = "../../pyruntime/demo/model"

func TestUnpack_IsVerifiedAndReused(t *testing.T) {
	home := t.TempDir()
	dir, err := Unpack(os.DirFS(embedded), home)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir); err != nil {
		t.Fatal(err)
	}
	spec, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if spec.ID != "demo" || spec.MaxArea != 512*512 || spec.Bytes == 0 || spec.Dir != dir {
		t.Errorf("spec of the demo is %+v", spec)
	}
	before, _ := os.Stat(dir)
	again, err := Unpack(os.DirFS(embedded), home)
	if err != nil || again != dir {
		t.Fatalf("the second unpack gave %q, %v", again, err)
	}
	if after, _ := os.Stat(dir); !os.SameFile(before, after) {
		t.Error("a whole model was unpacked again")
	}
	if got := List(filepath.Join(home, "models")); len(got) != 1 {
		t.Errorf("listed %d models, want 1", len(got))
	}
}

func TestUnpack_RepairsAShortFile(t *testing.T) {
	home := t.TempDir()
	dir, err := Unpack(os.DirFS(embedded), home)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "text_encoder", "model.safetensors")
	if err := os.Truncate(damaged, 100); err != nil {
		t.Fatal(err)
	}
	if got := job.AsError(Verify(dir)).Code; got != job.CodeWeightsCorrupt {
		t.Errorf("verify of a short file is %s", got)
	}
	if _, err := Unpack(os.DirFS(embedded), home); err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(home, "models", ".demo-*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestVerify_FindsAFlippedByte(t *testing.T) {
	dir, err := Unpack(os.DirFS(embedded), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "text_encoder", "model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := job.AsError(Verify(dir)).Code; got != job.CodeWeightsCorrupt {
		t.Errorf("code %s, want weights_corrupt", got)
	}
}

// The manifest of a directory vouches for every weight in it: a LoRA that it does not list is not taken on trust.
func TestVerify_WantsLoRAsInTheManifest(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(indexFile, editIndex)
	write(SpecFile, `{"id":"x",`+lorasOwn+`}`)
	write("w.safetensors", "weights")
	entry := func(name, text string) string {
		return fmt.Sprintf(`{"path":%q,"size":%d,"sha256":"%x"}`, name, len(text), sha256.Sum256([]byte(text)))
	}
	write(manifestFile, `{"files":[`+entry(indexFile, editIndex)+`]}`)
	if err := Verify(dir); err == nil || job.AsError(err).Code != job.CodeWeightsCorrupt {
		t.Errorf("a LoRA outside the manifest: %v", err)
	}
	write(manifestFile, `{"files":[`+entry(indexFile, editIndex)+`,`+entry("w.safetensors", "weights")+`]}`)
	if err := Verify(dir); err != nil {
		t.Error(err)
	}
}

const (
	editIndex = `{"_class_name":"QwenImageEditPipeline"}`
	lorasOwn  = `"loras":[{"id":"w","file":"w.safetensors"}]`
)

func TestLoad(t *testing.T) {
	tests := []struct {
		name  string
		index string
		own   string
		code  job.Code
		check func(Spec) bool
	}{
		{name: "plain edit directory", index: `{"_class_name":"QwenImageEditPipeline"}`,
			check: func(s Spec) bool { return s.MaxImages == 1 && s.CondArea == megapixel && s.DefaultSteps == 50 }},
		{name: "plain plus directory", index: `{"_class_name":"QwenImageEditPlusPipeline"}`,
			check: func(s Spec) bool { return s.MaxImages == 3 && s.CondArea == 384*384 && s.DefaultCFG == 4 }},
		{name: "qie.json wins", index: `{"_class_name":"QwenImageEditPipeline"}`, own: `{"id":"x","default_steps":4}`,
			check: func(s Spec) bool { return s.ID == "x" && s.DefaultSteps == 4 && s.MaxArea == megapixel }},
		{name: "presets as numbers and as objects", index: editIndex,
			own: `{"presets":{"best":8,"fast":{"steps":2,"true_cfg_scale":1,"loras":["w:0.5"],"shift":3}},` + lorasOwn + `}`,
			check: func(s Spec) bool {
				l, ok := s.LoRA("w")
				return s.Presets["best"].Steps == 8 && s.Presets["fast"].Steps == 2 && s.Presets["fast"].Shift == 3 &&
					s.Presets["fast"].CFG == 1 && s.Presets["fast"].LoRAs[0] == "w:0.5" && slices.Equal(s.PresetNames(), []string{"fast", "best"}) &&
					ok && l.Name == "w" && s.Path(l) == filepath.Join(s.Dir, "w.safetensors")
			}},
		{name: "preset of text", index: editIndex, own: `{"presets":{"fast":"2"}}`, code: job.CodeWeightsCorrupt},
		{name: "preset of half a step", index: editIndex, own: `{"presets":{"fast":2.5}}`, code: job.CodeWeightsCorrupt},
		{name: "preset of 101 steps", index: editIndex, own: `{"presets":{"fast":101}}`, code: job.CodeWeightsCorrupt},
		{name: "preset of a negative shift", index: editIndex, own: `{"presets":{"fast":{"shift":-3}}}`, code: job.CodeWeightsCorrupt},
		{name: "preset of an unknown LoRA", index: editIndex, own: `{"presets":{"fast":{"loras":["x"]}},` + lorasOwn + `}`,
			code: job.CodeWeightsCorrupt},
		{name: "preset of a LoRA too strong", index: editIndex, own: `{"presets":{"fast":{"loras":["w:9"]}},` + lorasOwn + `}`,
			code: job.CodeWeightsCorrupt},
		{name: "LoRA outside the directory", index: editIndex, own: `{"loras":[{"id":"w","file":"../w.safetensors"}]}`,
			code: job.CodeWeightsCorrupt},
		{name: "LoRA by an absolute path", index: editIndex, own: `{"loras":[{"id":"w","file":"/w.safetensors"}]}`,
			code: job.CodeWeightsCorrupt},
		{name: "LoRA in pickle", index: editIndex, own: `{"loras":[{"id":"w","file":"w.ckpt"}]}`, code: job.CodeWeightsCorrupt},
		{name: "LoRA whose id is a path", index: editIndex, own: `{"loras":[{"id":"a/b","file":"w.safetensors"}]}`,
			code: job.CodeWeightsCorrupt},
		{name: "LoRA that is there twice", index: editIndex,
			own: `{"loras":[{"id":"w","file":"w.safetensors"},{"id":"w","file":"w.safetensors"}]}`, code: job.CodeWeightsCorrupt},
		{name: "LoRA that is gone", index: editIndex, own: `{"loras":[{"id":"w","file":"gone.safetensors"}]}`,
			code: job.CodeWeightsMissing},
		{name: "what is known of edits", index: `{"_class_name":"QwenImageEditPlusPipeline"}`,
			own: `{"reference_fit":"cover","known_edits":[{"label":"blend","prompt":"blend with image 2","group":"two pictures","images":2}]}`,
			check: func(s Spec) bool {
				return s.RefFit == FitCover && s.KnownEdits[0] == KnownEdit{"blend", "blend with image 2", "two pictures", 2}
			}},
		{name: "an unknown fit", index: `{"_class_name":"QwenImageEditPlusPipeline"}`, own: `{"reference_fit":"stretch"}`,
			code: job.CodeWeightsCorrupt},
		{name: "another pipeline", index: `{"_class_name":"StableDiffusionPipeline"}`, code: job.CodeUnknownModel},
		{name: "broken index", index: `{`, code: job.CodeWeightsCorrupt},
		{name: "broken qie.json", index: `{"_class_name":"QwenImageEditPipeline"}`, own: `[`, code: job.CodeWeightsCorrupt},
		{name: "id that is a path", index: `{"_class_name":"QwenImageEditPipeline"}`, own: `{"id":"../x"}`,
			code: job.CodeWeightsCorrupt},
		{name: "no index", code: job.CodeWeightsMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				if text != "" {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			write(indexFile, tt.index)
			write(SpecFile, tt.own)
			write("w.safetensors", "weights")
			spec, err := Load(dir)
			if tt.code != "" {
				if err == nil || job.AsError(err).Code != tt.code {
					t.Fatalf("got %v, want %s", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(spec) {
				t.Errorf("spec is %+v", spec)
			}
		})
	}
}
