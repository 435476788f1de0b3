package worker

import (
	"fmt"
	"strings"
	"testing"
)

// In a flood the last lines are the ones that are looked at, in order, and the others are counted.
func TestEachLine_FloodKeepsTheLastLines(t *testing.T) {
	const lines = 5000
	var text strings.Builder
	for n := range lines {
		fmt.Fprintf(&text, "line %d\n", n)
	}
	text.WriteString("no newline")
	kept, dropped := &tail{}, 0
	seen := 0
	eachLine(strings.NewReader(text.String()), func() bool { return true }, func(n int) { dropped += n }, func(line []byte) {
		seen++
		kept.add(strings.TrimSuffix(string(line), "\n"))
	})
	if seen+dropped != lines+1 || dropped < lines/2 {
		t.Errorf("%d lines seen, %d dropped, of %d", seen, dropped, lines+1)
	}
	last := kept.lines()
	if len(last) != tailLines || last[tailLines-1] != "no newline" {
		t.Fatalf("kept %d: %q", len(last), last)
	}
	for i, line := range last[:tailLines-1] {
		if want := fmt.Sprintf("line %d", lines-tailLines+1+i); line != want {
			t.Errorf("kept %q, want %q", line, want)
		}
	}
}

// A line without an end comes in pieces.
func TestEachLine_LongLineIsCut(t *testing.T) {
	total, longest := 0, 0
	long := strings.Repeat("x", 3*stderrBytes+17)
	eachLine(strings.NewReader(long+"\nend\n"), func() bool { return false }, nil, func(piece []byte) {
		total, longest = total+len(piece), max(longest, len(piece))
	})
	if total != len(long)+len("\nend\n") || longest > pieceBytes {
		t.Errorf("%d bytes in pieces of up to %d", total, longest)
	}
}
