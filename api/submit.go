package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"qie/supervisor"
	"qie/supervisor/job"
)

const (
	recipeMax = 64 << 10
	idMax     = 64
)

// form is a multipart body as it arrived: uploads are already in the spool.
type form struct {
	uploads []supervisor.Upload
	mask    *supervisor.Upload
	parent  job.ID
	text    []byte
	hasText bool
}

func (f *form) discard() {
	for _, u := range f.uploads {
		u.Discard()
	}
	if f.mask != nil {
		f.mask.Discard()
	}
}

// readForm streams the parts; nothing is held in memory but the text part. After an error nothing stays in the spool.
func (s *server) readForm(r *http.Request, textPart string, isImage func(name string) bool, imagesMax int) (_ *form, err error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return nil, job.Errorf(job.CodeUnsupportedMedia, "the request must be multipart/form-data")
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, job.Errorf(job.CodeInputBad, "the form cannot be read: %w", err)
	}
	f := &form{} // not the named result: every refusal sets that to nil before the deferred call
	defer func() {
		if err != nil {
			f.discard()
		}
	}()
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
		content := sent{part}
		name := part.FormName()
		switch {
		case name == textPart:
			if f.hasText {
				return nil, job.Errorf(job.CodeInputBad, "%s is given twice", textPart)
			}
			f.hasText = true
			if f.text, err = io.ReadAll(io.LimitReader(content, recipeMax+1)); err != nil {
				return nil, err
			}
			if len(f.text) > recipeMax {
				return nil, job.Errorf(job.CodeBodyTooLarge, "%s is larger than %d bytes", textPart, recipeMax)
			}
		case isImage(name):
			if len(f.uploads) == imagesMax {
				return nil, job.Errorf(job.CodeTooManyImages, "at most %d images can be given", imagesMax)
			}
			u, err := s.sup.NewUpload(r.Context(), part.FileName(), content)
			if err != nil {
				return nil, err
			}
			f.uploads = append(f.uploads, u)
		case name == "mask" && textPart == "recipe":
			if f.mask != nil {
				return nil, job.Errorf(job.CodeInputBad, "mask is given twice")
			}
			u, err := s.sup.NewUpload(r.Context(), part.FileName(), content)
			if err != nil {
				return nil, err
			}
			f.mask = &u
		case name == "parent" && textPart == "recipe":
			id, err := io.ReadAll(io.LimitReader(content, idMax+1))
			if err != nil {
				return nil, err
			}
			if f.parent = job.ID(id); !f.parent.Valid() {
				return nil, job.Errorf(job.CodeInputBad, "parent is not the id of a job")
			}
		default:
			return nil, job.Errorf(job.CodeUnknownField, "the form has an unknown part %q", name)
		}
	}
}

// sent is a part of the client's body: what goes wrong in reading it is the client's doing, never this machine's.
type sent struct{ r io.Reader }

func (s sent) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = bodyError(err)
	}
	return n, err
}

func bodyError(err error) error {
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return job.Errorf(job.CodeBodyTooLarge, "the request is larger than %d bytes", tooBig.Limit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return job.Errorf(job.CodeInputBad, "the form ends before it is complete")
	}
	return job.Errorf(job.CodeInputBad, "the form cannot be read: %w", err)
}

func parseRecipe(text []byte) (job.Recipe, error) {
	var recipe job.Recipe
	if !utf8.Valid(text) { // encoding/json would put a replacement character into the prompt
		return recipe, job.Errorf(job.CodeInputBad, "recipe is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&recipe)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return recipe, job.Errorf(job.CodeInputBad, "recipe: %s must be a %s, not a %s", wrong.Field, wrong.Type, wrong.Value)
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field"):
		return recipe, job.Errorf(job.CodeUnknownField, "recipe: %s", strings.TrimPrefix(err.Error(), "json: "))
	case err != nil:
		return recipe, job.Errorf(job.CodeInputBad, "recipe is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return recipe, job.Errorf(job.CodeInputBad, "recipe: something follows the JSON object")
	}
	return recipe, recipe.Validate()
}

func (s *server) submit(c *gin.Context) {
	f, err := s.readForm(c.Request, "recipe", func(name string) bool { return name == "image" }, 3)
	if err != nil {
		s.fail(c, err)
		return
	}
	if !f.hasText {
		f.discard()
		s.fail(c, job.Errorf(job.CodeInputBad, "the form has no part recipe"))
		return
	}
	recipe, err := parseRecipe(f.text)
	if err == nil && len(f.uploads) == 0 {
		err = job.Errorf(job.CodeImageMissing, "the form has no part image: add the photo")
	}
	if err != nil {
		f.discard()
		s.fail(c, err)
		return
	}
	j, err := s.sup.Submit(c.Request.Context(), supervisor.Submission{Recipe: recipe, Uploads: f.uploads, Mask: f.mask, Parent: f.parent})
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Location", "/api/v1/jobs/"+string(j.ID))
	c.JSON(http.StatusAccepted, j)
}
