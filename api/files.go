package api

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"qie/supervisor/job"
)

func jobID(c *gin.Context) (job.ID, error) {
	id := job.ID(c.Param("id"))
	if !id.Valid() {
		return "", errNoJob
	}
	return id, nil
}

// serve sends a picture that qie wrote itself. The policy keeps a browser from running anything found in it.
func (s *server) serve(c *gin.Context, f *os.File, etag, name string) {
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		s.fail(c, err)
		return
	}
	first := make([]byte, 512)
	n, _ := f.ReadAt(first, 0)
	kind := http.DetectContentType(first[:n])
	if !strings.HasPrefix(kind, "image/") {
		kind = "application/octet-stream"
	}
	if etag == "" {
		etag = fmt.Sprintf("%x-%x", stat.ModTime().UnixNano(), stat.Size())
	}
	place := "inline"
	if c.Query("download") != "" {
		place = "attachment"
	}
	h := c.Writer.Header()
	h.Set("ETag", `"`+etag+`"`)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", place+`; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	http.ServeContent(&rangeWriter{ResponseWriter: c.Writer}, c.Request, "", stat.ModTime(), f)
}

// rangeWriter puts a problem in the place of the text that net/http answers to a range it cannot serve.
type rangeWriter struct {
	http.ResponseWriter
	refused bool
}

// WriteHeader takes the status before anything is sent.
func (w *rangeWriter) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	w.Header().Del("ETag")
	writeProblem(w.ResponseWriter, problemOf(job.Errorf(job.CodeRangeUnsatisfied, "the picture does not have this range of bytes")))
}

func (w *rangeWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

func (s *server) result(c *gin.Context) {
	id, err := jobID(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	j, err := s.sup.Job(c.Request.Context(), id)
	if err == nil && j.Result == nil {
		err = job.Errorf(job.CodeConflict, "the job is %s and has no result", j.State)
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	f, err := s.sup.OpenResult(c.Request.Context(), id)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.serve(c, f, j.Result.SHA256, "qie-"+string(id[:8])+".png")
}

func (s *server) preview(c *gin.Context) {
	id, err := jobID(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	f, err := s.sup.OpenPreview(c.Request.Context(), id)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.serve(c, f, "", "preview.png")
}

func (s *server) mask(c *gin.Context) {
	id, err := jobID(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	f, err := s.sup.OpenMask(c.Request.Context(), id)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.serve(c, f, "", "mask.png")
}

func (s *server) thumb(c *gin.Context) {
	id, err := jobID(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	f, name, err := s.sup.OpenThumb(c.Request.Context(), id, c.Query("of") == "source")
	if err != nil {
		s.fail(c, err)
		return
	}
	s.serve(c, f, "", name)
}

func (s *server) image(c *gin.Context) {
	id, err := jobID(c)
	n, numErr := strconv.Atoi(c.Param("n"))
	if err == nil && numErr != nil {
		err = job.Errorf(job.CodeNotFound, "there is no such image")
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	f, err := s.sup.OpenImage(c.Request.Context(), id, n)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.serve(c, f, "", fmt.Sprintf("source-%d.png", n))
}
