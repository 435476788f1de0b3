package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
)

// origProgress is what the old page draws.
type origProgress struct {
	Stage     string  `json:"stage"`
	Message   string  `json:"message"`
	Progress  float64 `json:"progress"`
	UpdatedAt string  `json:"updated_at"`
}

// origFrame is the old WebSocket's frame, and with the id in front the old status.
type origFrame struct {
	Status   string        `json:"status"`
	Progress *origProgress `json:"progress"`
	Error    *string       `json:"error"`
}

// origView says a job in the original's words.
func origView(j job.Job) origFrame {
	p := &origProgress{Stage: "loading_images", Message: "Waiting for its turn", Progress: j.Percent,
		UpdatedAt: j.CreatedAt.UTC().Format(time.RFC3339)}
	switch j.State {
	case job.Succeeded:
		p.Stage, p.Message, p.Progress = "complete", "Edit complete", 100
		return origFrame{Status: "complete", Progress: p}
	case job.Canceled:
		text := "The job was canceled"
		return origFrame{Status: "error", Error: &text}
	case job.Failed:
		text := "The edit failed"
		if j.Error != nil {
			text = j.Error.Message
		}
		return origFrame{Status: "error", Error: &text}
	}
	switch j.Phase {
	case job.Loading:
		p.Stage, p.Message = "loading_model", "Loading the model"
	case job.Encode:
		p.Stage, p.Message = "loading_images", "Reading the images"
	case job.Denoise:
		p.Stage, p.Message = "editing", fmt.Sprintf("Step %d of %d", j.Step, j.Steps)
	case job.Decode, job.Save:
		p.Stage, p.Message = "saving", "Saving the result"
	}
	return origFrame{Status: "processing", Progress: p}
}

func (s *server) origHealth(c *gin.Context) {
	models, cfg := gin.H{}, s.Settings.Config()
	for _, m := range s.sup.Models() {
		models[m.ID] = gin.H{"name": m.Name, "type": "local", "workflow": "edit", "cost": "free", "description": m.Notice,
			"inputs": m.MaxImages, "outputs": 1}
	}
	c.JSON(http.StatusOK, gin.H{"status": "online", "message": "qie " + s.Version, "device": s.sup.System().Worker.Device,
		"input_folder": cfg.InputFolder, "output_folder": cfg.OutputFolder, "models": models})
}

type origConfig struct {
	Prompt         *string  `json:"prompt"`
	NegativePrompt string   `json:"negative_prompt"`
	CFG            *float64 `json:"true_cfg_scale"`
	Steps          *int     `json:"num_inference_steps"`
	Seed           *int64   `json:"seed"`
	ModelType      string   `json:"model_type"`
}

func (s *server) origRecipe(text []byte) (job.Recipe, []string, int, error) {
	var all map[string]json.RawMessage
	var in origConfig
	if err := json.Unmarshal(text, &all); err != nil {
		return job.Recipe{}, nil, 400, fmt.Errorf("Invalid config JSON: %w", err) //nolint:staticcheck // the original's words
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return job.Recipe{}, nil, 422, fmt.Errorf("config: %w", err)
	}
	known := map[string]bool{}
	for f := range reflect.TypeFor[origConfig]().Fields() {
		known[f.Tag.Get("json")] = true
	}
	var ignored []string
	for name := range all {
		if !known[name] {
			ignored = append(ignored, name)
		}
	}
	slices.Sort(ignored)
	r := job.Recipe{NegativePrompt: in.NegativePrompt}
	if in.Prompt != nil {
		r.Prompt = *in.Prompt
	}
	switch {
	case in.ModelType != "" && !strings.HasPrefix(in.ModelType, "qwen") || strings.Contains(in.ModelType, "cloud"):
		return r, nil, 400, fmt.Errorf("model_type %q runs on other people's machines; qie runs on this one only", in.ModelType)
	case in.CFG != nil && !(*in.CFG >= 1 && *in.CFG <= 20):
		return r, nil, 422, fmt.Errorf("true_cfg_scale is %g, it must be 1 to 20", *in.CFG)
	case in.Steps != nil && (*in.Steps < 10 || *in.Steps > 100):
		return r, nil, 422, fmt.Errorf("num_inference_steps is %d, it must be 10 to 100", *in.Steps)
	}
	if in.CFG != nil {
		r.TrueCFGScale = *in.CFG
	}
	if in.Steps != nil {
		r.Steps = *in.Steps
	}
	if in.Seed != nil && *in.Seed >= 0 { // -1 was "random" there
		r.Seed = in.Seed
	}
	if err := r.Validate(); err != nil {
		return r, nil, 422, err
	}
	return r, ignored, 0, nil
}

// origFail keeps the original's statuses: a picture that cannot be read was 400 there.
func (s *server) origFail(c *gin.Context, err error) {
	p := problemOf(err)
	switch p.Code {
	case job.CodeImageUnsupported, job.CodeImageBroken, job.CodeImageMissing, job.CodeUnknownField, job.CodeTooManyImages:
		p.Status = 400
	}
	detail(c, p.Status, p.Detail)
}

