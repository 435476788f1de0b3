package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a burst of saves may last before the program is built again.
const settle = 300 * time.Millisecond

// run serves the page by Vite, which passes the API on, and builds and restarts the program when its sources change.
func run(ctx context.Context, args []string) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer func() { _ = watcher.Close() }()
	for _, top := range []string{"api", "cmd/qie", "supervisor", "pyruntime/src"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || d.Name() == "__pycache__" {
				return err
			}
			return watcher.Add(path)
		})
		if err != nil {
			return fmt.Errorf("watch %s: %w", top, err)
		}
	}
	vite := command(ctx, "npm", "--prefix", "web", "run", "dev")
	if err := vite.Start(); err != nil {
		return fmt.Errorf("vite: %w", err)
	}
	defer func() { _ = vite.Wait() }()
	for ctx.Err() == nil {
		if err := serveOnce(ctx, watcher, args); err != nil {
			return err
		}
	}
	return nil
}

// serveOnce builds and serves until a source changes.
func serveOnce(ctx context.Context, watcher *fsnotify.Watcher, args []string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	build := command(ctx, "go", "build", "-o", ".qie/bin/qie-dev", "./cmd/qie")
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "dev: the build failed; waiting for a change")
		return changed(ctx, watcher)
	}
	serve := command(ctx, ".qie/bin/qie-dev", append([]string{"serve"}, args...)...)
	if dir := testEnv(); os.Getenv("QIE_PYTHON_ENV") == "" && filepath.IsAbs(dir) {
		serve.Env = append(os.Environ(), "QIE_PYTHON_ENV="+dir)
	}
	// Vite's page is another origin in development.
	if serve.Env == nil {
		serve.Env = os.Environ()
	}
	serve.Env = append(serve.Env, "QIE_ORIGINS=http://localhost:5173")
	if err := serve.Start(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	err := changed(ctx, watcher)
	stop()
	_ = serve.Wait() // it was told to end
	return err
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// changed waits for a source to change and for the burst to end.
func changed(ctx context.Context, watcher *fsnotify.Watcher) error {
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-watcher.Events:
			if !ok {
				return errors.New("the watcher ended")
			}
			if strings.HasSuffix(e.Name, ".go") || strings.HasSuffix(e.Name, ".py") {
				quiet = time.After(settle)
			}
		case err := <-watcher.Errors:
			return fmt.Errorf("watch: %w", err)
		case <-quiet:
			return nil
		}
	}
}
