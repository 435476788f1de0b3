package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// photosLeast is how many held-out photos a published table is made from.
const photosLeast = 20

// demoEval measures the embedded demo model on held-out photos and sentences, which are fetched first. Arguments go to
// pyruntime/demo/evaluate.py.
func demoEval(ctx context.Context, args []string) error {
	if err := demoScript(ctx, "images.py", "fetch-test"); err != nil {
		return err
	}
	found, err := filepath.Glob("pyruntime/demo/.work/test/*")
	if err != nil {
		return err
	}
	if len(found) < photosLeast {
		fmt.Printf("only %d photos could be fetched here; the published table has %d or more\n", len(found), photosLeast)
	}
	return demoScript(ctx, "evaluate.py", args...)
}

// demoScript runs a script of the demo model in the tests' Python environment.
func demoScript(ctx context.Context, script string, args ...string) error {
	python := filepath.Join(testEnv(), "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return errors.New("the tests' Python environment is missing: ./setup.sh --dev")
	}
	cmd := exec.CommandContext(ctx, python, append([]string{filepath.Join("pyruntime", "demo", script)}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("pyruntime", "src")+string(os.PathListSeparator)+filepath.Join("pyruntime", "demo"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", script, err)
	}
	return nil
}

// pace prints the demo's speed beside the stock pipeline's.
func pace(ctx context.Context, times int) error {
	return demoScript(ctx, "pace.py", "--times", strconv.Itoa(times))
}
