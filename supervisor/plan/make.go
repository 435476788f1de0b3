package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"qie/supervisor/job"
	"qie/supervisor/model"
)

// collageSides is how many pictures a collage joins.
const collageSides = 2

// seenCrop is from which difference in ratio a crop is told.
const seenCrop = 1.02

// Make decides every number of an attempt for one model. images are the sources in order, seed is drawn by the
// caller when the recipe has none. Paths, job and attempt are the caller's to fill in.
func Make(r job.Recipe, images []job.Image, spec model.Spec, seed int64) (Plan, error) {
	return resolve(r, images, spec, seed, sourceSize)
}

// MakeMasked is Make for an edit with a mask: the result has the size of image 1, whatever the others have, so that the
// two can be joined pixel by pixel.
func MakeMasked(r job.Recipe, images []job.Image, spec model.Spec, seed int64) (Plan, error) {
	if len(images) > 0 {
		if err := maskable(r, images[0]); err != nil {
			return Plan{}, err
		}
	}
	return resolve(r, images, spec, seed, func(bool, []job.Image, model.Spec) (int, int) { return images[0].Width, images[0].Height })
}

func maskable(r job.Recipe, image job.Image) error {
	w, h, explicit, err := job.ParseSize(r.Size)
	switch {
	case err != nil:
		return err
	case r.Collage:
		return job.Errorf(job.CodeMaskBad, "a mask belongs to one photo, not to a collage")
	case explicit && (w != image.Width || h != image.Height):
		return job.Errorf(job.CodeMaskBad, "with a mask the result has the photo's own size of %dx%d, not %dx%d", image.Width, image.Height, w, h).
			WithHint("leave the size on auto")
	}
	return nil
}

