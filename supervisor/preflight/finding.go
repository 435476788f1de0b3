// Package preflight judges whether this machine can run the selected model. It is pure: facts in, findings out, each
// with its cause in one sentence and the one command that helps. Gathering the facts is package doctor's.
package preflight

import (
	"fmt"
	"slices"
	"strings"

	"qie/supervisor/job"
)

// Level of a finding. Only Error stops the selected model on this machine.
type Level string

// The levels and their marks: [✓] [!] [✗].
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is what one check says.
type Finding struct {
	Name  string `json:"name" doc:"of the check"`
	Level Level  `json:"level" enum:"ok,warning,error"`
	Title string `json:"title"`
	Cause string `json:"cause,omitempty" doc:"why, in one sentence"`
	// Fix is a line for a shell in the checkout, with qie on PATH.
	Fix    string `json:"fix,omitempty" doc:"the one command that fixes it; absent where none can"`
	Advice string `json:"advice,omitempty" doc:"what a person can do where a command is not enough"`
}

type check struct {
	name, about string
	run         func(Facts) Finding
}

// checks is the one table; set-up, doctor, API and page all walk it.
var checks = []check{
	{"machine", "Apple Silicon, or what else computes", machine},
	{"system", "version of the operating system, as the torch wheel needs it", system},
	{"memory", "memory, and the plan that fits it", memory},
	{"disk", "space for what is still to be fetched", disk},
	{"device", "what the worker computes on, and whether it computes right", device},
	{"python", "an interpreter for the worker", interpreter},
	{"node", "Node, which builds the page", node},
	{"network", "the package index, while something is to be fetched", network},
	{"port", "the port of the page", port},
	{"data", "the data folder: owner, modes, writable", data},
	{"cache", "HF_HOME, where models lie", cache},
	{"jobs", "JOBS_DIR, where pictures lie", jobs},
	{"environment", "every file of the worker's packages", environment},
	{"source", "the worker's source", source},
	{"model", "the selected model's files", modelFiles},
	{"page", "the page in the program", page},
	{"worker", "the worker starts and answers", worker},
	{"clock", "the time of day", clock},
	{"battery", "power", battery},
	{"leftovers", "processes of an earlier run", leftovers},
}

// Setup names the checks that must hold before anything is fetched.
var Setup = []string{"machine", "system", "memory", "disk", "network", "data", "cache", "jobs", "clock"}

// Names lists the checks with what each is about.
func Names() [][2]string {
	var names [][2]string
	for _, c := range checks {
		names = append(names, [2]string{c.name, c.about})
	}
	return names
}

// Run judges the facts by the named checks, or by all.
func Run(f Facts, names ...string) ([]Finding, error) {
	for _, n := range names {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.name == n }) {
			return nil, job.Errorf(job.CodeInputBad, "there is no check %q; see: qie doctor --list-checks", n)
		}
	}
	findings := []Finding{}
	for _, c := range checks {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		finding := c.run(f)
		finding.Name = c.name
		findings = append(findings, finding)
	}
	return findings, nil
}

// Worst of the findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// Text is the findings for a terminal, a line for each and what helps below it. mark gives the sign of a level.
func Text(findings []Finding, mark func(Level) string) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %-12s %s\n", mark(f.Level), f.Name, f.Title)
		for _, line := range [][2]string{{"why", f.Cause}, {"fix", f.Fix}, {"do", f.Advice}} {
			if line[1] != "" {
				fmt.Fprintf(&b, "    %4s: %s\n", line[0], line[1])
			}
		}
	}
	return b.String()
}

// Mark is the sign of a level without colour.
func Mark(level Level) string {
	switch level {
	case Warning:
		return "[!]"
	case Error:
		return "[✗]"
	}
	return "[✓]"
}

func ok(format string, args ...any) Finding {
	return Finding{Level: OK, Title: fmt.Sprintf(format, args...)}
}
