package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"qie/supervisor/download/downloadtest"
)

// What README tells a newcomer, as it stands there.
const (
	lineSetup = "./setup.sh"
	lineStart = "./start"
	lineEdit  = `.qie/bin/qie edit -i photo.jpg "make it black and white" -o out.png`
)

// setupSteps are what setup.sh does, each with the file that says it is done and the words that it begins with. The
// environment is killed at three points: when its interpreter is there and the packages begin to come, while they are
// unpacked, and when it is complete and not yet in its place.
var setupSteps = []struct{ name, done, begins string }{
	{"tools", ".qie/stamps/tool-node", "[1/5] Tools: fetching"},
	{"Node packages", ".qie/stamps/packages", "[2/5] Page: fetching"},
	{"page", ".qie/stamps/page", "[2/5] Page: building"},
	{"program", ".qie/stamps/binary", "[3/5] Program: building"},
	{"interpreter", "HOME/python/*.part/bin/python", "[4/5] Python environment: building"},
	{"torch", "HOME/python/*.part/lib/python3*/site-packages/torch/version.py", "[4/5] Python environment: building"},
	{"environment", "HOME/python/*/qie-complete", "[4/5] Python environment: building"},
	{"self-test", "HOME/run/self-test.json", "[5/5] Self-test: the demo"},
}

// coreutils is what PATH holds in the test beside sh, git and python3.
const coreutils = "[ basename cat chmod cp cut date dirname env expr false head id ln ls mkdir mktemp mv nproc printf pwd readlink " +
	"realpath rm rmdir sha256sum sleep sort tail tee test touch tr true uname uniq wc"

// secondRunMax bounds a set-up that finds everything done.
const secondRunMax = 5 * time.Second

// fresh does in a fresh clone what README says, with nothing on PATH but python3, git and coreutils, and kills the
// set-up after each of its steps: the next run must go on from there. The caches of uv, npm and Go are this machine's.
func fresh(ctx context.Context, _ []string) error {
	top, err := os.MkdirTemp("", "qie fresh ünï 照片 *")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = removeAll(top) }()
	f := &freshClone{dir: filepath.Join(top, "qie"), home: filepath.Join(top, "home", "qwen-image-editor")}
	if err := f.prepare(ctx, top); err != nil {
		return err
	}
	if err := f.refuses(ctx); err != nil {
		return err
	}
	for i, step := range setupSteps {
		output, err := f.setupUntil(ctx, step.done)
		if err != nil {
			return fmt.Errorf("set-up until %s: %w\n%s", step.name, err, output)
		}
		for _, earlier := range setupSteps[:i] {
			if earlier.begins != step.begins && strings.Contains(output, earlier.begins) {
				return fmt.Errorf("set-up killed after %s began %s again:\n%s", setupSteps[i-1].name, earlier.name, output)
			}
		}
		if !strings.Contains(output, step.begins) {
			return fmt.Errorf("set-up did not say %q:\n%s", step.begins, output)
		}
		fmt.Println("killed after", step.name)
	}
	if err := f.twice(ctx); err != nil {
		return err
	}
	began := time.Now()
	if output, err := f.run(ctx, lineSetup); err != nil || time.Since(began) > secondRunMax {
		return fmt.Errorf("a second run took %v, the limit is %v: %w\n%s", time.Since(began), secondRunMax, err, output)
	}
	fmt.Printf("second run: %.1f s\n", time.Since(began).Seconds())
	if output, err := f.run(ctx, "cp", "pyruntime/demo/testdata/photos/coffee.jpg", "photo.jpg"); err != nil {
		return fmt.Errorf("a photo: %w\n%s", err, output)
	}
	if output, err := f.run(ctx, lineEdit); err != nil {
		return fmt.Errorf("edit without a server: %w\n%s", err, output)
	}
	info, err := os.Stat(filepath.Join(f.dir, "out.png"))
	if err != nil || info.Size() < 10_000 {
		return fmt.Errorf("the edited picture: %w", err)
	}
	if err := f.pulls(ctx); err != nil {
		return err
	}
	if output, err := f.run(ctx, ".qie/bin/qie doctor"); err != nil || !strings.Contains(output, "[✓]") {
		return fmt.Errorf("doctor: %w\n%s", err, output)
	}
	fmt.Println("doctor is green for the demo")
	return f.serves(ctx)
}

type freshClone struct {
	dir, home string
	env       []string
}

