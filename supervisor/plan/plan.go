// Package plan resolves a recipe for one model on this machine. It is pure: no file, no clock, no goroutine.
package plan

import (
	"qie/supervisor/job"
	"qie/supervisor/model"
)

// Plan is a recipe with every number decided. The worker gets nothing else.
type Plan struct {
	Job     job.ID
	Attempt int

	ModelID  string
	ModelDir string
	// Profile is how memory is used; empty is ProfileResident. Before a plan was chosen it is the first that may be.
	Profile string
	// WeightBytes is the size of the model's weight files, Shapes what its memory follows from.
	WeightBytes int64
	Shapes      model.Shapes
	// Pace is what was measured here for such plans: how long a silent worker may take.
	Pace Pace

	Prompt         string
	NegativePrompt string
	Steps          int
	TrueCFGScale   float64
	Seed           int64
	// Shift is the time shift of the schedule; 0 is the scheduler's own.
	Shift float64
	LoRAs []LoRA

	// Images are absolute paths of upright sRGB PNG files.
	Images  []string
	Collage bool

	// WorkWidth and WorkHeight are what the model computes: multiples of 32 with the area of the model.
	WorkWidth, WorkHeight int
	// OutWidth and OutHeight are the size of the saved picture; the worker resizes to it.
	OutWidth, OutHeight int
	// References are what the VAE encodes, Conditions what the text encoder sees, in the order of the images.
	References, Conditions []Size
	RefArea, CondArea      int
	// RefFit is how the pictures after the first get their shape: cropped to the first's, or left (model.Spec).
	RefFit string

	// ResultPath and PreviewPath are where the worker writes (temp, fsync, rename).
	ResultPath, PreviewPath string
	// CheckpointPath is where the worker keeps the state of its denoise, for the next attempt of the same job.
	CheckpointPath string
	Notices        []job.Notice
}

// LoRA is one change of the weights, by the absolute path of its file.
type LoRA struct {
	Path     string
	Strength float64
}
