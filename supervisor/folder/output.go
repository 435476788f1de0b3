package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// nonblock keeps an open from waiting for the other end of a pipe that took a file's place.
const nonblock = syscall.O_NONBLOCK

// namesMax bounds the search for a free name.
const namesMax = 1000

// draftForm is the name of a copy that is being written.
var draftForm = regexp.MustCompile(`^\.qie-[0-9a-f]{16}\.part$`)

// draftStale is the age of a draft whose program is gone.
const draftStale = time.Hour

// Put copies r into dir and gives the name it got: the one asked for, else with -2, -3 and so on in front of the
// ending. It never replaces a file and never follows a link; a file that holds the same bytes already is the copy.
func Put(dir, name string, r io.Reader) (string, error) {
	if name == "." || !filepath.IsLocal(name) || filepath.Base(name) != name {
		return "", fmt.Errorf("file name %q", name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	var b [8]byte
	_, _ = rand.Read(b[:])
	draft := ".qie-" + hex.EncodeToString(b[:]) + ".part"
	defer func() { _ = root.Remove(draft) }()
	hash, err := write(root, draft, r)
	if err != nil {
		return "", err
	}
	for n := 1; n <= namesMax; n++ {
		candidate := numbered(name, n)
		err := place(root, draft, candidate)
		if err == nil {
			return candidate, syncFolder(root)
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if f, err := openRegular(root, candidate); err == nil {
			same, readErr := digest(f)
			_ = f.Close()
			if readErr == nil && same == hash {
				return candidate, nil
			}
		}
	}
	return "", fmt.Errorf("%d files are named like %s", namesMax, name)
}

// Sweep removes the drafts of programs that are gone.
func Sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // no folder, no drafts
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && draftForm.MatchString(e.Name()) && info.Mode().IsRegular() && time.Since(info.ModTime()) > draftStale {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	ext := filepath.Ext(name)
	return fmt.Sprintf("%s-%d%s", name[:len(name)-len(ext)], n, ext)
}

func write(root *os.Root, name string, r io.Reader) (hash string, err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), r)
	err = errors.Join(err, f.Sync(), f.Close())
	return hex.EncodeToString(sum.Sum(nil)), err
}

// place gives the draft a second name that nobody has. A file system without links (exFAT) gets a copy.
func place(root *os.Root, draft, name string) error {
	err := root.Link(draft, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	in, err := root.Open(draft)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if _, err = write(root, name, in); err != nil && !errors.Is(err, fs.ErrExist) {
		_ = root.Remove(name)
	}
	return err
}

func digest(r io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil)), err
}

func syncFolder(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
