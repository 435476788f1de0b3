package store

import (
	"strings"

	"qie/supervisor/job"
)

// Query selects jobs, newest first.
type Query struct {
	State  job.State // empty: every state
	Text   string    // words that the prompt has, in any case and order
	Photo  string    // sha256 of the photo that the tree began with; empty: every tree
	Parent job.ID    // whose edits; empty: everybody's
	// Starred selects those with a star, Trashed those in the trash instead of those that are not.
	Starred, Trashed bool
	Limit            int    // 0: 50; at most 200
	Cursor           string // from Page.Next
}

// Page is one answer to a Query.
type Page struct {
	Jobs []job.Job
	Next string // cursor of the following page; empty at the end
}

// where gives the condition and its values.
func (q Query) where() (string, []any) {
	terms, args := []string{"(trashed_ms <> 0) = ?"}, []any{q.Trashed}
	add := func(term string, value any) {
		terms = append(terms, term)
		args = append(args, value)
	}
	if q.State != "" {
		add("state = ?", q.State)
	}
	if q.Photo != "" {
		add("photo = ?", q.Photo)
	}
	if q.Parent != "" {
		add("parent = ?", q.Parent)
	}
	if q.Starred {
		add("starred = ?", true)
	}
	// A word of two Chinese characters is shorter than what a trigram index finds; reading 10,000 prompts takes
	// milliseconds.
	for _, word := range strings.Fields(q.Text) {
		add(`prompt LIKE ? ESCAPE '\'`, "%"+escapeLike(word)+"%")
	}
	return strings.Join(terms, " AND "), args
}

func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
