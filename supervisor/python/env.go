// Package python owns the worker's Python environment: it builds it from the lock file, says whether it is whole, and
// makes the command that starts the worker in it. It never imports torch and never runs an edit.
package python

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
)

const (
	markerName = "qie-complete" // holds the lock's hash; written last
	pthName    = "qie-source.pth"
	ownPth     = "pyruntime.pth"
	hintSetup  = "run ./setup.sh; it builds or repairs the Python environment"
)

// Env is an environment as it should be.
type Env struct {
	Home     string // data folder; the environment lies in its python folder
	Override string // QIE_PYTHON_ENV: used as it is, never built
	UV       string // path of uv
	Lock     []byte // requirements.lock
	Source   fs.FS  // folder that holds the pyruntime package
	Progress func(line string)
	// Trial is what a fresh environment at dir must pass before it takes the place of the one before; nil: nothing.
	Trial func(ctx context.Context, dir string) error
}

// LockHash names the environment that belongs to the lock.
func (e Env) LockHash() string {
	sum := sha256.Sum256(e.Lock)
	return hex.EncodeToString(sum[:8])
}

// Dir of the environment.
func (e Env) Dir() string {
	if e.Override != "" {
		return e.Override
	}
	return filepath.Join(e.Home, "python", e.LockHash())
}

// Ready tells whether the environment is complete and of this lock. It reads a few small files.
func (e Env) Ready() error {
	if err := Check(e.Dir()); err != nil || e.Override != "" {
		return err
	}
	marker, err := os.ReadFile(filepath.Join(e.Dir(), markerName))
	if err != nil || strings.TrimSpace(string(marker)) != e.LockHash() {
		return broken("the Python environment is not complete: its installation did not finish", err)
	}
	return nil
}

// Build makes the environment when it is missing or incomplete, and puts the worker's source into it. It is built
// beside the final place: what is there already stays until the new one is complete and has passed its trial. A build
// that was killed leaves only a folder that the next build clears; packages come from uv's cache then. Two builds at
// once wait for each other.
func (e Env) Build(ctx context.Context) error { return e.build(ctx, e.Ready) }

// Repair is Build for an environment of which files are missing or have another size, too.
func (e Env) Repair(ctx context.Context) error {
	return e.build(ctx, func() error {
		_, err := e.Whole(ctx, false)
		return err
	})
}

// Mend repairs an environment whose worker does not start: what a look at its files shows, else all of it. One that has
// meanwhile come to start stays as it is.
func (e Env) Mend(ctx context.Context) error {
	if _, err := e.Whole(ctx, false); err != nil {
		return e.Repair(ctx)
	}
	if err := e.linkSource(e.Dir()); err != nil {
		return err
	}
	if e.Trial != nil && e.try(ctx, e.Dir()) == nil {
		return nil
	}
	return e.Renew(ctx)
}

// Renew is Build for an environment that is to be made anew in any case.
func (e Env) Renew(ctx context.Context) error {
	if e.Override != "" {
		return broken("the environment "+e.Override+" is set by QIE_PYTHON_ENV; qie does not change it", nil)
	}
	lock, err := e.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := e.install(ctx, lock); err != nil {
		return err
	}
	return e.linkSource(e.Dir())
}

func (e Env) build(ctx context.Context, whole func() error) error {
	err := whole()
	if err == nil || e.Override != "" {
		if err == nil {
			err = e.linkSource(e.Dir())
		}
		return err
	}
	lock, err := e.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if whole() != nil { // else another program has built it meanwhile
		if err := e.install(ctx, lock); err != nil {
			return err
		}
	}
	return e.linkSource(e.Dir())
}

func (e Env) install(ctx context.Context, lock *os.File) error {
	if e.UV == "" {
		return broken("the Python environment is missing, and uv that builds it was not found", nil)
	}
	final, part := e.Dir(), e.Dir()+".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("clear a half-built environment: %w", err)
	}
	interpreter := request(Find(ctx), runtime.GOOS, runtime.GOARCH)
	e.say("environment: Python " + interpreter)
	if err := e.uv(ctx, lock, "venv", "--relocatable", "--python", interpreter, part); err != nil {
		return err
	}
	list := filepath.Join(part, "requirements.lock")
	if err := os.WriteFile(list, e.Lock, 0o600); err != nil {
		return fmt.Errorf("write the lock: %w", err)
	}
	e.say("environment: packages")
	if err := e.uv(ctx, lock, "pip", "sync", "--require-hashes", "--compile-bytecode", "--python", interpreterOf(part), list); err != nil {
		return err
	}
	err := Check(part)
	for _, step := range []func(string) error{writeList, e.linkSource, func(dir string) error { return e.try(ctx, dir) },
		func(dir string) error { return writeFile(filepath.Join(dir, markerName), []byte(e.LockHash()+"\n")) }} {
		if err == nil {
			err = step(part)
		}
	}
	if err != nil {
		return err
	}
	old := final + ".old"
	_ = os.RemoveAll(old)
	if err := os.Rename(final, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move the old environment aside: %w", err)
	}
	if err := os.Rename(part, final); err != nil {
		_ = os.Rename(old, final)
		return fmt.Errorf("put the environment in place: %w", err)
	}
	_ = os.RemoveAll(old)
	return nil
}

