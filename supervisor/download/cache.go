package download

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"qie/supervisor/catalog"
	"qie/supervisor/failpoint"
)

// The folders of one repository in a Hugging Face cache, and ours beside them. Nothing partial is ever in blobs.
const (
	blobs     = "blobs"
	snapshots = "snapshots"
	refs      = "refs"
	own       = ".qie" // parts, journals, and which blobs were hashed
)

// folderOf is the name of a repository's folder in a cache.
func folderOf(repository string) string {
	return "models--" + strings.ReplaceAll(repository, "/", "--")
}

func (d *Downloader) repo(repository string) string {
	return filepath.Join(d.o.Cache, folderOf(repository))
}

// Snapshot is the directory that a complete pull makes.
func (d *Downloader) Snapshot(m Manifest) string {
	return filepath.Join(d.repo(m.Repository), snapshots, m.Commit)
}

// newHash gives the hash that names a file's blob.
func newHash(f catalog.File) hash.Hash {
	if f.SHA256 != "" {
		return sha256.New()
	}
	h := sha1.New() // git's name for a small file; the hub gives no other
	h.Write(fmt.Appendf(nil, "blob %d\x00", f.Size))
	return h
}

// stamp is what a file looked like when it was hashed: a change of any of it means to hash it again.
type stamp struct {
	Size  int64  `json:"size"`
	Time  int64  `json:"mtime_ns"`
	Inode uint64 `json:"inode"`
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), Time: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode = sys.Ino
	}
	return s
}

func (d *Downloader) blob(repository, name string) string {
	return filepath.Join(d.repo(repository), blobs, name)
}

func (d *Downloader) ownFile(repository, name string) string {
	return filepath.Join(d.repo(repository), own, name)
}

// hashed tells whether a blob was hashed and has not changed since. It reads nothing of the blob.
func (d *Downloader) hashed(repository string, f catalog.File) bool {
	info, err := os.Stat(d.blob(repository, f.Blob()))
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false
	}
	data, err := os.ReadFile(d.ownFile(repository, f.Blob()+".ok"))
	var s stamp
	return err == nil && json.Unmarshal(data, &s) == nil && s == stampOf(info)
}

// remember keeps that a blob was hashed.
func (d *Downloader) remember(repository string, f catalog.File) error {
	info, err := os.Stat(d.blob(repository, f.Blob()))
	if err != nil {
		return diskError(err)
	}
	data, err := json.Marshal(stampOf(info))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return writeFile(d.ownFile(repository, f.Blob()+".ok"), data)
}

// sameBytes hashes a file and compares. read is told of what was read, and may stop it.
func sameBytes(path string, f catalog.File, read func(int64) error) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us
	if err != nil {
		return false, diskError(err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false, err
	}
	sum, buf := newHash(f), make([]byte, 1<<20)
	for {
		n, err := file.Read(buf)
		sum.Write(buf[:n])
		if stop := read(int64(n)); stop != nil {
			return false, stop
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(sum.Sum(nil)) == f.Blob(), nil
		}
		if err != nil {
			return false, diskError(err)
		}
	}
}

// place moves a file whose bytes were compared into blobs, for good.
func (d *Downloader) place(repository string, f catalog.File, from string) error {
	to := d.blob(repository, f.Blob())
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return diskError(err)
	}
	if err := os.Rename(from, to); err != nil {
		return diskError(err)
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return d.remember(repository, f)
}

