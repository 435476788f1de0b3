package api

import (
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"qie/supervisor/folder"
	"qie/supervisor/job"
)

// The input folder, as the original program's page uses it. What may be read is the folder package's to say.

type folderEntry struct {
	Filename string  `json:"filename"`
	Bytes    int64   `json:"size_bytes"`
	Width    int     `json:"width"`
	Height   int     `json:"height"`
	Modified float64 `json:"modified"`
}

func (s *server) folderPictures(c *gin.Context) ([]folder.Picture, bool) {
	if s.Input == nil {
		detail(c, 404, "INPUT_FOLDER is not set")
		return nil, false
	}
	list, err := s.Input.List()
	if err != nil {
		detail(c, 404, job.AsError(err).Message)
		return nil, false
	}
	return list, true
}

func (s *server) folderList(c *gin.Context) {
	list, ok := s.folderPictures(c)
	if !ok {
		return
	}
	images := make([]folderEntry, 0, len(list))
	for _, p := range list {
		images = append(images, folderEntry{p.Name, p.Bytes, p.Width, p.Height, float64(p.Modified.UnixMilli()) / 1000})
	}
	c.JSON(200, gin.H{"folder": s.Input.Dir(), "images": images, "count": len(images)})
}

func (s *server) folderImage(c *gin.Context) {
	if _, ok := s.folderPictures(c); !ok {
		return
	}
	name := c.Param("name")
	if name == ".." || strings.ContainsAny(name, `/\`+"\x00") || !filepath.IsLocal(name) {
		detail(c, 403, "Access denied")
		return
	}
	f, err := s.Input.Open(name)
	switch {
	case err == nil:
		s.serve(c, f, "", "image")
	case s.Input.Refuses(name):
		detail(c, 400, "Not a supported image format")
	default:
		detail(c, 404, "Image not found")
	}
}

// folderLoad only answers that the files exist, as the original did; its page then fetches them one by one.
func (s *server) folderLoad(c *gin.Context) {
	if _, ok := s.folderPictures(c); !ok {
		return
	}
	// ParseForm first: in a plain form's place ParseMultipartForm forgets what went wrong.
	err := c.Request.ParseForm()
	if err == nil {
		err = c.Request.ParseMultipartForm(bodyMax)
	}
	if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		p := problemOf(bodyError(err))
		detail(c, p.Status, p.Detail)
		return
	}
	names := []string{}
	for _, values := range c.Request.PostForm {
		for _, name := range values {
			if !s.Input.Has(name) {
				detail(c, 404, "Image not found: "+name)
				return
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	c.JSON(200, gin.H{"status": "success", "images_loaded": len(names), "filenames": names, "message": "Images are ready"})
}
