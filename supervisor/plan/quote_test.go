package plan

import (
	"slices"
	"testing"

	"qie/supervisor/job"
)

func TestQuote(t *testing.T) {
	key := func(p Plan) string { return "mps " + p.Key() }
	one := Plan{ModelID: "full", WorkWidth: 1024, WorkHeight: 1024, Images: []string{"a"}, TrueCFGScale: 4}
	wide, plain, two, other := one, one, one, one
	wide.WorkWidth, plain.TrueCFGScale, two.Images, other.ModelID = 1152, 1, []string{"a", "b"}, "full-2"
	learn := func(step float64) Pace {
		var p Pace
		for phase, s := range map[job.Phase]float64{job.Loading: 60, job.Encode: 2, job.Denoise: step, job.Decode: 1, job.Save: 1} {
			p = p.Learn(phase, s)
		}
		return p
	}
	paces := map[string]Pace{key(one): learn(2), key(wide): learn(3), key(plain): learn(1), key(two): learn(9), key(other): learn(99), "mps half x": {Encode: 3}}
	for _, c := range []struct {
		name  string
		model string
		steps int
		cfg   float64
		want  []float64
	}{
		{"the cheapest and the dearest size, without a load", "full", 8, 4, []float64{15, 35}},
		{"without guidance", "full", 8, 1, []float64{9, 15}},
		{"more steps", "full", 40, 4, []float64{63, 155}},
		{"never measured", "new", 8, 4, nil},
		{"steps never measured", "half", 8, 4, nil},
	} {
		if got := Quote(paces, c.model, c.steps, c.cfg); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
