// Package watch tells when something in a folder changed, after the burst is over. It reads nothing of it.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a folder must be quiet: an editor saves a file in several strokes, a copy takes a while.
const settle = 300 * time.Millisecond

// Folder calls changed after files in dir were made, written, renamed or removed, until ctx ends: those of the names
// given, else all. The folder is made when it is missing: one that does not exist cannot be watched. It returns when
// watching has begun.
func Folder(ctx context.Context, dir string, log *slog.Logger, changed func(), names ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("watched folder: %w", err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	if err := watcher.Add(dir); err != nil {
		_ = watcher.Close()
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	go func() {
		defer func() { _ = watcher.Close() }()
		var quiet <-chan time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case e, ok := <-watcher.Events:
				if !ok {
					return
				}
				if !e.Has(fsnotify.Chmod) && (len(names) == 0 || slices.Contains(names, filepath.Base(e.Name))) {
					quiet = time.After(settle)
				}
			case err, ok := <-watcher.Errors:
				if !ok {
					return
				}
				log.Warn("watch", "folder", dir, "err", err)
			case <-quiet:
				quiet = nil
				changed()
			}
		}
	}()
	return nil
}
