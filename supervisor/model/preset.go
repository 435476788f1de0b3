package model

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"qie/supervisor/job"
)

// shiftMax is far above every published schedule; a larger number is a slip of the pen.
const shiftMax = 100.0

// Preset is a named bundle of settings. Zero fields leave the model's default.
type Preset struct {
	Steps int      `json:"steps"`
	CFG   float64  `json:"true_cfg_scale"`
	LoRAs []string `json:"loras" doc:"id or id:strength"`
	Shift float64  `json:"shift" doc:"time shift of the schedule, without its end stretched; 0: the scheduler's own"`
}

// UnmarshalJSON also reads a plain number of steps, which is what older directories hold.
func (p *Preset) UnmarshalJSON(data []byte) error {
	if steps := 0; json.Unmarshal(data, &steps) == nil {
		*p = Preset{Steps: steps}
		return nil
	}
	type fields Preset // without this method
	return json.Unmarshal(data, (*fields)(p))
}

// LoRA is a change of the transformer's weights that lies beside the model.
type LoRA struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	File string `json:"file" doc:"below the model directory, with slashes"`
	Note string `json:"note"`
}

// LoRA finds one by its id.
func (s Spec) LoRA(id string) (LoRA, bool) {
	i := slices.IndexFunc(s.LoRAs, func(l LoRA) bool { return l.ID == id })
	if i < 0 {
		return LoRA{}, false
	}
	return s.LoRAs[i], true
}

// Path is where the file of a LoRA of this model lies.
func (s Spec) Path(l LoRA) string { return filepath.Join(s.Dir, filepath.FromSlash(l.File)) }

// PresetNames lists the presets by what they cost, the cheapest first.
func (s Spec) PresetNames() []string {
	return slices.SortedFunc(maps.Keys(s.Presets), func(a, b string) int {
		if d := s.Presets[a].Steps - s.Presets[b].Steps; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// checkLoRAs refuses what the worker would stumble over: a file outside the directory, one that is gone, an id twice.
func checkLoRAs(s Spec) error {
	seen := map[string]bool{}
	for _, l := range s.LoRAs {
		switch {
		case !idForm.MatchString(l.ID) || seen[l.ID]:
			return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s: LoRA id %q is no plain name, or is there twice", SpecFile, s.ID, l.ID)
		case !filepath.IsLocal(filepath.FromSlash(l.File)) || filepath.Ext(l.File) != ".safetensors":
			return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s: the file %q of LoRA %s is no .safetensors file below the model directory",
				SpecFile, s.ID, l.File, l.ID)
		}
		if info, err := os.Stat(s.Path(l)); err != nil || !info.Mode().IsRegular() {
			return job.Errorf(job.CodeWeightsMissing, "%s of LoRA %s is missing in %s", l.File, l.ID, s.Dir)
		}
		seen[l.ID] = true
	}
	return nil
}

func checkPresets(s Spec) error {
	for name, p := range s.Presets {
		if p.Steps < 0 || p.Steps > job.StepsMax || p.CFG != 0 && !(p.CFG >= 1 && p.CFG <= job.CFGMax) ||
			!(p.Shift >= 0 && p.Shift <= shiftMax) {
			return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s: preset %q is beyond the limits", SpecFile, s.ID, name)
		}
		list, err := job.ParseLoRAs(p.LoRAs)
		if err != nil {
			return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s: preset %q: %w", SpecFile, s.ID, name, err)
		}
		for _, l := range list {
			if _, ok := s.LoRA(l.ID); !ok {
				return job.Errorf(job.CodeWeightsCorrupt, "%s of model %s: preset %q names LoRA %q, which is not listed", SpecFile, s.ID, name, l.ID)
			}
		}
	}
	return nil
}
