package job

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a recipe. They are the same for every road into qie.
const (
	PromptBytesMax = 8 << 10
	StepsMax       = 100
	CFGMax         = 20.0
	SeedMax        = 1<<53 - 1 // a browser's number holds it exactly
	SideMin        = 64
	SideMax        = 8192
)

// Recipe is what the person asked. Zero values mean "the model's default" (plan.Make fills them), so a stored
// recipe can be run again on another model.
type Recipe struct {
	Prompt         string   `json:"prompt" minLength:"1" doc:"what should change"`
	NegativePrompt string   `json:"negative_prompt,omitempty"`
	Steps          int      `json:"steps,omitempty" minimum:"0" maximum:"100" doc:"denoise steps; 0 or absent: the model's default"`
	TrueCFGScale   float64  `json:"true_cfg_scale,omitempty" minimum:"0" maximum:"20" doc:"guidance; 1 is off; 0 or absent: the model's default"`
	Seed           *int64   `json:"seed,omitempty" doc:"absent: drawn at random and told in the result"`
	Size           string   `json:"size,omitempty" doc:"auto (the photo's own size) or WIDTHxHEIGHT"`
	Model          string   `json:"model,omitempty" doc:"absent: the selected model"`
	Preset         string   `json:"preset,omitempty" doc:"a named bundle of the model, for example fast"`
	LoRAs          []string `json:"loras,omitempty" nullable:"false" doc:"ids of the model's LoRAs, each with a strength if not 1, for example blueprint:0.8; added to those of the preset"`
	Collage        bool     `json:"collage,omitempty" doc:"join two images side by side into one source, as the original program did"`
}

var sizeForm = regexp.MustCompile(`^(\d{1,5})x(\d{1,5})$`)

// ParseSize reads "WxH" in pixels; ok is false for "" and "auto".
func ParseSize(size string) (width, height int, ok bool, err error) {
	if size == "" || size == "auto" {
		return 0, 0, false, nil
	}
	m := sizeForm.FindStringSubmatch(size)
	if m == nil {
		return 0, 0, false, Errorf(CodeInputBad, "size %q is not auto or WIDTHxHEIGHT", size)
	}
	width, _ = strconv.Atoi(m[1])
	height, _ = strconv.Atoi(m[2])
	if width < SideMin || height < SideMin || width > SideMax || height > SideMax {
		return 0, 0, false, Errorf(CodeInputBad, "size %s: each side is %d to %d pixels", size, SideMin, SideMax)
	}
	return width, height, true, nil
}

// Validate refuses what no model can run, each refusal with the limit in its words. It does not trim the prompt:
// a stored recipe is what the person wrote.
func (r Recipe) Validate() error {
	switch {
	case strings.TrimSpace(r.Prompt) == "":
		return Errorf(CodePromptEmpty, "the prompt is empty: write what should change")
	case len(r.Prompt) > PromptBytesMax:
		return Errorf(CodePromptTooLong, "the prompt has %d bytes, the limit is %d", len(r.Prompt), PromptBytesMax)
	case len(r.NegativePrompt) > PromptBytesMax:
		return Errorf(CodePromptTooLong, "the negative prompt has %d bytes, the limit is %d", len(r.NegativePrompt), PromptBytesMax)
	case !utf8.ValidString(r.Prompt) || !utf8.ValidString(r.NegativePrompt):
		return Errorf(CodeInputBad, "the prompt is not valid UTF-8")
	case strings.ContainsRune(r.Prompt, 0) || strings.ContainsRune(r.NegativePrompt, 0):
		return Errorf(CodeInputBad, "the prompt holds a NUL character")
	case r.Steps < 0 || r.Steps > StepsMax:
		return Errorf(CodeOutOfRange, "steps is %d, it must be 1 to %d", r.Steps, StepsMax)
	case r.TrueCFGScale != 0 && !(r.TrueCFGScale >= 1 && r.TrueCFGScale <= CFGMax):
		return Errorf(CodeOutOfRange, "true_cfg_scale is %g, it must be 1 to %g", r.TrueCFGScale, CFGMax)
	case r.Seed != nil && (*r.Seed < 0 || *r.Seed > SeedMax):
		return Errorf(CodeOutOfRange, "seed is %d, it must be 0 to %d", *r.Seed, int64(SeedMax))
	}
	if _, err := ParseLoRAs(r.LoRAs); err != nil {
		return err
	}
	_, _, _, err := ParseSize(r.Size)
	return err
}

// String gives the recipe without its prompt, for logs: prompts are never logged.
func (r Recipe) String() string {
	return fmt.Sprintf("recipe(prompt %d bytes, steps %d, cfg %g, size %q, model %q)", len(r.Prompt), r.Steps, r.TrueCFGScale, r.Size, r.Model)
}
