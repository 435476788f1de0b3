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

	"qie/supervisor/catalog"
	"qie/supervisor/job"
)

// Select finds the directory of the model that name asks for: a directory, a folder in home/models (where `qie pull`
// puts what it has fetched), or a repository in a Hugging Face cache, which is used in place. Without a name it is a
// complete full model that is here already, if one fits this machine. An empty answer is the
// embedded demo. hfHome is HF_HOME, or the folder of the cache itself.
func Select(name, home, hfHome string, fits bool) (string, error) {
	switch {
	case name == "demo":
		return "", nil
	case name == "":
		if !fits {
			return "", nil
		}
		for _, e := range catalog.Models() {
			if dir := here(e, home, hfHome); dir != "" {
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
	entry, listed := catalog.Find(name)
	if listed && entry.Kind == catalog.Full {
		if dir := here(entry, home, hfHome); dir != "" {
			return dir, nil
		}
	}
	present := []string{"demo"}
	for _, spec := range List(filepath.Join(home, "models")) {
		present = append(present, filepath.Base(spec.Dir))
	}
	for _, e := range catalog.Models() {
		if Cached(hfHome, e.Repository) != "" {
			present = append(present, e.Repository)
		}
	}
	err := job.Errorf(job.CodeModelNotInstalled, "model %q is not on this machine; here are: %s", name, strings.Join(present, ", "))
	if listed {
		return "", err.WithHint("fetch it with: qie pull " + entry.ID)
	}
	return "", err.WithHint("set QIE_MODEL to one of them, to a directory in diffusers' layout, or leave it empty")
}

// here is the directory of a model of the catalogue; empty when it is not complete.
func here(e catalog.Entry, home, hfHome string) string {
	if dir := filepath.Join(home, "models", e.ID); Complete(dir) == nil {
		return dir
	}
	return Cached(hfHome, e.Repository)
}

// Cached is the newest complete snapshot of a repository in a Hugging Face cache; empty when there is none.
func Cached(hfHome, repository string) string {
	if strings.Count(repository, "/") != 1 || strings.Contains(repository, "..") {
		return ""
	}
	name := "models--" + strings.ReplaceAll(repository, "/", "--")
	folder := filepath.Join(hfHome, "hub", name)
	if _, err := os.Stat(folder); err != nil {
		folder = filepath.Join(hfHome, name)
	}
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

// Complete tells whether the directory holds a model with every part that its index names and every shard that these
// name. It reads no weights.
func Complete(dir string) error {
	if _, err := Load(dir); err != nil {
		return err
	}
	if err := parts(dir); err != nil {
		return err
	}
	indexes, err := filepath.Glob(filepath.Join(quoted(dir), "*", "*.safetensors.index.json"))
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
			if shard != filepath.Base(shard) || strings.ContainsAny(shard, `\`) || filepath.Ext(shard) != ".safetensors" {
				return job.Errorf(job.CodeWeightsCorrupt, "%s names %q, which is no file beside it", path, shard)
			}
			info, err := os.Stat(filepath.Join(filepath.Dir(path), shard))
			if errors.Is(err, fs.ErrNotExist) {
				return job.Errorf(job.CodeWeightsMissing, "%s is missing in %s", shard, filepath.Dir(path))
			}
			if err == nil && !info.Mode().IsRegular() {
				return job.Errorf(job.CodeWeightsCorrupt, "%s in %s is no file", shard, filepath.Dir(path))
			}
		}
	}
	return nil
}

// weighted are the parts of a pipeline that have weights.
var weighted = []string{"text_encoder", "transformer", "vae"}

// parts tells whether every part that the pipeline's index names has its folder, and those with weights some weights: a
// download that stopped before a part was begun has no index of that part, and would look whole.
func parts(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		return fmt.Errorf("read %s: %w", indexFile, err)
	}
	var named map[string]any
	if err := json.Unmarshal(data, &named); err != nil {
		return job.Errorf(job.CodeWeightsCorrupt, "%s in %s cannot be read: %w", indexFile, dir, err)
	}
	for part, class := range named {
		if pair, ok := class.([]any); !ok || len(pair) != 2 || pair[0] == nil || part != filepath.Base(part) {
			continue
		}
		pattern := "*.json"
		if slices.Contains(weighted, part) {
			pattern = "*.safetensors*"
		}
		if found, err := filepath.Glob(filepath.Join(quoted(dir), part, pattern)); err != nil || len(found) == 0 {
			return job.Errorf(job.CodeWeightsMissing, "%s is missing in %s", part, dir)
		}
	}
	return nil
}

// quoted makes a path mean itself in a pattern.
func quoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
