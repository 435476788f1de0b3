package plan

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"qie/supervisor/job"
	"qie/supervisor/model"
)

// testdata/sizes.txt was written by the function of the stock pipeline itself.
func TestArea_IsThatOfTheStockPipeline(t *testing.T) {
	f, err := os.Open("testdata/sizes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var area, w, h, wantW, wantH int
		if _, err := fmt.Sscan(lines.Text(), &area, &w, &h, &wantW, &wantH); err != nil {
			t.Fatal(err)
		}
		if gotW, gotH := Area(area, float64(w)/float64(h)); gotW != wantW || gotH != wantH {
			t.Errorf("area %d of %dx%d is %dx%d, the stock pipeline says %dx%d", area, w, h, gotW, gotH, wantW, wantH)
		}
		n++
	}
	if n < 1000 {
		t.Errorf("only %d sizes were compared", n)
	}
}

var (
	edit = model.Spec{ID: "demo", Name: "Demo", Class: model.ClassEdit, RefArea: 512 * 512, CondArea: 512 * 512,
		MaxArea: 512 * 512, DefaultSteps: 4, DefaultCFG: 1, MaxImages: 1, Dir: "/models/demo",
		LoRAs:   []model.LoRA{{ID: "blueprint", File: "loras/blueprint.safetensors"}, {ID: "two-step", File: "loras/two.safetensors"}},
		Presets: map[string]model.Preset{"fast": {Steps: 2, Shift: 3, LoRAs: []string{"two-step"}}, "best": {Steps: 8, CFG: 2.5}}}
	plus = model.Spec{ID: "plus", Name: "Plus", Class: model.ClassEditPlus, RefArea: 1 << 20, CondArea: 384 * 384,
		MaxArea: 1 << 20, DefaultSteps: 40, DefaultCFG: 4, MaxImages: 3}
	cover = model.Spec{ID: "cover", Name: "Cover", Class: model.ClassEditPlus, RefArea: 512 * 512, CondArea: 512 * 512,
		MaxArea: 512 * 512, DefaultSteps: 4, DefaultCFG: 1, MaxImages: 3, RefFit: model.FitCover}
)