// resolve makes the plan; sizeOf gives the size that the result has when the recipe names none.
func resolve(r job.Recipe, images []job.Image, spec model.Spec, seed int64, sizeOf func(collage bool, images []job.Image, spec model.Spec) (width, height int)) (Plan, error) {
	if err := r.Validate(); err != nil {
		return Plan{}, err
	}
	if len(images) == 0 {
		return Plan{}, job.Errorf(job.CodeImageMissing, "an edit needs a picture: send at least one image")
	}
	if r.Model != "" && r.Model != spec.ID {
		return Plan{}, job.Errorf(job.CodeUnknownModel, "model %q is not here; %q is", r.Model, spec.ID)
	}
	if err := count(r, len(images), spec); err != nil {
		return Plan{}, err
	}
	preset, err := presetOf(r, spec)
	if err != nil {
		return Plan{}, err
	}
	loras, err := lorasOf(r, preset, spec)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		ModelID: spec.ID, ModelDir: spec.Dir, WeightBytes: spec.Bytes, Shapes: spec.Shapes,
		Prompt: r.Prompt, NegativePrompt: r.NegativePrompt,
		// What the person wrote comes first, then the preset, then the model's default.
		Steps:        cmp.Or(r.Steps, preset.Steps, spec.DefaultSteps, 1),
		TrueCFGScale: cmp.Or(r.TrueCFGScale, preset.CFG, max(spec.DefaultCFG, 1)),
		Shift:        preset.Shift, LoRAs: loras,
		Seed: seed, Collage: r.Collage && len(images) == collageSides, RefArea: spec.RefArea, CondArea: spec.CondArea,
		RefFit: spec.RefFit,
	}
	if r.Seed != nil {
		p.Seed = *r.Seed
	}
	width, height := sizeOf(p.Collage, images, spec)
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
	p.References, p.Conditions = seen(p, images, spec)
	if n, ok := cropped(p, images); ok {
		p.Notices = append(p.Notices, n)
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

func presetOf(r job.Recipe, spec model.Spec) (model.Preset, error) {
	if r.Preset == "" {
		return model.Preset{}, nil
	}
	if preset, ok := spec.Presets[r.Preset]; ok {
		return preset, nil
	}
	return model.Preset{}, job.Errorf(job.CodeUnknownPreset, "preset %q is not known: %s has %s", r.Preset, spec.Name,
		listed(spec.PresetNames()))
}

// lorasOf gives those of the preset and then those of the recipe; of an id in both, the recipe's strength counts.
func lorasOf(r job.Recipe, preset model.Preset, spec model.Spec) ([]LoRA, error) {
	wanted, err := job.ParseLoRAs(preset.LoRAs)
	if err != nil {
		return nil, err
	}
	own, err := job.ParseLoRAs(r.LoRAs)
	if err != nil {
		return nil, err
	}
	for _, l := range own {
		if i := slices.IndexFunc(wanted, func(w job.LoRA) bool { return w.ID == l.ID }); i >= 0 {
			wanted[i] = l
		} else {
			wanted = append(wanted, l)
		}
	}
	loras := make([]LoRA, 0, len(wanted))
	for _, w := range wanted {
		l, ok := spec.LoRA(w.ID)
		if !ok {
			ids := make([]string, 0, len(spec.LoRAs))
			for _, l := range spec.LoRAs {
				ids = append(ids, l.ID)
			}
			return nil, job.Errorf(job.CodeUnknownLoRA, "LoRA %q is not here: %s has %s", w.ID, spec.Name, listed(ids))
		}
		loras = append(loras, LoRA{spec.Path(l), w.Strength})
	}
	return loras, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// cropped tells which pictures lose their borders, when they lose enough to be seen.
func cropped(p Plan, images []job.Image) (job.Notice, bool) {
	if p.RefFit != model.FitCover || p.Collage {
		return job.Notice{}, false
	}
	ratio := func(i job.Image) float64 { return float64(i.Width) / float64(i.Height) }
	var names []string
	for n, image := range images {
		if r := ratio(image) / ratio(images[0]); max(r, 1/r) > seenCrop {
			names = append(names, strconv.Itoa(n+1))
		}
	}
	words := "image %s was cropped from its middle to the shape of image 1"
	if len(names) > 1 {
		words = "images %s were cropped from their middle to the shape of image 1"
	}
	return job.Notice{Code: "cropped", Message: fmt.Sprintf(words, strings.Join(names, " and "))}, len(names) > 0
}

// seen gives the sizes in which the model sees the pictures, as the worker computes them (pyruntime/edit.py).
func seen(p Plan, images []job.Image, spec model.Spec) (references, conditions []Size) {
	width, height := sourceSize(p.Collage, images, spec)
	shapes := []float64{float64(width) / float64(height)}
	if !p.Collage {
		shapes = shapes[:0]
		for _, image := range images {
			if spec.RefFit == model.FitCover {
				image = images[0]
			}
			shapes = append(shapes, float64(image.Width)/float64(image.Height))
		}
	}
	for _, ratio := range shapes {
		w, h := Area(spec.RefArea, ratio)
		references = append(references, Size{w, h})
		if spec.Class == model.ClassEditPlus {
			w, h = Area(spec.CondArea, ratio)
		}
		conditions = append(conditions, Size{w, h})
	}
	return references, conditions
}

// sourceSize gives the size whose ratio the model works in: the collage's, else the first image's for Edit and for a
// model that crops the others to it, and the last one's for any other Edit-Plus, as the stock pipelines take it.
func sourceSize(collage bool, images []job.Image, spec model.Spec) (width, height int) {
	if collage {
		// Both at the height of the taller one, side by side, as the original program joined them.
		a, b := images[0], images[1]
		height = max(a.Height, b.Height)
		return a.Width*height/a.Height + b.Width*height/b.Height, height
	}
	source := images[0]
	if spec.Class == model.ClassEditPlus && spec.RefFit != model.FitCover {
		source = images[len(images)-1]
	}
	return source.Width, source.Height
}