func (f *freshClone) prepare(ctx context.Context, top string) error {
	bin := filepath.Join(top, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o700), os.MkdirAll(filepath.Dir(f.home), 0o700)); err != nil {
		return err
	}
	for _, name := range append(strings.Fields(coreutils), "sh", "git") {
		if path, err := exec.LookPath(name); err == nil {
			if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
				return err
			}
		}
	}
	python, err := exec.CommandContext(ctx, "python3", "-c", "import os, sys; print(os.path.realpath(sys._base_executable))").Output()
	if err != nil {
		return fmt.Errorf("python3: %w", err)
	}
	if err := os.Symlink(strings.TrimSpace(string(python)), filepath.Join(bin, "python3")); err != nil {
		return err
	}
	f.env = []string{"PATH=" + bin, "HOME=" + filepath.Dir(f.home), "LANG=C.UTF-8"}
	caches := map[string][]string{"UV_CACHE_DIR": {"uv", "cache", "dir"}, "GOMODCACHE": {"go", "env", "GOMODCACHE"},
		"npm_config_cache": {"npm", "config", "get", "cache"}, "GOPROXY": {"go", "env", "GOPROXY"}, "GOSUMDB": {"go", "env", "GOSUMDB"}}
	for name, command := range caches {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err != nil {
			return fmt.Errorf("%v: %w", command, err)
		}
		f.env = append(f.env, name+"="+strings.TrimSpace(string(out)))
	}
	// How packages are reached is the machine's business, not the clone's.
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		upper := strings.ToUpper(name)
		if strings.HasSuffix(upper, "_PROXY") || strings.HasPrefix(upper, "PIP_") || strings.HasPrefix(upper, "UV_") && upper != "UV_CACHE_DIR" ||
			strings.HasPrefix(upper, "NPM_CONFIG_") && upper != "NPM_CONFIG_CACHE" || strings.Contains(upper, "CERT") {
			f.env = append(f.env, pair)
		}
	}
	f.env = append(f.env, configFiles()...)
	// A checkout of another user, as in a container, is no reason to refuse. The file is read by git's children too.
	trust := filepath.Join(top, "gitconfig")
	if err := os.WriteFile(trust, []byte("[safe]\n\tdirectory = *\n"), 0o600); err != nil {
		return err
	}
	clone := exec.CommandContext(ctx, "git", "clone", "-q", "--no-hardlinks", ".", f.dir)
	clone.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+trust)
	if output, err := clone.CombinedOutput(); err != nil {
		return fmt.Errorf("clone: %w\n%s", err, output)
	}
	return nil
}

// configFiles name the package managers' own settings, which an empty HOME would hide: the mirror of a machine without
// internet stands there.
func configFiles() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var env []string
	for name, paths := range map[string][]string{
		"PIP_CONFIG_FILE": {".config/pip/pip.conf", ".pip/pip.conf"}, "UV_CONFIG_FILE": {".config/uv/uv.toml"}, "npm_config_userconfig": {".npmrc"},
	} {
		for _, path := range paths {
			if file := filepath.Join(home, path); os.Getenv(name) == "" && isFile(file) {
				env = append(env, name+"="+file)
			}
		}
	}
	return env
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// command is a line for a shell, with further words.
func (f *freshClone) command(ctx context.Context, line string, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", "exec " + line + ` "$@"`, "sh"}, words...)...)
	cmd.Dir, cmd.Env = f.dir, f.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (f *freshClone) run(ctx context.Context, line string, words ...string) (string, error) {
	output, err := f.command(ctx, line, words...).CombinedOutput()
	return string(output), err
}

// setupUntil kills the whole set-up as soon as the file of a step is there.
func (f *freshClone) setupUntil(ctx context.Context, done string) (string, error) {
	pattern := strings.Replace(done, "HOME", f.home, 1)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(f.dir, pattern)
	}
	var output bytes.Buffer
	cmd := f.command(ctx, lineSetup)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for poll := time.NewTicker(5 * time.Millisecond); ; {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)        // it may have ended meanwhile
			if err := <-ended; err != nil && cmd.ProcessState == nil { // killed is what it should be
				return output.String(), err
			}
			return output.String(), nil
		}
		select {
		case err := <-ended:
			if found, _ := filepath.Glob(pattern); len(found) > 0 {
				return output.String(), nil
			}
			return output.String(), fmt.Errorf("it ended without %s: %w", done, err)
		case <-poll.C:
		}
	}
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// serves starts the program by ./start, edits by the server, and ends it like Ctrl+C does.
func (f *freshClone) serves(ctx context.Context) error {
	var output bytes.Buffer
	began := time.Now()
	cmd := f.command(ctx, lineStart, "--port", "0")
	cmd.Stdout = &output
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	took, err := f.answers(ctx, began)
	if err != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return errors.Join(err, <-ended)
	}
	fmt.Printf("./start to a page that answers: %d ms\n", took.Milliseconds())
	edited, err := f.run(ctx, ".qie/bin/qie edit", "-i", "pyruntime/demo/testdata/photos/cat.jpg", "make it sepia", "-o", "cat.png")
	if err != nil {
		err = fmt.Errorf("edit on the server: %w\n%s", err, edited)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	select {
	case stop := <-ended:
		err = errors.Join(err, stop)
	case <-time.After(30 * time.Second):
		err = errors.Join(err, errors.New("./start does not end after Ctrl+C"))
	}
	if !address.MatchString(output.String()) {
		err = errors.Join(err, fmt.Errorf("./start printed no address: %s", output.String()))
	}
	return err
}

// startMax is how long ./start may take to a page that answers, set-up done.
const startMax = time.Second

