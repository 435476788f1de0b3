package doctor

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/plan"
	"qie/supervisor/preflight"
)

// logTail is how much of the end of each log goes into a report, in bytes.
const logTail = 256 << 10

// standInPrompt takes the place of whatever a person wrote.
const standInPrompt = "make it black and white"

// Report is what goes into the zip, before anything is taken out of it.
type Report struct {
	Diagnosis Diagnosis
	Facts     preflight.Facts
	Settings  []Setting
	Home      string    // data folder: its logs are read
	Logs      []string  // further log files
	Jobs      []job.Job // newest first; none of their words or pictures gets in
	Spec      model.Spec
	Secrets   []string // further strings that must not get in
	Now       time.Time
}

// Setting is a setting without what could tell of a person.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// Write puts the report into w and names its members. A member in which one of the secrets is still found is left out
// and named as such: the promise is worth more than the member.
func (r Report) Write(w io.Writer) ([]string, error) {
	s := r.scrubber()
	z := zip.NewWriter(w)
	var names []string
	for _, m := range r.members(s) {
		if s.finds(m.data) {
			m.name, m.data = m.name+".left-out.txt", []byte("this part still held something private after it was cleaned\n")
		}
		file, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: r.Now.UTC().Truncate(time.Hour)})
		if err == nil {
			_, err = file.Write(m.data)
		}
		if err != nil {
			return names, fmt.Errorf("write the report: %w", err)
		}
		names = append(names, m.name)
	}
	return names, z.Close()
}

type member struct {
	name string
	data []byte
}

func (r Report) members(s scrubber) []member {
	h := r.Facts.Host
	text := preflight.Text(r.Diagnosis.Findings, preflight.Mark)
	all := []member{
		{"findings.txt", []byte(s.clean(text))},
		{"findings.json", s.json(r.Diagnosis)},
		{"versions.json", s.json(map[string]any{"qie": r.Diagnosis.Version, "go": runtime.Version(), "os": h.OS, "arch": h.Arch,
			"platform": h.Platform, "platform_version": h.Version, "libc": h.Libc, "translated": h.Translated, "cpu": h.CPU, "gpu": h.GPU,
			"cores": h.Cores, "python": r.Facts.Python.Version, "node": r.Facts.Node, "worker": r.Facts.Handshake, "memory_bytes": h.MemoryTotal,
			"memory_available_bytes": h.MemoryAvailable, "disk_free_bytes": h.DiskFree, "time": r.Now.UTC().Truncate(time.Hour)})},
		{"settings.json", s.json(r.Settings)},
		{"plan.json", s.json(r.plans())},
		{"jobs.json", s.json(r.jobs())},
	}
	all = append(all, r.standIn(s)...)
	logs := append([]string{filepath.Join(r.Home, "logs", "qie.log"), filepath.Join(r.Home, "logs", "worker.log"),
		filepath.Join(r.Home, "logs", "setup.log")}, r.Logs...)
	crashes, _ := filepath.Glob(filepath.Join(r.Home, "logs", "crash-*.json"))
	slices.Sort(crashes)
	taken := map[string]bool{}
	for _, path := range append(logs, crashes...) {
		data, err := tail(path)
		if err != nil {
			continue // not there; what there is counts
		}
		name := "logs/" + filepath.Base(path)
		if taken[name] {
			name = "logs/checkout-" + filepath.Base(path)
		}
		taken[name] = true
		all = append(all, member{name, []byte(s.log(string(data)))})
	}
	return all
}

func (r Report) plans() []preflight.Plan {
	kind := cmp.Or(r.Facts.Handshake.Device, r.Facts.Kind())
	plans := []preflight.Plan{preflight.Full(r.Facts.Host, kind)}
	if r.Spec.ID != "" {
		plans = append(plans, preflight.PlanOf(r.Facts.Host, kind, r.Spec))
	}
	return plans
}

// jobLine is what a report says of a job.
type jobLine struct {
	State   job.State          `json:"state"`
	Attempt int                `json:"attempt"`
	Sizes   []string           `json:"sizes"`
	Steps   int                `json:"steps"`
	CFG     float64            `json:"true_cfg_scale"`
	Preset  string             `json:"preset,omitempty"`
	Prompt  int                `json:"prompt_characters"`
	Error   job.Code           `json:"error,omitempty"`
	Timings map[string]float64 `json:"timings,omitempty"`
}

