package catalog

import (
	"path"
	"regexp"
	"slices"
	"testing"
)

var (
	idForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	repoForm   = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)
	commitForm = regexp.MustCompile(`^([0-9a-f]{40}|main)$`)
	sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func TestEntries_AreWellFormed(t *testing.T) {
	seen, hashes := map[string]bool{}, map[string]string{}
	for _, e := range All() {
		switch {
		case !idForm.MatchString(e.ID) || seen[e.ID]:
			t.Errorf("id %q is no plain name, or is there twice", e.ID)
		case !repoForm.MatchString(e.Repository) || !commitForm.MatchString(e.Revision):
			t.Errorf("%s: repository %q at %q", e.ID, e.Repository, e.Revision)
		case e.Licence == "" || e.Bytes <= 0 || e.Name == "" || len(e.Wants) == 0:
			t.Errorf("%s misses licence, size, name or files: %+v", e.ID, e)
		case e.Kind == Full && (e.Class == "" || e.Steps == 0):
			t.Errorf("%s misses what a full model has", e.ID)
		case e.Kind == LoRA && e.Turbo == 0:
			t.Errorf("%s does not say for how many steps it is", e.ID)
		}
		seen[e.ID] = true
		if base, ok := Find(e.Base); e.Kind != Full && (!ok || base.Kind != Full) {
			t.Errorf("%s belongs to %q, which is no full model", e.ID, e.Base)
		}
		var sum int64
		for _, f := range e.Files {
			sum += f.Size
			if !sha256Form.MatchString(f.SHA256) || f.Size <= 0 {
				t.Errorf("%s: %s has size %d and hash %q", e.ID, f.Path, f.Size, f.SHA256)
			}
			if !slices.ContainsFunc(e.Wants, func(p string) bool { ok, err := path.Match(p, f.Path); return ok && err == nil }) {
				t.Errorf("%s: %s is not among the wanted files", e.ID, f.Path)
			}
			// The same hash is the same file; two files of one name with two hashes are two models.
			if of, ok := hashes[f.SHA256]; ok && of != f.Path {
				t.Errorf("%s and %s have one hash", of, f.Path)
			}
			hashes[f.SHA256] = f.Path
		}
		if sum > e.Bytes || e.Kind == Full && sum != 0 && e.Bytes-sum > 20_000_000 {
			t.Errorf("%s is said to have %d bytes, its known files %d", e.ID, e.Bytes, sum)
		}
	}
}

func TestFind(t *testing.T) {
	for _, name := range []string{DefaultID, "Qwen/Qwen-Image-Edit-2511", "qwen/qwen-image-edit-2511"} {
		if e, ok := Find(name); !ok || e.ID != DefaultID {
			t.Errorf("%q is %q, %v", name, e.ID, ok)
		}
	}
	if e, ok := Find("lightx2v/Qwen-Image-Lightning"); ok {
		t.Errorf("a repository of several LoRAs is %s", e.ID)
	}
	if got := Models()[0].ID; got != DefaultID {
		t.Errorf("the preferred model is %s", got)
	}
	for _, m := range Models()[:3] {
		if got := len(LoRAs(m.ID)); got != 2 {
			t.Errorf("%s has %d Lightning LoRAs, want 2", m.ID, got)
		}
	}
}