// answers waits until the page is served, and tells how long it took since began.
func (f *freshClone) answers(ctx context.Context, began time.Time) (time.Duration, error) {
	for poll := time.NewTicker(5 * time.Millisecond); ; <-poll.C {
		took := time.Since(began)
		if took > 30*time.Second {
			return took, errors.New("./start serves no page")
		}
		data, err := os.ReadFile(filepath.Join(f.home, "run", "instance.json"))
		if err != nil {
			continue
		}
		url := address.FindString(string(data))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil || url == "" {
			continue
		}
		req.Header.Set("Accept", "text/html")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if took = time.Since(began); res.StatusCode != http.StatusOK || took > startMax {
			return took, fmt.Errorf("./start answered %s after %v, the limit is %v", res.Status, took, startMax)
		}
		return took, nil
	}
}

// refuses runs the set-up as a user who may write neither to the clone nor to a home: it says so before it fetches
// anything.
func (f *freshClone) refuses(ctx context.Context) error {
	cmd := f.command(ctx, lineSetup)
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		// These are this user's alone, also by the umask of setup.sh --test; nobody has to come as far as the clone.
		for _, path := range []string{filepath.Dir(f.dir), f.dir, filepath.Join(f.dir, "setup.sh"), filepath.Join(filepath.Dir(f.dir), "bin")} {
			if err := os.Chmod(path, 0o755); err != nil {
				return err
			}
		}
	} else {
		if err := os.Chmod(f.dir, 0o555); err != nil {
			return err
		}
		defer func() { _ = os.Chmod(f.dir, 0o700) }()
	}
	output, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "you cannot write to this folder") || strings.Contains(string(output), "[1/5]") {
		return fmt.Errorf("set-up by a user without write access: %w\n%s", err, output)
	}
	fmt.Println("refused without write access")
	return nil
}

// twice starts two set-ups at once where program, environment and self-test are still to be made: both end well.
func (f *freshClone) twice(ctx context.Context) error {
	made, err := filepath.Glob(filepath.Join(f.home, "python", "*"))
	if err != nil || len(made) == 0 {
		return fmt.Errorf("no environment to take away: %w", err)
	}
	made = append(made, filepath.Join(f.dir, ".qie", "bin"), filepath.Join(f.home, "run", "self-test.json"))
	for _, path := range made {
		if err := removeAll(path); err != nil {
			return err
		}
	}
	second := make(chan error, 1)
	go func() {
		output, err := f.run(ctx, lineSetup)
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, output)
		}
		second <- err
	}()
	output, err := f.run(ctx, lineSetup)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, output)
	}
	if err = errors.Join(err, <-second); err != nil {
		return fmt.Errorf("two set-ups at once: %w", err)
	}
	fmt.Println("two set-ups at once end well")
	return nil
}

// A model of 64 MB comes through a network that breaks about every 4 MB; the pull is killed on the way.
const (
	freshModel  = "qwen-image-edit-2509"
	freshRepo   = "Qwen/Qwen-Image-Edit-2509"
	freshFile   = "transformer/diffusion_pytorch_model.safetensors"
	freshBytes  = 64 << 20
	freshBreaks = 4 << 20
)

// pulls fetches the model, kills the pull in its middle, and fetches the rest.
func (f *freshClone) pulls(ctx context.Context) error {
	hub, err := downloadtest.New(map[string]map[string]*downloadtest.File{freshRepo: {
		"model_index.json": {Text: `{"_class_name":"QwenImageEditPlusPipeline","transformer":["diffusers","QwenImageTransformer2DModel"]}`},
		freshFile:          {Size: freshBytes},
	}})
	if err != nil {
		return err
	}
	defer hub.Close()
	hub.BreakEvery = freshBreaks
	pull := func() *exec.Cmd {
		cmd := f.command(ctx, ".qie/bin/qie pull", freshModel, "--yes")
		cmd.Env = append(slices.Clone(f.env), "HF_ENDPOINT="+hub.URL, "NO_PROXY=*")
		return cmd
	}
	began := time.Now()
	cmd := pull()
	var output bytes.Buffer
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for poll := time.NewTicker(5 * time.Millisecond); hub.Sent() < freshBytes/2; {
		select {
		case err := <-ended:
			return fmt.Errorf("the pull ended before half of it was here: %w\n%s", err, output.String())
		case <-poll.C:
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if err := <-ended; err == nil {
		return errors.New("the pull was done before it was killed")
	}
	if output, err := pull().CombinedOutput(); err != nil || !strings.Contains(string(output), freshModel+" is here") {
		return fmt.Errorf("the pull after the kill: %w\n%s", err, output)
	}
	blob := filepath.Join(f.home, "huggingface_cache", "hub", "models--"+strings.ReplaceAll(freshRepo, "/", "--"), "blobs", hub.Hash(freshRepo, freshFile))
	data, err := os.ReadFile(blob)
	if err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != filepath.Base(blob) {
		return fmt.Errorf("the pulled file of %d bytes is not what was sent: %w", len(data), err)
	}
	fmt.Printf("a pull of %d MB, broken and killed: %.1f s, %.1f MB sent\n", freshBytes>>20, time.Since(began).Seconds(), float64(hub.Sent())/(1<<20))
	return nil
}

// removeAll also takes folders that Go's module cache made read-only.
func removeAll(top string) error {
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(top)
}
