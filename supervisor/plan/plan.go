// Package plan resolves a recipe for one model on this machine. It is pure: no file, no clock, no goroutine.
package plan

import "qie/supervisor/job"

// Plan is a recipe with every number decided. The worker gets nothing else.
type Plan struct {
	Job     job.ID
	Attempt int

	ModelID  string
	ModelDir string
	// Profile is how much memory the attempt may take; empty is ProfileResident.
	Profile string
	// WeightBytes is the size of the model's weight files.
	WeightBytes int64
	// Pace is what was measured here for such plans: how long a silent worker may take.
	Pace Pace

	Prompt         string
	NegativePrompt string
	Steps          int
	TrueCFGScale   float64
	Seed           int64

	// Images are absolute paths of upright sRGB PNG files.
	Images  []string
	Collage bool

	// WorkWidth and WorkHeight are what the model computes: multiples of 32 with the area of the model.
	WorkWidth, WorkHeight int
	// OutWidth and OutHeight are the size of the saved picture; the worker resizes to it.
	OutWidth, OutHeight int
	RefArea, CondArea   int

	// ResultPath and PreviewPath are where the worker writes (temp, fsync, rename).
	ResultPath, PreviewPath string
	Notices                 []job.Notice
}
