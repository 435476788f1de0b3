package fakeworker

import (
	"fmt"
	"strconv"
	"strings"
)

// A script is lines (or parts between semicolons) of the form
//
//	at POINT [in gen N]: ACTION [ARG ...]
//	step takes 20ms
//	load takes 200ms
//
// Points, in the order a worker meets them: start (before hello), hello (after it), ready (before ready), idle (after
// ready), load, loaded (before the event), accepted, encode, step K (before step K is reported), decode, save, result
// (before the event), end (after the result), unload, cancel, shutdown, term.
//
// Actions: kill, signal NAME (dies by it), stop (SIGSTOP), exit N, error CODE [fatal], fatal CODE N, garbage, glued, binary, half (half a line,
// then kill), huge N (a line of N MiB), wronghash, missing, hang (no beats, nothing), stall (beats go on), deafcancel
// (ignores cancel), deafflag (ignores it until the interrupt), deafterm (ignores SIGTERM), deafstdin (stops reading), grandchild (a child that holds the pipes),
// daemon (the same in a session of its own), stale (events of an older attempt and generation), flood N (N MiB on
// stderr), printflood N (on stdout), newsflood N (of messages of an unknown type), say TEXT (on stderr), print TEXT (on stdout), wait FILE (until it exists, or cancel), touch FILE, quiet (no
// beats from here), unknown (an unknown message type), holds N (tells of N MiB from here, and beats at once), gpu N (it has a
// GPU of 80 GiB, N of them free from here; first before ready).
//
// A prompt that starts with "fake:" adds its rest as script for that attempt, so one worker can serve good and bad
// jobs in turn.
type script struct {
	rules  []rule
	stepMS int
	loadMS int
}

type rule struct {
	point string
	gen   int64 // 0 is any
	do    string
	args  []string
}

func (r rule) arg(i int) string {
	if i < len(r.args) {
		return r.args[i]
	}
	return ""
}

func (r rule) num(i int) int {
	n, _ := strconv.Atoi(r.arg(i))
	return n
}

func parse(text string) (script, error) {
	s := script{stepMS: 1}
	for _, line := range strings.FieldsFunc(text, func(c rune) bool { return c == ';' || c == '\n' }) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if ms, ok := takes(line, "step takes "); ok {
			s.stepMS = ms
			continue
		}
		if ms, ok := takes(line, "load takes "); ok {
			s.loadMS = ms
			continue
		}
		head, tail, ok := strings.Cut(line, ":")
		point, isPoint := strings.CutPrefix(head, "at ")
		words := strings.Fields(tail)
		if !ok || !isPoint || len(words) == 0 {
			return s, fmt.Errorf("script line %q is not `at POINT: ACTION`", line)
		}
		var gen int64
		if before, after, found := strings.Cut(point, " in gen "); found {
			n, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
			if err != nil {
				return s, fmt.Errorf("script line %q: %w", line, err)
			}
			point, gen = before, n
		}
		s.rules = append(s.rules, rule{strings.TrimSpace(point), gen, words[0], words[1:]})
	}
	return s, nil
}

func takes(line, prefix string) (int, bool) {
	text, ok := strings.CutPrefix(line, prefix)
	if !ok {
		return 0, false
	}
	ms, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), "ms"))
	return ms, err == nil
}
