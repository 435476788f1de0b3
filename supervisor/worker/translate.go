package worker

import (
	"qie/supervisor/plan"
	"qie/supervisor/wire"
)

func loadOf(p plan.Plan) wire.Load {
	return wire.Load{Model: p.ModelID, Dir: p.ModelDir, Profile: profileOf(p)}
}

func generateOf(p plan.Plan) wire.Generate {
	images := p.Images
	if images == nil {
		images = []string{}
	}
	loras := make([]wire.LoRA, 0, len(p.LoRAs)) // never null on the wire
	for _, l := range p.LoRAs {
		loras = append(loras, wire.LoRA{Path: l.Path, Strength: l.Strength})
	}
	return wire.Generate{
		Prompt: p.Prompt, NegativePrompt: p.NegativePrompt, Steps: p.Steps, TrueCFGScale: p.TrueCFGScale, Seed: p.Seed,
		Shift: p.Shift, LoRAs: loras,
		Images: images, Collage: p.Collage, WorkWidth: p.WorkWidth, WorkHeight: p.WorkHeight,
		OutWidth: p.OutWidth, OutHeight: p.OutHeight, RefArea: p.RefArea, RefFit: p.RefFit, CondArea: p.CondArea,
		ResultPath: p.ResultPath, PreviewPath: p.PreviewPath, CheckpointPath: p.CheckpointPath,
	}
}

func profileOf(p plan.Plan) string {
	if p.Profile == "" {
		return plan.ProfileResident
	}
	return p.Profile
}
