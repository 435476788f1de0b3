package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fresh runs every line of README that a newcomer types in the clone, and no other. The rest is run by
// cmd/qie/readme_test.go.
func TestFresh_RunsTheLinesOfREADME(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(text, -1) {
		for line := range strings.Lines(string(block[1])) {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "./") || strings.HasPrefix(line, ".qie/") {
				lines = append(lines, line)
			}
		}
	}
	if want := []string{lineSetup, lineStart, lineEdit}; !slices.Equal(lines, want) {
		t.Errorf("README has %q, fresh runs %q", lines, want)
	}
}
