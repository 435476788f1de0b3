package worker

import (
	"strings"
	"testing"

	"qie/supervisor/plan"
	"qie/supervisor/wire"
)

func TestGenerate_CarriesLoRAsAndShift(t *testing.T) {
	for want, p := range map[string]plan.Plan{
		`"shift":3,"loras":[{"path":"/m/a.safetensors","strength":0.8}],`: {Shift: 3,
			LoRAs: []plan.LoRA{{Path: "/m/a.safetensors", Strength: 0.8}}},
		`"shift":0,"loras":[],`: {}, // never null: a list of Python
	} {
		line, err := wire.Encode(wire.Envelope{}, generateOf(p))
		if err != nil || !strings.Contains(string(line), want) {
			t.Errorf("no %s in %s, %v", want, line, err)
		}
	}
}
