// Package folder owns two folders of the person: the input folder, whose finished pictures are offered, and the output
// folder, which gets a copy of every result. It changes nothing in the first and replaces nothing in the second.
package folder

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"qie/supervisor/job"
	"qie/supervisor/picture"
)

const (
	// quiet is how long a file must not change before it counts as whole.
	quiet = 2 * time.Second
	// rescanEvery finds what the system tells nobody: network folders, and a folder that was made anew.
	rescanEvery = 30 * time.Second
	// picturesMax bounds the list: each entry costs one header to read.
	picturesMax = 10_000
)

// Picture is a finished file of the input folder.
type Picture struct {
	Name          string
	Bytes         int64
	Width, Height int
	Modified      time.Time
}

// Input is the input folder as it is now. Links, pipes, folders, hidden files and names of half-finished downloads are
// not in it, and no name leads out of it.
type Input struct {
	log     *slog.Logger
	quiet   time.Duration
	changed func()
	moves   chan string
	done    chan struct{}

	// read by anyone
	mu      sync.Mutex
	dir     string
	root    *os.Root
	problem error
	ready   map[string]Picture
}

// OpenInput watches nothing until Watch. It lives until ctx ends; Wait returns behind that. changed is called after the
// list has changed and must not wait.
func OpenInput(ctx context.Context, log *slog.Logger, changed func()) *Input {
	return openInput(ctx, log, changed, quiet)
}

func openInput(ctx context.Context, log *slog.Logger, changed func(), quiet time.Duration) *Input {
	in := &Input{log: log, quiet: quiet, changed: changed, moves: make(chan string), done: make(chan struct{})}
	go in.run(ctx)
	return in
}

// Watch changes the folder; empty is none. A folder that is missing is made, as the original program did.
func (in *Input) Watch(dir string) {
	select {
	case in.moves <- dir:
	case <-in.done:
	}
}

// Wait returns when the watch has ended.
func (in *Input) Wait() { <-in.done }

// Dir is the folder; empty is none.
func (in *Input) Dir() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dir
}

