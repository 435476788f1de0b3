package store

import "qie/supervisor/job"

// Query selects jobs, newest first.
type Query struct {
	State  job.State // empty: every state
	Text   string    // part of the prompt, in any case
	Limit  int       // 0: 50; at most 200
	Cursor string    // from Page.Next
}

// Page is one answer to a Query.
type Page struct {
	Jobs []job.Job
	Next string // cursor of the following page; empty at the end
}
