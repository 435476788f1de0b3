package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"qie/supervisor/job"
)

// repositories of the full model, the preferred one first. All are published under Apache-2.0.
var repositories = []string{"Qwen/Qwen-Image-Edit-2511", "Qwen/Qwen-Image-Edit-2509", "Qwen/Qwen-Image-Edit"}

// Repositories names the full models that are looked for, the preferred one first.
func Repositories() []string { return slices.Clone(repositories) }

// fullMemory is what the full model in BF16 needs: 57.7 GB of weights and what a step takes (design: 64 GB machines).
const fullMemory = 60 << 30

// Select finds the directory of the model that name asks for: a directory, a folder in home/models, or a repository in
// a Hugging Face cache, which is used in place. Without a name it is a complete full model that is here already, if
// memory (bytes of the machine) is enough for it. An empty answer is the embedded demo.
func Select(name, home, hfHome string, memory int64) (string, error) {
	switch {
	case name == "demo":
		return "", nil
	case name == "":
		if memory < fullMemory {
			return "", nil
		}
		for _, repository := range repositories {
			if dir := Cached(hfHome, repository); dir != "" {
				return dir, nil
			}
		}
		return "", nil
	case filepath.IsAbs(name):
		return name, Complete(name)
	}
	if dir := filepath.Join(home, "models", name); idForm.MatchString(name) && Complete(dir) == nil {
		return dir, nil
	}
	if dir := Cached(hfHome, name); dir != "" {
		return dir, nil
	}
	here := []string{"demo"}
	for _, spec := range List(filepath.Join(home, "models")) {
		here = append(here, filepath.Base(spec.Dir))
	}
	for _, repository := range repositories {
		if Cached(hfHome, repository) != "" {
			here = append(here, repository)
		}
	}
	return "", job.Errorf(job.CodeModelNotInstalled, "model %q is not on this machine; here are: %s", name, strings.Join(here, ", ")).
		WithHint("set QIE_MODEL to one of them, to a directory in diffusers' layout, or leave it empty")
}

// Cached is the newest complete snapshot of a repository in a Hugging Face cache; empty when there is none.
func Cached(hfHome, repository string) string {
	if strings.Count(repository, "/") != 1 || strings.Contains(repository, "..") {
		return ""
	}
	folder := filepath.Join(hfHome, "hub", "models--"+strings.ReplaceAll(repository, "/", "--"))
	var candidates []string
	if commit, err := os.ReadFile(filepath.Join(folder, "refs", "main")); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(commit)))
	}
	entries, _ := os.ReadDir(filepath.Join(folder, "snapshots"))
	for _, e := range entries {
		candidates = append(candidates, e.Name())
	}
	for _, c := range candidates {
		if dir := filepath.Join(folder, "snapshots", c); idForm.MatchString(c) && Complete(dir) == nil {
			return dir
		}
	}
	return ""
}

// Complete tells whether the directory holds a model with every shard that its indexes name. It reads no weights.
func Complete(dir string) error {
	if _, err := Load(dir); err != nil {
		return err
	}
	indexes, err := filepath.Glob(filepath.Join(dir, "*", "*.safetensors.index.json"))
	if err != nil {
		return fmt.Errorf("model directory: %w", err)
	}
	for _, path := range indexes {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("model index: %w", err)
		}
		var list struct {
			WeightMap map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(data, &list); err != nil {
			return job.Errorf(job.CodeWeightsCorrupt, "%s cannot be read: %w", path, err)
		}
		shards := map[string]bool{}
		for _, shard := range list.WeightMap {
			shards[shard] = true
		}
		names := make([]string, 0, len(shards))
		for shard := range shards {
			names = append(names, shard)
		}
		sort.Strings(names)
		for _, shard := range names {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), shard)); errors.Is(err, fs.ErrNotExist) {
				return job.Errorf(job.CodeWeightsMissing, "%s is missing in %s", shard, filepath.Dir(path))
			}
		}
	}
	return nil
}