// link makes the snapshot of a manifest whose blobs are all there. model_index.json comes last: without it nobody takes
// the directory for a model.
func (d *Downloader) link(m Manifest) error {
	dir := d.Snapshot(m)
	var last []catalog.File
	for _, f := range m.Files {
		if f.Path == "model_index.json" {
			last = append(last, f)
			continue
		}
		if err := d.linkFile(m, f); err != nil {
			return err
		}
	}
	failpoint.At("download: before model_index")
	for _, f := range last {
		if err := d.linkFile(m, f); err != nil {
			return err
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	// What another program calls main stays what it was.
	main := filepath.Join(d.repo(m.Repository), refs, catalog.Main)
	if _, err := os.Stat(main); err == nil {
		return nil
	}
	return writeFile(main, []byte(m.Commit))
}

func (d *Downloader) linkFile(m Manifest, f catalog.File) error {
	path := filepath.Join(d.Snapshot(m), filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return diskError(err)
	}
	to := strings.Repeat("../", strings.Count(f.Path, "/")+2) + blobs + "/" + f.Blob()
	if have, err := os.Readlink(path); err == nil && have == to {
		return nil
	}
	// Beside, then in its place: a pull that is killed leaves the old link or the new one.
	temp := path + ".linking"
	_ = os.Remove(temp)
	if err := os.Symlink(to, temp); err != nil {
		// Some disks (exFAT) have no links of any kind: there the file itself has to lie in the snapshot.
		return diskError(fmt.Errorf("this disk takes no symbolic links, which a model folder is made of: %w", err))
	}
	return diskError(os.Rename(temp, path))
}

// Complete tells whether every file of a manifest is in the cache, hashed and linked. It reads no weights.
func (d *Downloader) Complete(m Manifest) bool {
	for _, f := range m.Files {
		if !d.hashed(m.Repository, f) {
			return false
		}
		info, err := os.Stat(filepath.Join(d.Snapshot(m), filepath.FromSlash(f.Path)))
		if err != nil || info.Size() != f.Size {
			return false
		}
	}
	return len(m.Files) > 0
}

// begun is how many bytes of a file an earlier pull has left, as its journal says.
func (d *Downloader) begun(repository string, f catalog.File) int64 {
	info, err := os.Stat(d.ownFile(repository, f.Blob()+".journal"))
	if err != nil {
		return 0
	}
	return min(f.Size, Journaled(info.Size()))
}

// Journaled is how many bytes of its file a journal of this size vouches for.
func Journaled(size int64) int64 { return size / recordSize * blockSize }

// Have is how many bytes of a manifest are in the cache: whole files, and what the journals of others say. It reads no
// weights, so it may be a little more than what turns out to be whole.
func (d *Downloader) Have(m Manifest) int64 {
	var sum int64
	seen := map[string]bool{}
	for _, f := range m.Files {
		if seen[f.Blob()] {
			continue
		}
		seen[f.Blob()] = true
		if d.hashed(m.Repository, f) {
			sum += f.Size
		} else {
			sum += d.begun(m.Repository, f)
		}
	}
	return sum
}

// Remove deletes the files of a manifest, what is on the way of them, and the folders that are then empty. Files of the
// same repository that other entries want stay.
func (d *Downloader) Remove(m Manifest, keep []catalog.File) error {
	kept := map[string]bool{}
	for _, f := range keep {
		kept[f.Blob()] = true
	}
	var errs []error
	remove := func(path string) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, diskError(err))
		}
	}
	for _, f := range m.Files {
		if kept[f.Blob()] {
			continue
		}
		remove(filepath.Join(d.Snapshot(m), filepath.FromSlash(f.Path)))
		remove(d.blob(m.Repository, f.Blob()))
		for _, ending := range []string{".part", ".journal", ".ok"} {
			remove(d.ownFile(m.Repository, f.Blob()+ending))
		}
	}
	emptied(d.repo(m.Repository))
	return errors.Join(errs...)
}

// emptied removes a folder and those in it that hold nothing but the name of a commit.
func emptied(dir string) {
	entries, err := os.ReadDir(filepath.Join(dir, blobs))
	if err == nil && len(entries) == 0 {
		_ = os.RemoveAll(filepath.Join(dir, refs))
	}
	var walk func(string)
	walk = func(dir string) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				walk(filepath.Join(dir, e.Name()))
			}
		}
		_ = os.Remove(dir) // refused while anything is in it
	}
	walk(dir)
}
