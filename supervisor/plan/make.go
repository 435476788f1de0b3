package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"qie/supervisor/job"
	"qie/supervisor/model"
)

// classPlus names the pipeline that takes its ratio from the last image and more than one reference.
const classPlus = "QwenImageEditPlusPipeline"

// collageSides is how many pictures a collage joins.
const collageSides = 2

// Make decides every number of an attempt for one model. images are the sources in order, seed is drawn by the
// caller when the recipe has none. Paths, job and attempt are the caller's to fill in.
func Make(r job.Recipe, images []job.Image, spec model.Spec, seed int64) (Plan, error) {
	if err := r.Validate(); err != nil {
		return Plan{}, err
	}
	if len(images) == 0 {
		return Plan{}, job.Errorf(job.CodeImageMissing, "an edit needs a picture: send at least one image")
	}
	if r.Model != "" && r.Model != spec.ID {
		return Plan{}, job.Errorf(job.CodeUnknownModel, "model %q is not here; %q is", r.Model, spec.ID)
	}
	if len(r.LoRAs) > 0 {
		return Plan{}, job.Errorf(job.CodeUnknownLoRA, "LoRA %q is not here; %s has none installed", r.LoRAs[0], spec.Name)
	}
	if err := count(r, len(images), spec); err != nil {
		return Plan{}, err
	}
	steps, err := stepsOf(r, spec)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		ModelID: spec.ID, ModelDir: spec.Dir, WeightBytes: spec.Bytes, Prompt: r.Prompt, NegativePrompt: r.NegativePrompt,
		Steps: steps, TrueCFGScale: r.TrueCFGScale, Seed: seed, Collage: r.Collage && len(images) == collageSides,
		RefArea: spec.RefArea, CondArea: spec.CondArea,
	}
	if p.TrueCFGScale == 0 {
		p.TrueCFGScale = max(spec.DefaultCFG, 1)
	}
	if r.Seed != nil {
		p.Seed = *r.Seed
	}
	width, height := sourceSize(p.Collage, images, spec)
	p.OutWidth, p.OutHeight = width, height
	w, h, explicit, err := job.ParseSize(r.Size)
	if err != nil {
		return Plan{}, err
	}
	if explicit {
		p.OutWidth, p.OutHeight = w, h
	}
	p.WorkWidth, p.WorkHeight = Area(spec.MaxArea, float64(p.OutWidth)/float64(p.OutHeight))
	if p.WorkWidth < grid || p.WorkHeight < grid {
		return Plan{}, job.Errorf(job.CodeInputBad, "a picture of %dx%d pixels is too narrow: the shorter side would get "+
			"less than %d pixels at the %d that %s works with", p.OutWidth, p.OutHeight, grid, spec.MaxArea, spec.Name)
	}
	if area := p.WorkWidth * p.WorkHeight; p.OutWidth*p.OutHeight > area*11/10 {
		p.Notices = append(p.Notices, job.Notice{Code: "enlarged", Message: fmt.Sprintf(
			"%s works at %dx%d pixels; the result is enlarged to %dx%d", spec.Name, p.WorkWidth, p.WorkHeight,
			p.OutWidth, p.OutHeight)})
	}
	if p.NegativePrompt != "" && p.TrueCFGScale <= 1 {
		p.Notices = append(p.Notices, job.Notice{Code: "negative_prompt_unused",
			Message: "the negative prompt has no effect while true_cfg_scale is 1"})
	}
	return p, nil
}

func count(r job.Recipe, images int, spec model.Spec) error {
	limit := max(spec.MaxImages, 1)
	if r.Collage && images > collageSides {
		return job.Errorf(job.CodeTooManyImages, "a collage joins %d images, %d were sent", collageSides, images)
	}
	if r.Collage && images == collageSides || images <= limit {
		return nil
	}
	err := job.Errorf(job.CodeTooManyImages, "%d images were sent, %s takes %d", images, spec.Name, limit)
	if images == collageSides {
		return err.WithHint(`send one image, or "collage": true to join the two side by side`)
	}
	return err.WithHint(fmt.Sprintf("send at most %d", limit))
}

func stepsOf(r job.Recipe, spec model.Spec) (int, error) {
	steps := spec.DefaultSteps
	if r.Preset != "" {
		preset, ok := spec.Presets[r.Preset]
		if !ok {
			names := slices.Sorted(maps.Keys(spec.Presets))
			if len(names) == 0 {
				return 0, job.Errorf(job.CodeUnknownPreset, "preset %q is not known: %s has none", r.Preset, spec.Name)
			}
			return 0, job.Errorf(job.CodeUnknownPreset, "preset %q is not known: %s has %s", r.Preset, spec.Name,
				strings.Join(names, ", "))
		}
		steps = preset
	}
	if r.Steps != 0 {
		steps = r.Steps
	}
	return max(steps, 1), nil
}

// sourceSize gives the size whose ratio the model works in: the collage's, else the first image's for Edit and the
// last one's for Edit-Plus, as the stock pipelines take it.
func sourceSize(collage bool, images []job.Image, spec model.Spec) (width, height int) {
	if collage {
		// Both at the height of the taller one, side by side, as the original program joined them.
		a, b := images[0], images[1]
		height = max(a.Height, b.Height)
		return a.Width*height/a.Height + b.Width*height/b.Height, height
	}
	source := images[0]
	if spec.Class == classPlus {
		source = images[len(images)-1]
	}
	return source.Width, source.Height
}