func TestMake(t *testing.T) {
	seed := int64(42)
	photo := job.Image{Width: 4032, Height: 3024}
	tall := job.Image{Width: 600, Height: 1200}
	tests := []struct {
		name   string
		recipe job.Recipe
		images []job.Image
		spec   model.Spec
		want   string
		code   job.Code
	}{
		{name: "defaults of the model, size of the photo", recipe: job.Recipe{}, images: []job.Image{photo}, spec: edit,
			want: "work 576x448 out 4032x3024 steps 4 cfg 1 seed 7"},
		{name: "a small photo is worked on at the model's area", images: []job.Image{{Width: 96, Height: 64}}, spec: edit,
			want: "work 640x416 out 96x64 steps 4 cfg 1 seed 7"},
		{name: "an explicit size gives the ratio", recipe: job.Recipe{Size: "1024x512"}, images: []job.Image{photo},
			spec: edit, want: "work 736x352 out 1024x512 steps 4 cfg 1 seed 7"},
		{name: "explicit numbers win over the preset", recipe: job.Recipe{Steps: 6, Preset: "best", Seed: &seed,
			TrueCFGScale: 3}, images: []job.Image{photo}, spec: edit,
			want: "work 576x448 out 4032x3024 steps 6 cfg 3 seed 42"},
		{name: "a preset gives steps", recipe: job.Recipe{Preset: "fast"}, images: []job.Image{photo}, spec: edit,
			want: "work 576x448 out 4032x3024 steps 2 cfg 1 seed 7"},
		{name: "edit-plus takes the ratio of the last image", images: []job.Image{photo, tall}, spec: plus,
			want: "work 736x1440 out 600x1200 steps 40 cfg 4 seed 7"},
		{name: "a model that crops its references takes the ratio of the first", images: []job.Image{photo, tall}, spec: cover,
			want: "work 576x448 out 4032x3024 steps 4 cfg 1 seed 7"},
		{name: "a collage has the height of the taller", recipe: job.Recipe{Collage: true},
			images: []job.Image{{Width: 100, Height: 100}, {Width: 100, Height: 200}}, spec: edit,
			want: "work 640x416 out 300x200 steps 4 cfg 1 seed 7"},
		{name: "two images for a model of one", images: []job.Image{photo, tall}, spec: edit, code: job.CodeTooManyImages},
		{name: "a collage of three", recipe: job.Recipe{Collage: true}, images: []job.Image{photo, tall, tall}, spec: plus,
			code: job.CodeTooManyImages},
		{name: "four references", images: []job.Image{photo, tall, tall, tall}, spec: plus, code: job.CodeTooManyImages},
		{name: "no image", spec: edit, code: job.CodeImageMissing},
		{name: "another model", recipe: job.Recipe{Model: "x"}, images: []job.Image{photo}, spec: edit,
			code: job.CodeUnknownModel},
		{name: "unknown preset", recipe: job.Recipe{Preset: "x"}, images: []job.Image{photo}, spec: edit,
			code: job.CodeUnknownPreset},
		{name: "preset of a model without", recipe: job.Recipe{Preset: "x"}, images: []job.Image{photo}, spec: plus,
			code: job.CodeUnknownPreset},
		{name: "a preset gives guidance", recipe: job.Recipe{Preset: "best"}, images: []job.Image{photo}, spec: edit,
			want: "work 576x448 out 4032x3024 steps 8 cfg 2.5 seed 7"},
		{name: "unknown LoRA", recipe: job.Recipe{LoRAs: []string{"x"}}, images: []job.Image{photo}, spec: edit,
			code: job.CodeUnknownLoRA},
		{name: "a LoRA of a model without", recipe: job.Recipe{LoRAs: []string{"blueprint"}}, images: []job.Image{photo},
			spec: plus, code: job.CodeUnknownLoRA},
		{name: "a LoRA that is too strong", recipe: job.Recipe{LoRAs: []string{"blueprint:3"}}, images: []job.Image{photo},
			spec: edit, code: job.CodeOutOfRange},
		{name: "a hair of a picture", images: []job.Image{{Width: 8000, Height: 2}}, spec: edit, code: job.CodeInputBad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.recipe.Prompt = "make it sepia"
			p, err := Make(tt.recipe, tt.images, tt.spec, 7)
			if tt.code != "" {
				if err == nil || job.AsError(err).Code != tt.code {
					t.Fatalf("got %v, want %s", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("work %dx%d out %dx%d steps %d cfg %g seed %d", p.WorkWidth, p.WorkHeight, p.OutWidth,
				p.OutHeight, p.Steps, p.TrueCFGScale, p.Seed)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if p.WorkWidth%32 != 0 || p.WorkHeight%32 != 0 {
				t.Errorf("%dx%d is not on the grid", p.WorkWidth, p.WorkHeight)
			}
		})
	}
}

func TestMake_LoRAs(t *testing.T) {
	const blueprint, two = "/models/demo/loras/blueprint.safetensors", "/models/demo/loras/two.safetensors"
	tests := []struct {
		name   string
		recipe job.Recipe
		want   string
	}{
		{"none", job.Recipe{}, "steps 4 shift 0 []"},
		{"of the recipe", job.Recipe{LoRAs: []string{"blueprint:0.8"}}, "steps 4 shift 0 [{" + blueprint + " 0.8}]"},
		{"of the preset", job.Recipe{Preset: "fast"}, "steps 2 shift 3 [{" + two + " 1}]"},
		{"the recipe's are added", job.Recipe{Preset: "fast", LoRAs: []string{"blueprint"}},
			"steps 2 shift 3 [{" + two + " 1} {" + blueprint + " 1}]"},
		{"the recipe's strength wins", job.Recipe{Preset: "fast", LoRAs: []string{"two-step:0.5"}},
			"steps 2 shift 3 [{" + two + " 0.5}]"},
		{"the recipe's steps win, the schedule stays the preset's", job.Recipe{Preset: "fast", Steps: 3},
			"steps 3 shift 3 [{" + two + " 1}]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.recipe.Prompt = "x"
			p, err := Make(tt.recipe, []job.Image{{Width: 64, Height: 64}}, edit, 0)
			if got := fmt.Sprintf("steps %d shift %g %v", p.Steps, p.Shift, p.LoRAs); err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestMake_ListsWhatIsThere(t *testing.T) {
	for want, recipe := range map[string]job.Recipe{
		"Demo has blueprint, two-step": {Prompt: "x", LoRAs: []string{"gone"}},
		"Demo has fast, best":          {Prompt: "x", Preset: "gone"},
	} {
		_, err := Make(recipe, []job.Image{{Width: 64, Height: 64}}, edit, 0)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestMake_NamesTheLimit(t *testing.T) {
	_, err := Make(job.Recipe{Prompt: "x"}, make([]job.Image, 2), edit, 0)
	e := job.AsError(err)
	if !strings.Contains(e.Message, "Demo takes 1") || !strings.Contains(e.Hint, "collage") {
		t.Errorf("message %q, hint %q", e.Message, e.Hint)
	}
}

func TestMake_TellsWhatIsCropped(t *testing.T) {
	square, nearly, tall := job.Image{Width: 400, Height: 400}, job.Image{Width: 403, Height: 400}, job.Image{Width: 100, Height: 300}
	tests := []struct {
		name   string
		images []job.Image
		spec   model.Spec
		want   string
	}{
		{"the same shape", []job.Image{square, nearly}, cover, ""},
		{"one of two", []job.Image{square, tall}, cover, "image 2 was cropped from its middle to the shape of image 1"},
		{"both others", []job.Image{tall, square, nearly}, cover, "images 2 and 3 were cropped"},
		{"a model that keeps every shape", []job.Image{square, tall}, plus, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Make(job.Recipe{Prompt: "blend with image 2"}, tt.images, tt.spec, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, n := range p.Notices {
				if n.Code == "cropped" {
					got = n.Message
				}
			}
			if (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// walk is the order in which an attempt of n steps reports.
func walk(n int) []Point {
	points := []Point{{Phase: job.Loading}, {Phase: job.Loading, Done: 0.5}, {Phase: job.Encode}, {Phase: job.Denoise}}
	for k := 1; k <= n; k++ {
		points = append(points, Point{Phase: job.Denoise, Step: k})
	}
	return append(points, Point{Phase: job.Decode}, Point{Phase: job.Decode, Done: 0.9}, Point{Phase: job.Save})
}

func TestEstimate_NeverGoesBack(t *testing.T) {
	for _, loads := range []bool{false, true} {
		e := NewEstimate(Pace{}, 10, loads)
		last := -1.0
		for i, at := range walk(10) {
			if at.Phase == job.Denoise && at.Step > 0 {
				e.Step(0.2 + float64(i%3)) // uneven steps move the weights
			}
			percent, eta := e.At(at)
			if percent < last || percent > 99 {
				t.Errorf("loads %t: %g after %g at %+v", loads, percent, last, at)
			}
			if (eta != nil) != (e.StepMean() > 0) {
				t.Errorf("an estimate %v with a mean of %g", eta, e.StepMean())
			}
			last = percent
		}
		if last < 80 {
			t.Errorf("loads %t: save begins at %g", loads, last)
		}
		if percent, _ := e.At(Point{Phase: job.Encode}); percent != last {
			t.Errorf("going back gave %g", percent)
		}
		if percent, eta := e.At(Point{Phase: "dream"}); percent != last || eta != nil {
			t.Errorf("an unknown phase gave %g, %v", percent, eta)
		}
	}
}

func TestEstimate_RangeHoldsTheRest(t *testing.T) {
	pace := Pace{Encode: 1, Step: 2, Decode: 3, Save: 0.5}
	e := NewEstimate(pace, 10, false)
	_, eta := e.At(Point{Phase: job.Denoise, Step: 5})
	if len(eta) != 2 || eta[0] > 13.5 || eta[1] < 13.5 || eta[0] <= 0 {
		t.Errorf("range %v does not hold 13.5", eta)
	}
	wide := eta[1] - eta[0]
	e.Step(2)
	e.Step(2)
	if _, eta = e.At(Point{Phase: job.Denoise, Step: 5}); eta[1]-eta[0] >= wide {
		t.Errorf("the range %v did not narrow", eta)
	}
}

func TestPace_Learns(t *testing.T) {
	p := Pace{}.Learn(job.Denoise, 2).Learn(job.Denoise, 4).Learn(job.Decode, math.NaN()).Learn("dream", 1).
		Learn(job.Encode, -1)
	if (p != Pace{Step: 3}) {
		t.Errorf("pace is %+v", p)
	}
}
