package plan

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor/job"
	"qie/supervisor/model"
)

// peak is one row of pyruntime/bench/memory.py: bytes that were counted, or measured on a GPU, in each phase.
type peak struct {
	Model     string           `json:"model"`
	ItemBytes int64            `json:"item_bytes"`
	Profile   string           `json:"profile"` // activations: without the weights
	Width     int              `json:"width"`
	Height    int              `json:"height"`
	Images    int              `json:"images"`
	Area      int              `json:"reference_area"`
	Prompt    string           `json:"prompt"`
	Phases    map[string]int64 `json:"phases"`
}

func (r peak) plan(t *testing.T) Plan {
	t.Helper()
	spec := model.Published("full", "Full", model.ClassEditPlus, 0)
	switch r.Model {
	case "demo":
		shapes, err := model.ReadShapes("../../pyruntime/demo/model")
		if err != nil {
			t.Fatal(err)
		}
		spec.Shapes, spec.CondArea = shapes, r.Area
	case "full-2509":
		spec.Shapes.ZeroCond = false
	}
	spec.RefArea, spec.MaxArea = r.Area, r.Width*r.Height
	images := make([]job.Image, r.Images)
	for i := range images {
		images[i] = job.Image{Width: r.Width, Height: r.Height}
	}
	p, err := Make(job.Recipe{Prompt: r.Prompt}, images, spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.WorkWidth, p.WorkHeight = r.Width, r.Height
	return p
}

// The prediction is within 5 % of what was counted or measured: the peak of the whole edit in every row, and each phase
// where the activations stand alone.
func TestPredict_IsWithinFivePercent(t *testing.T) {
	files, err := filepath.Glob("testdata/peaks*.json")
	if err != nil {
		t.Fatal(err)
	}
	rows, worst := 0, 0.0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []peak
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			p := r.plan(t)
			if r.Profile == "activations" {
				encode, decode := p.painting(r.ItemBytes, false)
				for phase, want := range map[string]int64{"encode": encode, "denoise": p.stepping(r.ItemBytes), "decode": decode} {
					off := float64(want)/float64(r.Phases[phase]) - 1
					worst = max(worst, math.Abs(off))
					if math.Abs(off) > 0.05 {
						t.Errorf("%s %dx%d, %d images: %s holds %d bytes, %d were predicted: %.1f %% off", r.Model, r.Width, r.Height,
							r.Images, phase, r.Phases[phase], want, 100*off)
					}
				}
				rows++
				continue
			}
			for _, m := range p.Predict(r.ItemBytes) {
				if m.Profile != r.Profile {
					continue
				}
				var most int64
				for _, bytes := range r.Phases {
					most = max(most, bytes)
				}
				off := float64(m.Peak())/float64(most) - 1
				worst = max(worst, math.Abs(off))
				t.Logf("%s %s %dx%d %d: %v %+v", r.Model, r.Profile, r.Width, r.Height, r.Images, r.Phases, m)
				if math.Abs(off) > 0.05 {
					t.Errorf("%s %s %dx%d, %d images: the peak is %d bytes, %d were predicted: %.1f %% off", r.Model, r.Profile, r.Width,
						r.Height, r.Images, most, m.Peak(), 100*off)
				}
				rows++
			}
		}
	}
	t.Logf("%d rows, at most %.1f %% off", rows, 100*worst)
	if rows < 40 {
		t.Errorf("only %d rows were compared", rows)
	}
}

// full is an edit of one photo with the full model in BF16.
func full(t *testing.T) []Memory {
	t.Helper()
	return Usual(model.Published("full", "Full", model.ClassEditPlus, 57_700_000_000)).Predict(bytes16)
}

