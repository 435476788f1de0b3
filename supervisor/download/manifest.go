package download

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"qie/supervisor/catalog"
	"qie/supervisor/job"
)

// Manifest is which bytes a pull fetches. It is asked of the hub once, checked against the catalogue, and kept: the next
// pull of the same thing fetches the same bytes, whatever the hub says then.
type Manifest struct {
	Repository string         `json:"repository"`
	Commit     string         `json:"commit"`
	Files      []catalog.File `json:"files"`
}

// Bytes is the size of all files. Two names of the same bytes count once.
func (m Manifest) Bytes() int64 {
	var sum int64
	seen := map[string]bool{}
	for _, f := range m.Files {
		if !seen[f.Blob()] {
			sum += f.Size
		}
		seen[f.Blob()] = true
	}
	return sum
}

const (
	filesMax    = 2000
	fileMax     = 200 << 30
	nameMax     = 200
	depthMax    = 4
	plainJSON   = ".json"
	weights     = ".safetensors"
	weightsGGUF = ".gguf"
)

var (
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
	hashForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	partForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	repoForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	kinds      = []string{plainJSON, weights, weightsGGUF, ".txt", ".jinja"}
)

// plainPath tells whether a name from the network may become a path: nothing that leads elsewhere, nothing that a file
// system reads in another way, and only the kinds of files that a model is made of.
func plainPath(name string) bool {
	parts := strings.Split(name, "/")
	if len(name) > nameMax || len(parts) > depthMax || !slices.Contains(kinds, path.Ext(name)) {
		return false
	}
	return !slices.ContainsFunc(parts, func(p string) bool {
		return !partForm.MatchString(p) || strings.Contains(p, "..") || strings.HasSuffix(p, ".")
	})
}

