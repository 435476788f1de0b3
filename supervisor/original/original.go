// Package original reads the data folder of the program that came before qie. It changes nothing there.
//
// That program kept each job in a folder named by its id: metadata.json with status (processing, complete, error),
// config, error, created_at in seconds and output_images, beside input_1.jpg, input_2.jpg and the outputs.
package original

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"qie/supervisor/job"
)

const (
	metadataFile = "metadata.json"
	metadataMax  = 1 << 20
	inputsMax    = 3
)

// Job is one job of that program, as far as it can be understood.
type Job struct {
	ID      job.ID // its own
	Status  string // processing, complete or error
	Recipe  job.Recipe
	Error   string
	Created time.Time
	Changed time.Time // of its last word
	Inputs  []string  // file names in its folder, in their order
	Output  string    // file name of the first picture; empty without one
}

// Folder is a folder of such jobs.
type Folder struct{ root *os.Root }

// Open opens the folder for reading.
func Open(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{root}, nil
}

// Close lets it go.
func (f *Folder) Close() error { return f.root.Close() }

// IDs lists the jobs, oldest folder first. Folders without a metadata.json, which are qie's own, are none.
func (f *Folder) IDs() ([]job.ID, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var ids []job.ID
	at := map[job.ID]time.Time{}
	for _, e := range entries {
		id := job.ID(e.Name())
		if !e.IsDir() || !id.Valid() {
			continue
		}
		info, err := f.root.Lstat(e.Name() + "/" + metadataFile)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		ids, at[id] = append(ids, id), info.ModTime()
	}
	slices.SortFunc(ids, func(a, b job.ID) int { return at[a].Compare(at[b]) })
	return ids, nil
}

// Size sums the files of the jobs.
func (f *Folder) Size(ids []job.ID) (bytes int64) {
	for _, id := range ids {
		_ = fs.WalkDir(f.root.FS(), string(id), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if info, err := d.Info(); err == nil {
					bytes += info.Size()
				}
			}
			return nil
		})
	}
	return bytes
}

// metadata is the file as that program wrote it.
type metadata struct {
	Status       string   `json:"status"`
	Error        *string  `json:"error"`
	CreatedAt    float64  `json:"created_at"`
	OutputImages []string `json:"output_images"`
	Progress     *struct {
		UpdatedAt float64 `json:"updated_at"`
	} `json:"progress"`
	Config struct {
		Prompt         string   `json:"prompt"`
		NegativePrompt string   `json:"negative_prompt"`
		CFG            *float64 `json:"true_cfg_scale"`
		Steps          *int     `json:"num_inference_steps"`
		Seed           *int64   `json:"seed"`
	} `json:"config"`
}

// Read understands one job. What is cut off, no JSON or without a photo is an error.
func (f *Folder) Read(id job.ID) (Job, error) {
	file, err := f.OpenFile(id, metadataFile)
	if err != nil {
		return Job{}, err
	}
	data, err := io.ReadAll(io.LimitReader(file, metadataMax))
	_ = file.Close()
	if err != nil {
		return Job{}, err
	}
	var m metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return Job{}, fmt.Errorf("%s: %w", metadataFile, err)
	}
	j := Job{ID: id, Status: m.Status, Created: moment(m.CreatedAt), Recipe: m.recipe()}
	if j.Changed = j.Created; m.Progress != nil && m.Progress.UpdatedAt > m.CreatedAt {
		j.Changed = moment(m.Progress.UpdatedAt)
	}
	if m.Error != nil {
		j.Error = *m.Error
	}
	switch {
	case !slices.Contains([]string{"processing", "complete", "error"}, m.Status):
		return j, fmt.Errorf("status %q is not known", m.Status)
	case strings.TrimSpace(j.Recipe.Prompt) == "":
		return j, errors.New("it has no prompt")
	case m.CreatedAt <= 0:
		return j, errors.New("it has no time")
	}
	for n := 1; n <= inputsMax; n++ {
		if name := fmt.Sprintf("input_%d.jpg", n); f.has(id, name) {
			j.Inputs = append(j.Inputs, name)
		}
	}
	if len(j.Inputs) == 0 {
		return j, errors.New("it has no photo")
	}
	for _, name := range append(m.OutputImages, "output.jpg", "output.png") {
		if f.has(id, name) {
			j.Output = name
			break
		}
	}
	if j.Status == "complete" && j.Output == "" {
		return j, errors.New("its result is gone")
	}
	return j, nil
}

// recipe takes what qie would accept; what lies outside of its limits becomes the model's default.
func (m metadata) recipe() job.Recipe {
	r := job.Recipe{Prompt: m.Config.Prompt}
	try := func(change func(*job.Recipe)) {
		with := r
		if change(&with); with.Validate() == nil {
			r = with
		}
	}
	try(func(r *job.Recipe) { r.NegativePrompt = strings.TrimSpace(m.Config.NegativePrompt) })
	if m.Config.CFG != nil {
		try(func(r *job.Recipe) { r.TrueCFGScale = *m.Config.CFG })
	}
	if m.Config.Steps != nil {
		try(func(r *job.Recipe) { r.Steps = *m.Config.Steps })
	}
	if m.Config.Seed != nil {
		try(func(r *job.Recipe) { r.Seed = m.Config.Seed })
	}
	return r
}

func moment(seconds float64) time.Time {
	whole, rest := math.Modf(seconds)
	return time.Unix(int64(whole), int64(rest*1e9)).UTC().Truncate(time.Millisecond)
}

func (f *Folder) has(id job.ID, name string) bool {
	if filepath.Base(name) != name || !filepath.IsLocal(name) {
		return false
	}
	info, err := f.root.Lstat(string(id) + "/" + name)
	return err == nil && info.Mode().IsRegular()
}

// OpenFile opens a regular file of a job for reading; links and pipes are none.
func (f *Folder) OpenFile(id job.ID, name string) (*os.File, error) {
	if !f.has(id, name) {
		return nil, fs.ErrNotExist
	}
	return f.root.Open(string(id) + "/" + name)
}
