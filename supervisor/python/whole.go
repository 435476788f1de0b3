package python

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// listName is the file of an environment that names its packages: one line "NAME.dist-info SHA256 of its RECORD". A
// RECORD names every file of a package with size and hash.
const listName = "qie-packages"

// Whole looks at every file of the environment's packages: that it is there and has its size, and with everyByte its
// hash. It counts the files, and starts no Python. The error is the first that is wrong.
func (e Env) Whole(ctx context.Context, everyByte bool) (files int, err error) {
	if err := e.Ready(); err != nil {
		return 0, err
	}
	site, err := sitePackages(e.Dir())
	if err != nil {
		return 0, err
	}
	packages, err := packagesOf(e.Dir(), site)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan string, len(packages))
	for _, p := range packages {
		work <- p
	}
	close(work)
	var count atomic.Int64
	var all sync.WaitGroup
	for range runtime.NumCPU() {
		all.Go(func() {
			for p := range work {
				n, err := checkPackage(ctx, site, p, everyByte)
				count.Add(int64(n))
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return int(count.Load()), context.Cause(ctx)
}

// packagesOf names the dist-info folders that must be there. An environment of a developer has no list; what is there
// counts.
func packagesOf(dir, site string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, listName))
	if errors.Is(err, os.ErrNotExist) {
		found, _ := filepath.Glob(filepath.Join(site, "*.dist-info"))
		for i, f := range found {
			found[i] = filepath.Base(f)
		}
		return found, nil
	}
	if err != nil {
		return nil, broken("the Python environment's list of packages cannot be read", err)
	}
	var packages []string
	for line := range strings.Lines(string(data)) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		sum, err := hashFile(filepath.Join(site, name, "RECORD"))
		if err != nil {
			return nil, broken("the Python environment misses the package "+packageName(name), err)
		}
		if hex.EncodeToString(sum) != want {
			return nil, broken("the Python environment has another build of the package "+packageName(name), nil)
		}
		packages = append(packages, name)
	}
	return packages, nil
}

// writeList notes the packages of a fresh environment.
func writeList(dir string) error {
	site, err := sitePackages(dir)
	if err != nil {
		return err
	}
	found, _ := filepath.Glob(filepath.Join(site, "*.dist-info"))
	slices.Sort(found)
	var list strings.Builder
	for _, f := range found {
		sum, err := hashFile(filepath.Join(f, "RECORD"))
		if err != nil {
			return broken("the package "+packageName(filepath.Base(f))+" came without a list of its files", err)
		}
		fmt.Fprintf(&list, "%s %x\n", filepath.Base(f), sum)
	}
	return writeFile(filepath.Join(dir, listName), []byte(list.String()))
}

func packageName(distInfo string) string { return strings.TrimSuffix(distInfo, ".dist-info") }

// checkPackage walks the RECORD of one package.
func checkPackage(ctx context.Context, site, distInfo string, everyByte bool) (int, error) {
	file, err := os.Open(filepath.Join(site, distInfo, "RECORD"))
	if err != nil {
		return 0, broken("the Python environment misses the package "+packageName(distInfo), err)
	}
	defer func() { _ = file.Close() }()
	rows, files := csv.NewReader(file), 0
	rows.FieldsPerRecord = -1
	for ctx.Err() == nil {
		row, err := rows.Read()
		if err == io.EOF {
			return files, nil
		}
		if err != nil || len(row) != 3 {
			return files, broken("the list of files of the package "+packageName(distInfo)+" is damaged", err)
		}
		if row[1] == "" { // RECORD itself, and byte code
			continue
		}
		if err := checkFile(site, row, everyByte); err != nil {
			return files, broken(fmt.Sprintf("the package %s is not whole: %v", packageName(distInfo), err), err)
		}
		files++
	}
	return files, nil
}

// checkFile compares a file with its row of RECORD: path, algorithm=hash, size.
func checkFile(site string, row []string, everyByte bool) error {
	path := filepath.Join(site, filepath.FromSlash(row[0]))
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s is missing", row[0])
	}
	if size := fmt.Sprint(info.Size()); row[2] != "" && size != row[2] {
		return fmt.Errorf("%s has %s bytes instead of %s", row[0], size, row[2])
	}
	want, ok := strings.CutPrefix(row[1], "sha256=")
	if !everyByte || !ok {
		return nil
	}
	sum, err := hashFile(path)
	if err != nil {
		return fmt.Errorf("%s cannot be read", row[0])
	}
	if base64.RawURLEncoding.EncodeToString(sum) != want {
		return fmt.Errorf("%s was changed", row[0])
	}
	return nil
}

func hashFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}

// SourceWhole compares the source that the environment points at with this program's, and counts its files.
func (e Env) SourceWhole() (dir string, files int, err error) {
	site, err := sitePackages(e.Dir())
	if err != nil {
		return "", 0, err
	}
	if e.Override != "" {
		if own, err := os.ReadFile(filepath.Join(site, ownPth)); err == nil { // a developer's own
			return strings.TrimSpace(string(own)), 0, nil
		}
	}
	pth, err := os.ReadFile(filepath.Join(site, pthName))
	if err != nil {
		return "", 0, broken("the Python environment does not name the worker's source", err)
	}
	dir = strings.TrimSpace(string(pth))
	source, err := e.files()
	if err != nil {
		return dir, 0, err
	}
	for _, f := range source {
		have, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.name)))
		if err != nil {
			return dir, 0, broken(f.name+" is missing", err)
		}
		if string(have) != string(f.data) {
			return dir, 0, broken(f.name+" is another one", nil)
		}
	}
	return dir, len(source), nil
}

// Reach asks the package index, as uv is set up to, for one package of the lock: mirror, proxy and certificates are
// uv's own. why is empty when it answers; late tells that there was no answer before ctx ended.
func (e Env) Reach(ctx context.Context) (why string, late bool) {
	cmd := exec.CommandContext(ctx, e.UV, "pip", "compile", "--quiet", "--no-deps", "--no-header", "--refresh", "--universal", "--python-version",
		fallbackPython, "--no-python-downloads", "-") // any Python will do; to fetch one would not be a look
	cmd.Env, cmd.Stdin = withoutPython(os.Environ()), strings.NewReader("msgspec\n")
	cmd.WaitDelay = 100 * time.Millisecond // it has ctx for its answer, and is killed then
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return "", false
	case ctx.Err() != nil:
		return "it gave no answer in time", true
	}
	return causeOf(string(out)), false
}

// causeOf is the innermost cause that uv prints; one with an address is passed over, which may hold a password.
func causeOf(output string) string {
	cause := "uv cannot reach it"
	for line := range strings.Lines(output) {
		if _, text, ok := strings.Cut(strings.ToLower(line), "cause"); ok && strings.HasPrefix(strings.TrimLeft(text, "d by"), ":") && !strings.Contains(line, "://") {
			_, text, _ = strings.Cut(line, ":")
			cause = strings.TrimSpace(text)
		}
	}
	return cause
}
