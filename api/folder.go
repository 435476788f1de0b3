package api

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"qie/supervisor/picture"
)

// folderImages bounds one listing: each entry costs one header to read.
const folderImages = 2000

type folderEntry struct {
	Filename string  `json:"filename"`
	Bytes    int64   `json:"size_bytes"`
	Width    int     `json:"width"`
	Height   int     `json:"height"`
	Modified float64 `json:"modified"`
}

// folder opens INPUT_FOLDER as a root, out of which no name and no link leads.
func (s *server) folder(c *gin.Context) (*os.Root, bool) {
	if s.InputFolder == "" {
		detail(c, 404, "INPUT_FOLDER is not set")
		return nil, false
	}
	root, err := os.OpenRoot(s.InputFolder)
	if err != nil {
		detail(c, 404, "The input folder does not exist")
		return nil, false
	}
	return root, true
}

func (s *server) folderList(c *gin.Context) {
	root, ok := s.folder(c)
	if !ok {
		return
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		s.fail(c, err)
		return
	}
	images := []folderEntry{}
	for _, e := range entries {
		if !e.Type().IsRegular() || len(images) == folderImages {
			continue
		}
		if entry, ok := describe(root, e.Name()); ok {
			images = append(images, entry)
		}
	}
	slices.SortFunc(images, func(a, b folderEntry) int { return int(time.Duration(b.Modified) - time.Duration(a.Modified)) })
	c.JSON(200, gin.H{"folder": s.InputFolder, "images": images, "count": len(images)})
}

func describe(root *os.Root, name string) (folderEntry, bool) {
	f, err := root.Open(name)
	if err != nil {
		return folderEntry{}, false
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil || !stat.Mode().IsRegular() {
		return folderEntry{}, false
	}
	_, w, h, err := picture.Sniff(f)
	if err != nil {
		return folderEntry{}, false
	}
	return folderEntry{name, stat.Size(), w, h, float64(stat.ModTime().UnixMilli()) / 1000}, true
}

func (s *server) folderImage(c *gin.Context) {
	root, ok := s.folder(c)
	if !ok {
		return
	}
	defer func() { _ = root.Close() }()
	name := c.Param("name")
	if name == ".." || strings.ContainsAny(name, `/\`+"\x00") || !filepath.IsLocal(name) {
		detail(c, 403, "Access denied")
		return
	}
	if stat, err := root.Lstat(name); err != nil || !stat.Mode().IsRegular() { // opening a pipe would hang
		detail(c, 404, "Image not found")
		return
	}
	f, err := root.Open(name)
	if err != nil {
		detail(c, 404, "Image not found")
		return
	}
	if _, _, _, err := picture.Sniff(f); err != nil {
		_ = f.Close()
		detail(c, 400, "Not a supported image format")
		return
	}
	s.serve(c, f, "", "image")
}

// folderLoad only answers that the files exist, as the original did; its page then fetches them one by one.
func (s *server) folderLoad(c *gin.Context) {
	root, ok := s.folder(c)
	if !ok {
		return
	}
	defer func() { _ = root.Close() }()
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
			if _, ok := describe(root, name); !ok || !filepath.IsLocal(name) {
				detail(c, 404, "Image not found: "+name)
				return
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	c.JSON(200, gin.H{"status": "success", "images_loaded": len(names), "filenames": names, "message": "Images are ready"})
}