func (r Report) jobs() []jobLine {
	lines := []jobLine{}
	for _, j := range r.Jobs {
		l := jobLine{State: j.State, Attempt: j.Attempt, Steps: j.Recipe.Steps, CFG: j.Recipe.TrueCFGScale, Preset: j.Recipe.Preset,
			Prompt: len([]rune(j.Recipe.Prompt)), Timings: j.Timings, Sizes: []string{}}
		for _, i := range j.Images {
			l.Sizes = append(l.Sizes, fmt.Sprintf("%dx%d", i.Width, i.Height))
		}
		if j.Error != nil {
			l.Error = j.Error.Code
		}
		lines = append(lines, l)
	}
	return lines
}

// standIn is a job that costs what the last failed one cost, or the last: the same numbers, a picture of colours that
// run into each other, and other words.
func (r Report) standIn(s scrubber) []member {
	recipe := job.Recipe{Prompt: standInPrompt, Seed: new(int64)}
	images := []job.Image{{Width: 512, Height: 512}}
	i := slices.IndexFunc(r.Jobs, func(j job.Job) bool { return j.State == job.Failed && len(j.Images) > 0 })
	if i < 0 {
		i = slices.IndexFunc(r.Jobs, func(j job.Job) bool { return len(j.Images) > 0 })
	}
	if i >= 0 {
		of := r.Jobs[i]
		recipe.Steps, recipe.TrueCFGScale, recipe.Seed, recipe.Size = of.Recipe.Steps, of.Recipe.TrueCFGScale, of.Recipe.Seed, of.Recipe.Size
		recipe.Preset, recipe.Collage = of.Recipe.Preset, of.Recipe.Collage
		images = nil
		for _, m := range of.Images {
			images = append(images, job.Image{Width: m.Width, Height: m.Height})
		}
	}
	members := []member{{"stand-in/recipe.json", s.json(recipe)}}
	for n, m := range images {
		// A gradient is small as a PNG, and costs the model what a photo of its size costs.
		var picture bytes.Buffer
		if png.Encode(&picture, gradient(m.Width, m.Height)) == nil {
			members = append(members, member{fmt.Sprintf("stand-in/input-%d.png", n+1), picture.Bytes()})
		}
	}
	if r.Spec.ID != "" {
		if p, err := plan.Make(recipe, images, r.Spec, 0); err == nil {
			p.ModelDir = ""
			for l := range p.LoRAs {
				p.LoRAs[l].Path = filepath.Base(p.LoRAs[l].Path)
			}
			members = append(members, member{"stand-in/plan.json", s.json(p)})
		}
	}
	return members
}

func gradient(width, height int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), 128, 255})
		}
	}
	return m
}

func tail(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > logTail {
		if _, err := file.Seek(-logTail, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(file, logTail))
	if err == nil && len(data) == logTail { // it may begin inside a line, and inside a word that would be known
		_, after, _ := bytes.Cut(data, []byte("\n"))
		data = after
	}
	return data, err
}

// Save writes the report to path, under another name until it is whole.
func (r Report) Save(path string) ([]string, error) {
	part, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	names, err := r.Write(part)
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		_ = os.Remove(part.Name())
	}
	return names, err
}

func (r Report) scrubber() scrubber {
	home, _ := os.UserHomeDir()
	machine, _ := os.Hostname()
	s := newScrubber()
	for _, j := range r.Jobs {
		s.add(j.Recipe.Prompt, j.Recipe.NegativePrompt, string(j.ID))
		for _, i := range j.Images {
			s.add(i.Name, strings.TrimSuffix(i.Name, filepath.Ext(i.Name)), i.SHA256)
		}
	}
	s.add(r.Secrets...)
	s.add(r.Home, home, r.Facts.Data.Path, r.Facts.Cache.Path, r.Facts.Jobs.Path, r.Facts.Env.Dir, r.Facts.Source.Dir, r.Facts.Python.Path, r.Spec.Dir)
	s.word(userName(os.Getuid()), filepath.Base(home), machine, strings.TrimSuffix(machine, ".local"), host.Gecos())
	return s
}

// json is a value as the report has it.
func (s scrubber) json(v any) []byte {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []byte(err.Error())
	}
	return append([]byte(s.clean(string(data))), '\n')
}
