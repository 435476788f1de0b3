// Package model owns what is known about a model without running it: the qie.json beside its weights, its files and
// their sizes. It has no network and starts nothing.
package model

// Spec is what differs between models (decision 20). It is read from qie.json in the model directory.
type Spec struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Class        string            `json:"class" doc:"QwenImageEditPipeline or QwenImageEditPlusPipeline"`
	Family       string            `json:"family"`
	Licence      string            `json:"licence"`
	Notice       string            `json:"notice"`
	RefArea      int               `json:"reference_area" doc:"pixels of a reference latent's picture"`
	CondArea     int               `json:"condition_area" doc:"pixels of the picture the text encoder sees"`
	CondMaxPix   int               `json:"condition_max_pixels" doc:"the image processor's max_pixels"`
	RefFit       string            `json:"reference_fit" doc:"cover: pictures after the first are cropped to its ratio; empty: each keeps its own"`
	MaxArea      int               `json:"max_area" doc:"largest working area in pixels"`
	DefaultSteps int               `json:"default_steps"`
	DefaultCFG   float64           `json:"default_true_cfg_scale"`
	MaxImages    int               `json:"max_images"`
	Presets      map[string]Preset `json:"presets" doc:"by name"`
	LoRAs        []LoRA            `json:"loras"`
	KnownEdits   []KnownEdit       `json:"known_edits"`

	// Dir is where the model directory lies. Not part of qie.json.
	Dir string `json:"-"`
	// Bytes is the sum of all weight files. Not part of qie.json.
	Bytes int64 `json:"-"`
	// Shapes is what its memory follows from; zero where the files do not tell. Not part of qie.json.
	Shapes Shapes `json:"-"`
}

// KnownEdit is a wording that the model was trained for.
type KnownEdit struct {
	Label  string `json:"label"`
	Prompt string `json:"prompt"`
	Group  string `json:"group" doc:"colour, light, shape, detail, draw or two pictures; empty: none"`
	Images int    `json:"images" doc:"how many pictures the wording speaks of; 0 is 1"`
}
