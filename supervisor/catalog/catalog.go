// Package catalog owns which models qie can fetch: where they are published, at which commit, under which licence, and
// the sizes and hashes of their files as far as they are known. It is data: no file, no network, no clock.
package catalog

import (
	"slices"
	"strings"
)

// Kind tells what an entry is.
type Kind string

// The kinds. Only a full model can be served by itself.
const (
	Full Kind = "model"
	LoRA Kind = "lora"
	// GGUF is a quantized transformer alone. qie fetches and verifies it; this version runs none.
	GGUF Kind = "gguf"
)

// Main is the branch that is asked for a commit where none is known.
const Main = "main"

// File is one file of an entry, by its path in the repository. Exactly one hash is set where one is known: weights have
// the sha256 of the hub's large files, small files git's own object id.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size" doc:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
	GitOID string `json:"git_oid,omitempty" doc:"sha1 of git's blob object"`
}

// Blob is the name of the file's bytes in a Hugging Face cache.
func (f File) Blob() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return f.GitOID
}

// Entry is one thing that can be fetched.
type Entry struct {
	ID         string
	Name       string
	Kind       Kind
	Repository string // org/name on the hub
	// Revision is the pinned commit, or Main: then the commit is the one that the hub names at the first pull, and it is
	// pinned in the data folder from then on.
	Revision string
	Licence  string
	// Bytes is what there is to fetch, about: exact where every weight is known.
	Bytes int64
	// Wants are patterns of the paths to fetch, as in path.Match. What else the repository holds is left there.
	Wants []string
	// Files are those whose size and hash are known: the hub must state the same, or the pull is refused.
	Files []File
	Note  string

	// Class is the pipeline of a full model.
	Class string
	// Steps and CFG are the published defaults of a full model.
	Steps int
	CFG   float64
	// Base is the full model that a LoRA or a quantized transformer belongs to.
	Base string
	// Turbo is how many steps a distilled LoRA is made for.
	Turbo int
}

// Known tells whether every weight file has a hash in this program: nothing is then left to the hub's word.
func (e Entry) Known() bool { return e.Revision != Main && len(e.Files) > 0 }

// DefaultID is what `qie pull` fetches without a name.
const DefaultID = "qwen-image-edit-2511"

// All lists every entry, the recommended model first and what belongs to it behind it.
func All() []Entry { return slices.Clone(entries) }

// Models lists the full models in the order in which qie prefers them.
func Models() []Entry {
	return slices.DeleteFunc(All(), func(e Entry) bool { return e.Kind != Full })
}

// LoRAs lists what belongs to a full model.
func LoRAs(base string) []Entry {
	return slices.DeleteFunc(All(), func(e Entry) bool { return e.Kind != LoRA || e.Base != base })
}

// Find gives an entry by its id or its repository.
func Find(name string) (Entry, bool) {
	name = strings.ToLower(name)
	i := slices.IndexFunc(entries, func(e Entry) bool {
		return e.ID == name || e.Kind == Full && strings.ToLower(e.Repository) == name
	})
	if i < 0 {
		return Entry{}, false
	}
	return entries[i], true
}

// IDs lists the name of every entry.
func IDs() []string {
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}