// List gives the finished pictures, newest first.
func (in *Input) List() ([]Picture, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.usable(); err != nil {
		return nil, err
	}
	list := slices.Collect(maps.Values(in.ready))
	slices.SortFunc(list, func(a, b Picture) int { return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}

// usable is nil when there is a folder. The caller holds mu.
func (in *Input) usable() error {
	if in.dir == "" {
		return job.Errorf(job.CodeNotFound, "INPUT_FOLDER is not set")
	}
	return in.problem
}

// Has tells whether the name is a finished picture.
func (in *Input) Has(name string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, ok := in.ready[name]
	return ok
}

// Open opens a finished picture for reading.
func (in *Input) Open(name string) (*os.File, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.usable(); err != nil {
		return nil, err
	}
	if _, ok := in.ready[name]; !ok {
		return nil, job.Errorf(job.CodeNotFound, "there is no finished picture %q in the input folder", name)
	}
	f, err := openRegular(in.root, name)
	if err != nil {
		return nil, job.Errorf(job.CodeNotFound, "the picture %q cannot be opened any more", name)
	}
	return f, nil
}

// openRegular never waits for a pipe and never follows a link: what was looked at is what is opened.
func openRegular(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err != nil || !os.SameFile(before, after) {
		_ = f.Close()
		return nil, errors.Join(fs.ErrInvalid, err)
	}
	return f, nil
}

// watched is the folder as the goroutine knows it.
type watched struct {
	dir     string
	root    *os.Root
	watcher *fsnotify.Watcher
	waiting settling
}

func (in *Input) run(ctx context.Context) {
	defer close(in.done)
	var w watched
	defer func() { w.close() }()
	timer := time.NewTimer(time.Hour)
	rescan := time.NewTicker(rescanEvery)
	defer timer.Stop()
	defer rescan.Stop()
	for {
		if due, ok := w.waiting.next(); ok {
			timer.Reset(max(0, time.Until(due)))
		}
		var events chan fsnotify.Event
		var failures chan error
		if w.watcher != nil {
			events, failures = w.watcher.Events, w.watcher.Errors
		}
		changed := false
		select {
		case <-ctx.Done():
			return
		case dir := <-in.moves:
			w.close()
			w = in.enter(dir)
			changed = true
		case e := <-events:
			changed = in.event(&w, e)
		case err := <-failures: // more events than the system keeps, most likely: look at everything
			in.log.Warn("watch the input folder", "err", err)
			changed = in.scan(&w)
		case <-timer.C:
			changed = in.settle(&w, time.Now())
		case <-rescan.C:
			if w.dir != "" && !w.same() {
				dir := w.dir
				w.close()
				w = in.enter(dir)
				changed = true
			} else {
				changed = in.scan(&w)
			}
		}
		if changed {
			in.changed()
		}
	}
}

func (w *watched) close() {
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
	if w.root != nil {
		_ = w.root.Close()
	}
}

// same tells whether the folder of that name is still the one that is open.
func (w *watched) same() bool {
	if w.root == nil {
		return false
	}
	now, err := os.Stat(w.dir)
	if err != nil {
		return false
	}
	open, err := w.root.Stat(".")
	return err == nil && os.SameFile(now, open)
}

// enter opens a folder and looks at all of it.
func (in *Input) enter(dir string) watched {
	w := watched{dir: dir, waiting: settling{}}
	var err error
	if dir != "" {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			w.root, err = os.OpenRoot(dir)
		}
		if err == nil {
			if w.watcher, err = fsnotify.NewWatcher(); err == nil {
				err = w.watcher.Add(dir)
			}
			if err != nil {
				in.log.Warn("the input folder is looked at every half minute only", "err", err)
				err = nil
			}
		}
	}
	in.mu.Lock()
	in.dir, in.root, in.ready, in.problem = dir, w.root, map[string]Picture{}, nil
	if err != nil {
		in.problem = job.Errorf(job.CodeNotFound, "the input folder %s cannot be read: %w", dir, err)
	}
	in.mu.Unlock()
	in.scan(&w)
	return w
}

// event takes one change. A file that is written again is not offered until it is whole again.
func (in *Input) event(w *watched, e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod || w.root == nil {
		return false
	}
	name := filepath.Base(e.Name)
	if hidden(name) {
		return false
	}
	w.waiting.touch(name, lookAt(w.root, name), time.Now().Add(in.quiet))
	return in.drop(name)
}

// scan compares the folder with what is known.
func (in *Input) scan(w *watched) bool {
	if w.root == nil {
		return false
	}
	entries, err := fs.ReadDir(w.root.FS(), ".")
	if err != nil {
		in.log.Warn("read the input folder", "err", err)
		return false
	}
	changed, seen, now := false, map[string]bool{}, time.Now()
	for _, e := range entries {
		name := e.Name()
		if hidden(name) || !e.Type().IsRegular() {
			continue
		}
		seen[name] = true
		look := lookAt(w.root, name)
		in.mu.Lock()
		known, ok := in.ready[name]
		in.mu.Unlock()
		if ok && known.Bytes == look.bytes && known.Modified.Equal(look.modified) {
			continue
		}
		changed = in.drop(name) || changed
		if w.waiting.has(name) {
			continue
		}
		due := now.Add(in.quiet)
		if look.modified.Before(now.Add(-in.quiet)) {
			due = now // nobody has written it for long enough
		}
		w.waiting.touch(name, look, due)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for name := range in.ready {
		if !seen[name] {
			delete(in.ready, name)
			changed = true
		}
	}
	return changed
}

// settle looks again at what has been quiet.
func (in *Input) settle(w *watched, now time.Time) bool {
	changed := false
	for _, name := range w.waiting.due(now) {
		if !w.waiting.settled(name, lookAt(w.root, name), now.Add(in.quiet)) {
			continue
		}
		p, ok := describe(w.root, name)
		if !ok {
			continue
		}
		in.mu.Lock()
		if len(in.ready) < picturesMax {
			in.ready[name], changed = p, true
		}
		in.mu.Unlock()
	}
	return changed
}

func (in *Input) drop(name string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, was := in.ready[name]
	delete(in.ready, name)
	return was
}

func describe(root *os.Root, name string) (Picture, bool) {
	f, err := openRegular(root, name)
	if err != nil {
		return Picture{}, false
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return Picture{}, false
	}
	_, w, h, err := picture.Sniff(f)
	if err != nil {
		return Picture{}, false
	}
	return Picture{Name: name, Bytes: stat.Size(), Width: w, Height: h, Modified: stat.ModTime()}, true
}

// Refuses tells whether the name is a whole file that is no picture.
func (in *Input) Refuses(name string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.root != nil && !hidden(name) && lookAt(in.root, name).regular && !pictured(in.root, name)
}

func pictured(root *os.Root, name string) bool {
	_, ok := describe(root, name)
	return ok
}