func (s *server) origEdit(c *gin.Context) {
	f, err := s.readForm(c.Request, "config", func(name string) bool { return name == "image1" || name == "image2" }, 2)
	if err != nil {
		s.origFail(c, err)
		return
	}
	if !f.hasText || len(f.uploads) == 0 {
		f.discard()
		detail(c, 400, "image1 and config are needed")
		return
	}
	recipe, ignored, status, err := s.origRecipe(f.text)
	if err != nil {
		f.discard()
		text := err.Error()
		if status == 422 && job.AsError(err).Code != job.CodeInternal {
			text = job.AsError(err).Message
		}
		detail(c, status, text)
		return
	}
	recipe.Collage = len(f.uploads) == 2 && s.sup.Model().MaxImages < 2
	j, err := s.sup.Submit(c.Request.Context(), supervisor.Submission{Recipe: recipe, Uploads: f.uploads})
	if err != nil {
		s.origFail(c, err)
		return
	}
	if len(ignored) > 0 {
		c.Header("X-QIE-Ignored", printable(strings.Join(ignored, ", ")))
	}
	c.JSON(http.StatusOK, gin.H{"job_id": j.ID, "status": "processing", "message": "Job started"})
}

// printable keeps a client's own words from breaking a header.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text[:min(len(text), 500)])
}

func (s *server) origJob(c *gin.Context) (job.Job, bool) {
	id, err := jobID(c)
	if err != nil {
		detail(c, 404, "Job not found")
		return job.Job{}, false
	}
	j, err := s.sup.Job(c.Request.Context(), id)
	if err != nil && job.AsError(err).Code == job.CodeNotFound { // a page of the earlier program still knows its own id
		j, err = s.sup.Job(c.Request.Context(), supervisor.ImportedID(id))
	}
	if err != nil {
		if job.AsError(err).Code == job.CodeNotFound {
			detail(c, 404, "Job not found")
		} else {
			s.fail(c, err)
		}
		return job.Job{}, false
	}
	return j, true
}

func (s *server) origStatus(c *gin.Context) {
	if j, ok := s.origJob(c); ok {
		v := origView(j)
		c.JSON(200, gin.H{"job_id": j.ID, "status": v.Status, "progress": v.Progress, "error": v.Error})
	}
}

func (s *server) origImages(c *gin.Context) {
	j, ok := s.origJob(c)
	if !ok {
		return
	}
	if j.Result == nil {
		detail(c, 400, "Job not complete")
		return
	}
	c.JSON(200, gin.H{"job_id": j.ID, "images_count": 1, "images": []gin.H{{"index": 0, "filename": "result.png",
		"width": j.Result.Width, "height": j.Result.Height, "size_bytes": j.Result.Bytes,
		"download_url": "/api/jobs/" + string(j.ID) + "/images/0"}}})
}

func (s *server) origImage(c *gin.Context) {
	j, ok := s.origJob(c)
	if !ok {
		return
	}
	if j.Result == nil {
		detail(c, 400, "Job not complete")
		return
	}
	if n := c.Param("n"); n != "" && n != "0" {
		detail(c, 404, "Image index out of range")
		return
	}
	f, err := s.sup.OpenResult(c.Request.Context(), j.ID)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.serve(c, f, j.Result.SHA256, "edited_"+string(j.ID)+".png")
}

// origDelete cancels a running job; such a job is removed by its own end or a second DELETE, a waiting or ended one now.
func (s *server) origDelete(c *gin.Context) {
	j, ok := s.origJob(c)
	if !ok {
		return
	}
	ctx := c.Request.Context()
	sub := s.sup.Subscribe("", -1)
	defer sub.Close()
	if !j.State.Terminal() {
		if _, err := s.sup.Cancel(ctx, j.ID); err != nil {
			s.fail(c, err)
			return
		}
	}
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		now, err := s.sup.Job(ctx, j.ID)
		if err != nil || now.State.Terminal() {
			break
		}
		select {
		case <-sub.C():
			if _, err := sub.Next(); err != nil {
				detail(c, 503, "qie stops")
				return
			}
			continue
		case <-ctx.Done():
			return
		case <-limit.C:
		}
		break
	}
	if err := s.sup.Remove(ctx, j.ID); err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(200, gin.H{"message": "Job " + string(j.ID) + " deleted"})
}

func (s *server) origCleanup(c *gin.Context) {
	hours, err := strconv.ParseFloat(c.DefaultQuery("hours", "1"), 64)
	if err != nil || !(hours >= 0 && hours <= 1e6) {
		detail(c, 422, "hours must be a number from 0 to 1000000")
		return
	}
	report, err := s.sup.Cleanup(c.Request.Context(), supervisor.CleanupQuery{Hours: hours, All: hours == 0})
	if err != nil {
		s.fail(c, err)
		return
	}
	deleted := []job.ID{}
	for _, j := range report.Jobs {
		deleted = append(deleted, j.ID)
	}
	c.JSON(200, gin.H{"message": fmt.Sprintf("Cleaned up %d jobs", len(deleted)), "deleted": deleted})
}

// origLive sends the state at once and again whenever what the old page draws has changed.
func (s *server) origLive(c *gin.Context) {
	j, ok := s.origJob(c)
	if !ok {
		return
	}
	ctx := c.Request.Context()
	sub := s.sup.Subscribe("", -1)
	defer sub.Close()
	var last []byte
	s.stream(c, sub, func(event.Event) (any, bool) {
		now, err := s.sup.Job(ctx, j.ID)
		if err != nil {
			return nil, false
		}
		v := origView(now)
		data, err := json.Marshal(v)
		if err != nil || bytes.Equal(data, last) {
			return nil, false
		}
		last = data
		return v, true
	})
}
