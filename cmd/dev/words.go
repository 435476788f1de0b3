package main

import (
	"bytes"
	"fmt"
	"slices"

	"qie/supervisor/job"
	"qie/supervisor/worker"
)

// pageWords is what the page says of codes and states. The Go tables own the sentences; the page only translates them.
const pageWords = "web/src/lib/words.ts"

// wordsForPage writes the tables as the English half of a dictionary.
func wordsForPage() []byte {
	var b bytes.Buffer
	b.WriteString("// Written by `go run ./cmd/dev gen` from supervisor/job/words.go and supervisor/worker/words.go; change it there.\n" +
		"export const words = {\n")
	line := func(key, text string) { fmt.Fprintf(&b, "  %q: %q,\n", key, text) }
	for _, s := range job.States {
		line("state."+string(s), s.Word())
	}
	for _, p := range job.Phases {
		line("phase."+string(p), p.Word())
	}
	for _, s := range worker.States {
		line("worker."+string(s), s.Word())
	}
	codes := job.Codes()
	slices.Sort(codes)
	for _, c := range codes {
		w := c.Words()
		line("error."+string(c), w.What)
		line("error."+string(c)+".done", w.Done)
		line("error."+string(c)+".next", w.Next)
	}
	b.WriteString("} as const\n")
	return b.Bytes()
}
