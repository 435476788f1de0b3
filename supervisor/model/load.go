package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"qie/supervisor/job"
)

// The classes of pipelines that the worker knows.
const (
	ClassEdit     = "QwenImageEditPipeline"
	ClassEditPlus = "QwenImageEditPlusPipeline"
)

// FitCover is the reference_fit of a model that was trained with all references of one shape.
const FitCover = "cover"

const (
	// SpecFile is what qie knows of a model, beside its weights.
	SpecFile     = "qie.json"
	indexFile    = "model_index.json"
	manifestFile = "manifest.json"

	megapixel = 1024 * 1024
	// vlArea is what Edit-Plus shows its text encoder (CONDITION_IMAGE_SIZE of diffusers 0.42).
	vlArea = 384 * 384
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Load reads what is known about the model in dir: qie.json, or for a plain diffusers directory what its class says.
func Load(dir string) (Spec, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Spec{}, fmt.Errorf("model directory: %w", err)
	}
	index, err := readIndex(dir)
	if err != nil {
		return Spec{}, err
	}
	spec, err := known(index.Class, filepath.Base(dir))
	if err != nil {
		return Spec{}, err
	}
	data, err := os.ReadFile(filepath.Join(dir, SpecFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return Spec{}, fmt.Errorf("read %s: %w", SpecFile, err)
	default:
		if err := json.Unmarshal(data, &spec); err != nil {
			return Spec{}, job.Errorf(job.CodeWeightsCorrupt, "%s in %s cannot be read: %w", SpecFile, dir, err)
		}
	}
	spec.Dir = dir
	for i, l := range spec.LoRAs {
		if l.Name == "" {
			spec.LoRAs[i].Name = l.ID
		}
	}
	if spec.Bytes, err = weightBytes(dir); err != nil {
		return Spec{}, err
	}
	if shapes, err := ReadShapes(dir); err == nil { // what is damaged is the worker's to refuse, by name
		spec.Shapes = shapes
	}
	return spec, check(spec)
}

type index struct {
	Class string `json:"_class_name"`
}

func readIndex(dir string) (index, error) {
	data, err := os.ReadFile(filepath.Join(dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return index{}, job.Errorf(job.CodeWeightsMissing, "%s holds no model: %s is missing", dir, indexFile)
	}
	if err != nil {
		return index{}, fmt.Errorf("read %s: %w", indexFile, err)
	}
	var i index
	if err := json.Unmarshal(data, &i); err != nil {
		return index{}, job.Errorf(job.CodeWeightsCorrupt, "%s in %s cannot be read: %w", indexFile, dir, err)
	}
	return i, nil
}

// known gives the numbers that diffusers 0.42 has as constants for the class.
func known(class, name string) (Spec, error) {
	spec := Spec{ID: name, Name: name, Class: class, Family: "qwen-image-edit", RefArea: megapixel, CondArea: megapixel,
		MaxArea: megapixel, DefaultSteps: 50, DefaultCFG: 4, MaxImages: 1, Presets: map[string]Preset{}}
	switch class {
	case ClassEdit:
	case ClassEditPlus:
		spec.CondArea, spec.MaxImages = vlArea, 3
	default:
		return Spec{}, job.Errorf(job.CodeUnknownModel, "pipeline %q is not one that qie runs (%s, %s)", class, ClassEdit,
			ClassEditPlus)
	}
	return spec, nil
}

// Published is what is known of a published full model that is not here.
func Published(id, name, class string, bytes int64) Spec {
	spec, err := known(class, id)
	if err != nil {
		return Spec{ID: id, Name: name, Bytes: bytes}
	}
	spec.Name, spec.Bytes, spec.Shapes = name, bytes, Full
	return spec
}

func check(s Spec) error {
	switch {
	case s.Class != ClassEdit && s.Class != ClassEditPlus:
		return job.Errorf(job.CodeUnknownModel, "pipeline %q is not one that qie runs", s.Class)
	case !idForm.MatchString(s.ID):
		return job.Errorf(job.CodeWeightsCorrupt, "model id %q is not a plain name", s.ID)
	case s.MaxArea < 64*64 || s.RefArea <= 0 || s.CondArea <= 0 || s.MaxImages < 1 || s.DefaultSteps < 1:
		return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s has impossible numbers", SpecFile, s.ID)
	case s.RefFit != "" && s.RefFit != FitCover:
		return job.Errorf(job.CodeWeightsCorrupt, "reference_fit %q in %s of model %s is not known; %q is", s.RefFit, SpecFile,
			s.ID, FitCover)
	case s.DefaultSteps > job.StepsMax || s.DefaultCFG > job.CFGMax:
		return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s has defaults above the limits", SpecFile, s.ID)
	}
	if err := checkLoRAs(s); err != nil {
		return err
	}
	return checkPresets(s)
}

// weightBytes sums the weight files. A link into a cache counts with the size of its target.
func weightBytes(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".safetensors") {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return job.Errorf(job.CodeWeightsMissing, "%s points to a file that is gone", path)
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("weights in %s: %w", dir, err)
	}
	if total == 0 {
		return 0, job.Errorf(job.CodeWeightsMissing, "%s holds no weights", dir)
	}
	return total, nil
}

// List gives every model in the folder that can be read; what is no model is left out.
func List(folder string) []Spec {
	entries, _ := os.ReadDir(folder)
	var specs []Spec
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if spec, err := Load(filepath.Join(folder, e.Name())); err == nil {
			specs = append(specs, spec)
		}
	}
	return specs
}
