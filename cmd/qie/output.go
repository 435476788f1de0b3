package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"qie/supervisor/job"
)

// The rules of output: stdout carries results only, so that it can be piped. Everything else goes to stderr: messages
// in lower case without a full stop, one moving progress line on a terminal, one line per phase elsewhere. An error
// ends with the one command or action that helps. With --json stdout is one JSON value, errors included.
type output struct {
	json, quiet, plain bool
	moving             bool // a progress line stands on the terminal
	last               string
}

func (o *output) terminal() bool {
	return !o.plain && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stderr.Fd()))
}

// result prints a line of the answer.
func (o *output) result(format string, args ...any) {
	o.clear()
	_, _ = fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// value prints the answer as JSON.
func (o *output) value(v any) error {
	o.clear()
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// say prints a message for the person.
func (o *output) say(format string, args ...any) {
	if o.quiet {
		return
	}
	o.clear()
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// progress shows where a long work is: in place on a terminal, and elsewhere only when the first word changes, so that
// a log does not fill up.
func (o *output) progress(topic, text string) {
	if o.quiet {
		return
	}
	if o.terminal() {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
		o.moving = true
		return
	}
	if topic != o.last {
		o.last = topic
		fmt.Fprintln(os.Stderr, text)
	}
}

func (o *output) clear() {
	if o.moving {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		o.moving = false
	}
}

func (o *output) fail(err error) {
	o.clear()
	f := job.Failure{Message: err.Error()}
	var typed *job.Error
	if errors.As(err, &typed) {
		f = typed.Failure()
	}
	if o.json {
		_ = o.value(map[string]any{"error": map[string]any{"code": f.Code, "message": f.Message, "done": f.Done, "hint": f.Hint, "report": f.Report}})
		return
	}
	fmt.Fprintln(os.Stderr, "qie: "+f.Message)
	for _, line := range furtherWords(f.Done, f.Hint, f.Report) {
		fmt.Fprintln(os.Stderr, line)
	}
}

// furtherWords are the lines below a cause: what was done about it, the one next action, and the report's name.
func furtherWords(done, next, report string) (lines []string) {
	if done != "" {
		lines = append(lines, "     "+done)
	}
	if next != "" {
		lines = append(lines, "next: "+next)
	}
	if report != "" {
		lines = append(lines, "crash report: qie crashes "+report)
	}
	return lines
}

// coloured is for results on a terminal.
func (o *output) coloured(text, colour string) string {
	if o.plain || os.Getenv("NO_COLOR") != "" || !term.IsTerminal(int(os.Stdout.Fd())) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func bytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n), "kMGT"
	for i := 0; i < len(names); i++ {
		value /= unit
		if value < unit || i == len(names)-1 {
			return fmt.Sprintf("%.1f %cB", value, names[i])
		}
	}
	return ""
}

func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.Local().Format(time.DateOnly)
}

func oneLine(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}
