package model

import (
	"encoding/json"
	"fmt"

	"qie/supervisor/catalog"
)

// lightningShift is the time shift that the Lightning LoRAs were distilled with: their base_shift and max_shift are ln 3.
const lightningShift = 3.0

// turboNames are the presets of LoRAs for few steps.
var turboNames = map[int]string{4: "fast", 8: "balanced"}

// LoRAFile is where a fetched LoRA lies below the directory of its model.
func LoRAFile(lora catalog.Entry) string { return "loras/" + lora.ID + ".safetensors" }

// Fetched is what is known of a full model of the catalogue before any of its files is read, with the LoRAs that are
// here. Its Dir is empty.
func Fetched(e catalog.Entry, loras []catalog.Entry) (Spec, error) {
	spec, err := known(e.Class, e.ID)
	if err != nil {
		return Spec{}, err
	}
	spec.Name, spec.Licence, spec.Bytes = e.Name, e.Licence, e.Bytes
	spec.DefaultSteps, spec.DefaultCFG = e.Steps, e.CFG
	for _, l := range loras {
		spec.LoRAs = append(spec.LoRAs, LoRA{ID: l.ID, Name: l.Name, File: LoRAFile(l), Note: l.Note})
		spec.Presets[turboNames[l.Turbo]] = Preset{Steps: l.Turbo, CFG: 1, LoRAs: []string{l.ID}, Shift: lightningShift}
	}
	spec.Presets["best"] = Preset{Steps: e.Steps}
	return spec, nil
}

// Text is the spec as qie.json.
func (s Spec) Text() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", SpecFile, err)
	}
	return append(data, '\n'), nil
}