func wanted(e catalog.Entry, name string) bool {
	return slices.ContainsFunc(e.Wants, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// entry of the hub's listing.
type listed struct {
	Type string `json:"type"`
	Path string `json:"path"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// choose makes files of a listing: those that are wanted, under names that are harmless. A name that is neither is left
// where it is. What is wanted and cannot be right refuses the whole listing.
func choose(e catalog.Entry, all []listed) ([]catalog.File, error) {
	files, seen := []catalog.File{}, map[string]string{}
	for _, l := range all {
		if l.Type != "file" || !wanted(e, l.Path) || !plainPath(l.Path) {
			continue
		}
		f := catalog.File{Path: l.Path, Size: l.Size, GitOID: l.OID}
		if l.LFS != nil {
			f.Size, f.SHA256, f.GitOID = l.LFS.Size, l.LFS.OID, ""
		}
		weight := path.Ext(f.Path) == weights || path.Ext(f.Path) == weightsGGUF
		// One file system folds case, another does not: two names that differ in nothing else are one too many. And no
		// name may be a file here and a folder there.
		for p := strings.ToLower(f.Path); p != "."; p = path.Dir(p) {
			role := "folder"
			if p == strings.ToLower(f.Path) {
				role = "file " + f.Path
			}
			if was, ok := seen[p]; ok && (was != "folder" || role != "folder") {
				return nil, refused("the hub lists %q in two ways", f.Path)
			}
			seen[p] = role
		}
		switch {
		case f.Size < 0 || f.Size > fileMax:
			return nil, refused("the hub says that %s has %d bytes", f.Path, f.Size)
		case f.SHA256 != "" && !hashForm.MatchString(f.SHA256), f.SHA256 == "" && !commitForm.MatchString(f.GitOID):
			return nil, refused("the hub gives no hash for %s", f.Path)
		case weight && f.SHA256 == "":
			return nil, refused("the hub gives no sha256 for the weights in %s", f.Path)
		}
		files = append(files, f)
	}
	if len(files) > filesMax {
		return nil, refused("the hub lists %d files, the limit is %d", len(files), filesMax)
	}
	slices.SortFunc(files, func(a, b catalog.File) int { return strings.Compare(a.Path, b.Path) })
	return files, checkKnown(e, files)
}

// checkKnown holds a listing against what the catalogue knows of it.
func checkKnown(e catalog.Entry, files []catalog.File) error {
	for _, known := range e.Files {
		i := slices.IndexFunc(files, func(f catalog.File) bool { return f.Path == known.Path })
		if i < 0 {
			return refused("the hub does not list %s", known.Path)
		}
		if files[i].SHA256 != known.SHA256 || files[i].Size != known.Size {
			return refused("the hub has another %s than the one that qie knows (%d bytes, sha256 %.12s…)", known.Path,
				known.Size, known.SHA256)
		}
	}
	if len(files) == 0 {
		return refused("the hub lists none of the files of %s", e.Name)
	}
	if e.Kind == catalog.Full && e.Known() && !slices.ContainsFunc(files, func(f catalog.File) bool { return f.Path == "model_index.json" }) {
		return refused("the hub lists no model_index.json for %s", e.Name)
	}
	return nil
}

// resolve gives what a pull of the entry fetches: what is pinned, else what the hub lists, which is pinned then.
func (d *Downloader) resolve(ctx context.Context, e catalog.Entry, waiting func(why string)) (Manifest, error) {
	if m, ok, err := d.Pinned(e); ok || err != nil {
		return m, err
	}
	if !repoForm.MatchString(e.Repository) {
		return Manifest{}, fmt.Errorf("repository %q", e.Repository)
	}
	m := Manifest{Repository: e.Repository, Commit: e.Revision}
	if !commitForm.MatchString(m.Commit) {
		err := d.list(ctx, "/api/models/"+e.Repository+"/revision/"+url.PathEscape(e.Revision), waiting, func(body []byte) error {
			var info struct {
				SHA string `json:"sha"`
			}
			if err := json.Unmarshal(body, &info); err != nil || !commitForm.MatchString(info.SHA) {
				return refused("the hub names no commit of %s", e.Repository)
			}
			m.Commit = info.SHA
			return nil
		})
		if err != nil {
			return Manifest{}, err
		}
	}
	var all []listed
	err := d.list(ctx, "/api/models/"+e.Repository+"/tree/"+m.Commit+"?recursive=true", waiting, func(body []byte) error {
		var page []listed
		if err := json.Unmarshal(body, &page); err != nil {
			return refused("the hub's list of files cannot be read")
		}
		all = append(all, page...)
		return nil
	})
	if err != nil {
		return Manifest{}, err
	}
	if m.Files, err = choose(e, all); err != nil {
		return Manifest{}, err
	}
	return m, d.pin(e, m)
}

func (d *Downloader) pinFile(e catalog.Entry) string { return filepath.Join(d.o.Pins, e.ID+".json") }

// Pinned gives what an earlier pull of the entry was told. A pin that the catalogue contradicts is an error: somebody
// changed it.
func (d *Downloader) Pinned(e catalog.Entry) (Manifest, bool, error) {
	data, err := os.ReadFile(d.pinFile(e))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, false, nil
	}
	if err != nil {
		return Manifest{}, false, diskError(err)
	}
	var m Manifest
	if json.Unmarshal(data, &m) != nil || m.Repository != e.Repository || !commitForm.MatchString(m.Commit) ||
		commitForm.MatchString(e.Revision) && e.Revision != m.Commit {
		return Manifest{}, false, nil //nolint:nilerr // of another version of qie, or torn: asked anew
	}
	all := make([]listed, 0, len(m.Files))
	for _, f := range m.Files {
		l := listed{Type: "file", Path: f.Path, OID: f.GitOID, Size: f.Size}
		if f.SHA256 != "" {
			l.LFS = &struct {
				OID  string `json:"oid"`
				Size int64  `json:"size"`
			}{f.SHA256, f.Size}
		}
		all = append(all, l)
	}
	files, err := choose(e, all)
	if err != nil || len(files) != len(m.Files) {
		return Manifest{}, false, job.Errorf(job.CodeWeightsCorrupt, "what is pinned of %s does not fit it any more", e.Name).
			WithHint("remove " + d.pinFile(e) + " to ask the hub again")
	}
	m.Files = files
	return m, true, nil
}

func (d *Downloader) pin(e catalog.Entry, m Manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the pin: %w", err)
	}
	return writeFile(d.pinFile(e), append(data, '\n'))
}
