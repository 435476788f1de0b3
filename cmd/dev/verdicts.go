package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// verdicts reads what `go test -json` says: what a person needs of it, and the tests that were skipped, with their reasons.
// A test that passed says nothing.
func verdicts(output []byte) (text, skipped []string) {
	said := map[string][]string{}
	for line := range bytes.Lines(output) {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			text = append(text, strings.TrimSpace(string(line)))
			continue
		}
		name := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if e.Output == "PASS\n" {
				continue
			}
			if e.Test == "" {
				text = append(text, strings.TrimRight(e.Output, "\n"))
			} else {
				said[name] = append(said[name], strings.TrimRight(e.Output, "\n"))
			}
		case "fail":
			text = append(text, said[name]...)
			delete(said, name)
		case "skip":
			if e.Test != "" {
				skipped = append(skipped, name+": "+reason(said[name]))
			}
			delete(said, name)
		case "pass":
			delete(said, name)
		}
	}
	return text, skipped
}

// reason is the line of a skipped test that says why.
func reason(said []string) string {
	for _, line := range said {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			return line
		}
	}
	return "without a reason"
}