func (e Env) try(ctx context.Context, dir string) error {
	if e.Trial == nil {
		return nil
	}
	e.say("environment: trying the worker in it")
	return e.Trial(ctx, dir)
}

// uv runs in a process group of its own, which ends with ctx. Where the system can, it ends with this program too: what
// it builds would be thrown away by the next set-up, which waits for it.
func (e Env) uv(ctx context.Context, lock *os.File, args ...string) error {
	cmd := exec.CommandContext(ctx, e.UV, args...)
	cmd.Env = withoutPython(os.Environ())
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	runtime.LockOSThread() // as DieWithParent wants it, to the end of Run
	defer runtime.UnlockOSThread()
	host.DieWithParent(cmd.SysProcAttr, syscall.SIGKILL)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	last := make(chan string, 1)
	go func() {
		text := ""
		lines := bufio.NewReader(read)
		for {
			line, err := lines.ReadString('\n')
			if line = strings.TrimSpace(line); line != "" {
				text = line
				e.say(line)
			}
			if err != nil {
				last <- text
				return
			}
		}
	}()
	err := cmd.Run()
	_ = write.Close()
	text := <-last
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return (&job.Error{Code: job.CodeEnvBroken, Message: fmt.Sprintf("uv %s: %s", args[0], text), Err: err}).
			WithHint("check the network connection and the space on disk, then run ./setup.sh again; it goes on where it stopped")
	}
	return nil
}

func (e Env) say(line string) {
	if e.Progress != nil {
		e.Progress(line)
	}
}

// linkSource unpacks the worker's source beside the environments and points the environment at it. Python ignores its
// own variables and the working folder (-I), so a .pth file is the way in.
func (e Env) linkSource(env string) error {
	if site, err := sitePackages(env); err == nil && e.Override != "" {
		// A developer's environment may say itself where the source lies.
		if _, err := os.Stat(filepath.Join(site, ownPth)); err == nil {
			return nil
		}
	}
	dir, err := e.unpack()
	if err != nil {
		return err
	}
	site, err := sitePackages(env)
	if err != nil {
		return err
	}
	name := filepath.Join(site, pthName)
	if have, err := os.ReadFile(name); err == nil && string(have) == dir+"\n" {
		return nil
	}
	return writeFile(name, []byte(dir+"\n"))
}

// SourceHash names the worker's source.
func (e Env) SourceHash() (string, error) {
	files, err := e.files()
	return hashOf(files), err
}

type sourceFile struct {
	name string
	data []byte
}

// files gives the worker's source in the order of its names.
func (e Env) files() ([]sourceFile, error) {
	var files []sourceFile
	err := fs.WalkDir(e.Source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path.Base(name) == "__pycache__" {
				return fs.SkipDir
			}
			return nil
		}
		data, err := fs.ReadFile(e.Source, name)
		files = append(files, sourceFile{name, data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the worker's source: %w", err)
	}
	return files, nil
}

func hashOf(files []sourceFile) string {
	sum := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(sum, "%s\x00%d\x00", f.name, len(f.data))
		sum.Write(f.data)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// unpack writes the source once per hash.
func (e Env) unpack() (string, error) {
	files, err := e.files()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(e.Home, "python", "src-"+hashOf(files))
	for _, f := range files {
		target := filepath.Join(dir, filepath.FromSlash(f.name))
		if have, err := os.ReadFile(target); err == nil && bytes.Equal(have, f.data) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return "", fmt.Errorf("unpack the worker's source: %w", err)
		}
		if err := writeFile(target, f.data); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// writeFile by temporary name, sync and rename: a half file is never seen.
func writeFile(name string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".part-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(name), err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("write %s: %w", filepath.Base(name), err)
	}
	return nil
}

// Check tells without starting Python whether the folder holds a usable environment: an interpreter that exists (an
// upgrade of the system's Python removes it) and the packages that the worker imports.
func Check(dir string) error {
	if info, err := os.Stat(interpreterOf(dir)); err != nil || info.Mode()&0o111 == 0 {
		return broken("the Python environment has no interpreter: "+interpreterOf(dir), err)
	}
	site, err := sitePackages(dir)
	if err != nil {
		return err
	}
	for _, name := range []string{"torch", "diffusers", "transformers", "safetensors", "PIL", "msgspec"} {
		if _, err := os.Stat(filepath.Join(site, name)); err != nil {
			return broken("the Python environment misses the package "+name, err)
		}
	}
	return nil
}

func sitePackages(dir string) (string, error) {
	found, _ := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages"))
	if len(found) == 0 {
		return "", broken("the Python environment holds no packages: "+dir, nil)
	}
	return found[0], nil
}

func broken(message string, err error) error {
	return &job.Error{Code: job.CodeEnvBroken, Message: message, Hint: hintSetup, Err: err}
}

func interpreterOf(dir string) string { return filepath.Join(dir, "bin", "python") }