func TestChoose(t *testing.T) {
	const gb = 1_000_000_000
	all := full(t)
	small := []Memory{{Profile: ProfileResident, Load: gb / 2}, {Profile: ProfileStaged, Load: gb / 4}}
	unknown := []Memory{{Profile: ProfileResident, Load: 50 * gb}}
	large := []Memory{{Profile: ProfileResident, Load: 60 * gb}, {Profile: ProfileStaged, Decode: 50 * gb}, {Profile: ProfileTiled, Decode: 40 * gb}}
	tests := []struct {
		name   string
		all    []Memory
		from   string
		room   Room
		forced bool
		want   string
	}{
		{name: "all fits", all: all, room: Room{Total: 85 * gb, Free: 84 * gb}, want: "resident"},
		{name: "a Mac with 64 GB, whose GPU should hold 51.5", all: all, room: Room{Total: 51_500_000_000}, want: "staged"},
		{name: "others hold what all parts would need", all: all, room: Room{Total: 85 * gb, Free: 50 * gb}, want: "staged"},
		{name: "nearly all of the machine", all: all, room: Room{Total: 66 * gb}, want: "resident tight"},
		{name: "the system is pressed", all: all, room: Room{Total: 85 * gb, Pressed: true}, want: "resident tight"},
		{name: "what is free is too little for any: the least, and it is tight", all: all, room: Room{Total: 85 * gb, Free: 9 * gb}, want: "staged tight"},
		{name: "the machine is too small", all: all, room: Room{Total: 24 * gb}, want: "staged refused"},
		{name: "too small, but a person insists", all: all, room: Room{Total: 24 * gb}, forced: true, want: "staged tight"},
		{name: "tiles are taken where they save", all: large, room: Room{Total: 85 * gb, Free: 9 * gb}, want: "tiled tight"},
		{name: "never above where the ladder stands", all: all, from: ProfileStaged, room: Room{Total: 512 * gb}, want: "staged"},
		{name: "the end of the ladder", all: all, from: ProfileTiled, room: Room{Total: 512 * gb}, want: "tiled"},
		{name: "an unknown machine", all: all, want: "resident"},
		{name: "what is small is not judged", all: small, room: Room{Total: gb, Free: 1, Pressed: true}, want: "resident"},
		{name: "shapes that nobody knows", all: unknown, room: Room{Total: 40 * gb}, want: "resident refused"},
		{name: "the next plan of them", all: unknown, from: ProfileStaged, room: Room{Total: 40 * gb}, want: "staged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Choose(tt.all, tt.from, tt.room, tt.forced)
			got := c.Profile
			if c.Tight {
				got += " tight"
			}
			if c.Refused {
				got += " refused"
			}
			if got != tt.want || c.Refused != (err != nil) {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// A lack of memory goes down only to what takes less than what ran out.
func TestChoice_Lower(t *testing.T) {
	const gb = 1_000_000_000
	all := full(t)
	large := []Memory{{Profile: ProfileResident, Load: 60 * gb}, {Profile: ProfileStaged, Decode: 50 * gb}, {Profile: ProfileTiled, Decode: 40 * gb}}
	unknown := []Memory{{Profile: ProfileResident, Load: 50 * gb}}
	tests := []struct {
		name  string
		all   []Memory
		from  string
		phase job.Phase
		total int64
		want  string
	}{
		{name: "from all parts", all: all, phase: job.Denoise, want: ProfileStaged},
		{name: "tiles save nothing in a step", all: all, from: ProfileStaged, phase: job.Denoise},
		{name: "nor at the peak, whatever ran out", all: all, from: ProfileStaged, phase: job.Save},
		{name: "in the decode they do", all: all, from: ProfileStaged, phase: job.Decode, want: ProfileTiled},
		{name: "they lower the peak", all: large, from: ProfileStaged, phase: job.Loading, want: ProfileTiled},
		{name: "the end", all: all, from: ProfileTiled, phase: job.Decode},
		{name: "shapes that nobody knows", all: unknown, phase: job.Denoise, want: ProfileStaged},
		{name: "the next plan of them", all: unknown, from: ProfileStaged, phase: job.Denoise, want: ProfileTiled},
		{name: "a refusal", all: unknown, phase: job.Loading, total: gb},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := Choose(tt.all, tt.from, Room{Total: tt.total}, false)
			if got := c.Lower(tt.phase); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A refusal says what is needed by the plan that needs the least, and what there is of whose memory.
func TestChoose_RefusesWithNumbers(t *testing.T) {
	for _, tt := range []struct {
		room Room
		want string
	}{
		{Room{Total: 24_000_000_000}, "this computer has 24.0 GB"},
		{Room{Total: 24_000_000_000, GPU: true}, "the GPU has 24.0 GB of memory"},
	} {
		_, err := Choose(full(t), "", tt.room, false)
		e := job.AsError(err)
		if e.Code != job.CodeOOMLoad || !strings.Contains(e.Message, "41.8 GB") || !strings.Contains(e.Message, tt.want) ||
			tt.room.GPU == strings.Contains(e.Message, "computer") {
			t.Errorf("got %s: %s", e.Code, e.Message)
		}
	}
}

func TestChoice_Words(t *testing.T) {
	_, choice := Judge(model.Published("full", "Full", model.ClassEditPlus, 0), bytes16, Room{Total: 51_500_000_000})
	if got := choice.Says(); !strings.Contains(got, "fits") || !strings.Contains(got, "one after the other") {
		t.Errorf("it says %q", got)
	}
	for want, c := range map[string]Choice{
		"is not known, and there are 4.0 GB":       {Memory: Memory{Profile: ProfileTiled}, Room: Room{Total: 4e9}},
		"it takes up to 3.0 GB, and there are 4.0": {Memory: Memory{Load: 3e9}, Room: Room{Total: 4e9, Free: 2e9}},
		"it takes up to 3.0 GB":                    {Memory: Memory{Load: 3e9}},
	} {
		if got := c.Numbers(); !strings.Contains(got, want) {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}

// The sizes that memory is predicted by are those that the worker computes.
func TestMake_SeesThePicturesAsTheWorker(t *testing.T) {
	tests := []struct {
		name                   string
		recipe                 job.Recipe
		images                 []job.Image
		spec                   model.Spec
		references, conditions []Size
	}{
		{"edit shows both the same", job.Recipe{}, []job.Image{{Width: 400, Height: 400}}, edit, []Size{{512, 512}}, []Size{{512, 512}}},
		{"edit-plus shows the encoder less", job.Recipe{}, []job.Image{{Width: 400, Height: 400}, {Width: 100, Height: 200}}, plus,
			[]Size{{1024, 1024}, {736, 1440}}, []Size{{384, 384}, {256, 544}}},
		{"cover gives all the first one's shape", job.Recipe{}, []job.Image{{Width: 400, Height: 400}, {Width: 100, Height: 200}}, cover,
			[]Size{{512, 512}, {512, 512}}, []Size{{512, 512}, {512, 512}}},
		{"a collage is one picture", job.Recipe{Collage: true}, []job.Image{{Width: 100, Height: 100}, {Width: 100, Height: 100}}, edit,
			[]Size{{736, 352}}, []Size{{736, 352}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.recipe.Prompt = "x"
			p, err := Make(tt.recipe, tt.images, tt.spec, 0)
			if err != nil || !slices.Equal(p.References, tt.references) || !slices.Equal(p.Conditions, tt.conditions) {
				t.Errorf("got %v, %v, %v", p.References, p.Conditions, err)
			}
		})
	}
}
