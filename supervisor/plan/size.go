package plan

import "math"

// grid is what the VAE's and the transformer's patches divide a side by.
const grid = 32

// Area gives the sides of the given area at the given ratio, each a multiple of 32. It is calculate_dimensions of the
// stock pipelines, digit for digit: the same square root and division in float64, and halves rounded to even.
func Area(area int, ratio float64) (width, height int) {
	w := math.Sqrt(float64(area) * ratio)
	h := w / ratio
	return int(math.RoundToEven(w/grid)) * grid, int(math.RoundToEven(h/grid)) * grid
}
