package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// shownLines of a failed part are printed.
const shownLines = 80

// part is one line of the check: a command, with what it needs in its environment.
type part struct {
	name string
	run  []string
	env  []string
	dir  string
	json bool // it says its verdicts as go test -json does
}

func parts() []part {
	python := filepath.Join(testEnv(), "bin", "python")
	tool := func(name string) string { return filepath.Join(testEnv(), "bin", name) }
	return []part{
		{name: "shellcheck", run: []string{"shellcheck", "setup.sh", "start", ".ci/run"}},
		{name: "gofmt", run: []string{"sh", "-c", `test -z "$(gofmt -l api cmd supervisor pyruntime/*.go web/*.go | tee /dev/stderr)"`}},
		{name: "go vet", run: []string{"go", "vet", "./..."}},
		{name: "golangci-lint", run: []string{".qie/tools/bin/golangci-lint", "run", "./..."}},
		{name: "build for macOS", run: []string{"go", "vet", "./..."}, env: []string{"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"}},
		{name: "ruff", run: []string{tool("ruff"), "check", "."}, dir: "pyruntime"},
		{name: "basedpyright", run: []string{python, "-m", "basedpyright", "-p", "pyruntime", "--pythonpath", python, "--level", "error"}},
		{name: "tsc", run: []string{"npm", "run", "types"}, dir: "web"},
		{name: "oxlint", run: []string{"npm", "run", "lint"}, dir: "web"},
		{name: "vitest", run: []string{"npm", "test"}, dir: "web"},
		{name: "generated files", run: []string{"go", "run", "./cmd/dev", "gen", "--check"}},
		// The race detector makes everything slower by factors; two packages at a time keep the timing tests honest.
		{name: "go test -race", run: []string{"go", "test", "-json", "-race", "-p", "2", "./..."}, env: []string{"CGO_ENABLED=1"}, json: true},
		{name: "pytest", run: []string{python, "-m", "pytest", "-q", "pyruntime/tests", "-c", "pyruntime/pyproject.toml", "--rootdir", "pyruntime"}},
		{name: "page in a browser", run: []string{"npm", "run", "e2e"}, dir: "web"},
		{name: "fresh clone", run: []string{"go", "run", "./cmd/dev", "fresh"}},
	}
}

// testEnv is the environment that setup.sh --test made, or the one that is set.
func testEnv() string {
	if dir := os.Getenv("QIE_PYTHON_ENV"); dir != "" {
		return dir
	}
	found, _ := filepath.Glob(".qie/test-env/*")
	if len(found) == 0 {
		return ".qie/test-env"
	}
	dir, err := filepath.Abs(found[0])
	if err != nil {
		return found[0]
	}
	return dir
}

// check runs the parts one after the other. All of them run; the first failures are shown in full.
func check(ctx context.Context, args []string) error {
	all := parts()
	if slices.Contains(args, "--list") {
		for _, p := range all {
			fmt.Println(p.name)
		}
		return nil
	}
	if _, err := os.Stat(testEnv()); err != nil {
		return errors.New("the tests' Python environment is missing: ./setup.sh --dev")
	}
	var failed []string
	start := time.Now()
	for _, p := range all {
		if len(args) > 0 && !slices.Contains(args, p.name) {
			continue
		}
		if err := p.check(ctx); err != nil {
			failed = append(failed, p.name)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	fmt.Printf("%-18s %6.1f s\n", "all", time.Since(start).Seconds())
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func (p part) check(ctx context.Context) error {
	start := time.Now()
	var output bytes.Buffer
	cmd := p.command(ctx)
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	var skipped []string
	if p.json {
		var text []string
		text, skipped = verdicts(output.Bytes())
		output.Reset()
		output.WriteString(strings.Join(text, "\n"))
	}
	word := "ok"
	if err != nil {
		word = "FAILED: " + err.Error()
	}
	fmt.Printf("%-18s %6.1f s  %s\n", p.name, time.Since(start).Seconds(), word)
	for _, s := range skipped { // nothing is left out unseen
		fmt.Println("  skipped:", s)
	}
	if err != nil {
		_ = os.WriteFile(filepath.Join(".qie", "check.log"), output.Bytes(), 0o600) // the end is shown anyway
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		if cut := len(lines) - shownLines; cut > 0 {
			fmt.Printf("(%d lines before this; all of them in .qie/check.log)\n", cut)
			lines = lines[cut:]
		}
		fmt.Println(strings.Join(lines, "\n"))
	}
	return err
}

func (p part) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.run[0], p.run[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "QIE_PYTHON_ENV="+testEnv())
	cmd.Env = append(cmd.Env, p.env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
