package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// generated is what gen writes.
var generated = []string{"pyruntime/src/pyruntime/wire.py", "supervisor/wire/PROTOCOL.md", "supervisor/wire/testdata/golden.ndjson",
	"api/openapi.json", "web/src/api/gen", pageWords}

// gen writes the generated files in the order in which they follow from each other. With --check it fails when that
// changed anything: somebody edited a source and forgot the rest, or edited what is generated.
func gen(ctx context.Context, args []string) error {
	before, err := contents()
	if err != nil {
		return err
	}
	for _, c := range [][]string{{"go", "generate", "./supervisor/wire"}, {"go", "generate", "./api"}, {"npm", "--prefix", "web", "run", "gen"}} {
		cmd := exec.CommandContext(ctx, c[0], c[1:]...)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", c, err, output)
		}
	}
	if err := os.WriteFile(pageWords, wordsForPage(), 0o644); err != nil {
		return fmt.Errorf("words for the page: %w", err)
	}
	if !slices.Contains(args, "--check") {
		return nil
	}
	after, err := contents()
	if err != nil {
		return err
	}
	var changed []error
	for name, data := range after {
		if !bytes.Equal(before[name], data) {
			changed = append(changed, fmt.Errorf("%s was not up to date; it is now, commit it", name))
		}
	}
	return errors.Join(changed...)
}

func contents() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, top := range generated {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			files[path] = data
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return files, nil
}
