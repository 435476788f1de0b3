package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"qie/supervisor/failpoint"
	"qie/supervisor/job"
)

const (
	spoolDir = ".spool"
	// pendingFile lies in a job's folder until its row is durable. A folder that still has it and has no row belongs to
	// a submit that was killed, or to a removed job whose files could not be removed.
	pendingFile = ".pending"
)

// The files in the folder of a job.
const (
	RecipeFile  = "recipe.json"
	ResultFile  = "result.png"
	PreviewFile = "preview.jpg"
	MaskFile    = "mask.png"
	// CheckpointFile holds the denoise of an attempt that broke off, until the job ends.
	CheckpointFile = "checkpoint"
)

// AttemptPrefix begins the name of whatever one attempt writes.
const AttemptPrefix = "attempt-"

// ThumbFile names the small picture of a job: 0 of its source, 1 of its result.
func ThumbFile(n int) string { return "thumb-" + strconv.Itoa(n) + ".jpg" }

// InputFile names source n, from 1, as the worker reads it.
func InputFile(n int) string { return "input-" + strconv.Itoa(n) + ".png" }

// Dir is the absolute path of a job's folder.
func (s *Store) Dir(id job.ID) string { return filepath.Join(s.jobs, string(id)) }

// JobsDir is the absolute path of the jobs folder.
func (s *Store) JobsDir() string { return s.jobs }

// NewSpool makes an empty file for an upload. Discard it by RemoveSpool, or place it in a job's folder.
func (s *Store) NewSpool() (*os.File, string, error) {
	if err := s.root.Mkdir(spoolDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, "", DiskError(fmt.Errorf("spool: %w", err))
	}
	var b [16]byte
	_, _ = rand.Read(b[:])
	name := spoolDir + "/" + hex.EncodeToString(b[:])
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, "", DiskError(fmt.Errorf("spool: %w", err))
	}
	return f, name, nil
}

// OpenSpool opens what NewSpool made.
func (s *Store) OpenSpool(name string) (*os.File, error) { return s.root.Open(name) }

// RemoveSpool drops an upload; one that was placed is gone already.
func (s *Store) RemoveSpool(name string) { _ = s.root.Remove(name) }

// NewFolder makes the folder of a job that has no row yet.
func (s *Store) NewFolder(id job.ID) error {
	if err := s.root.Mkdir(string(id), 0o700); err != nil {
		return DiskError(fmt.Errorf("folder of the job: %w", err))
	}
	f, err := s.root.OpenFile(string(id)+"/"+pendingFile, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return DiskError(errors.Join(fmt.Errorf("folder of the job: %w", err), s.root.RemoveAll(string(id))))
	}
	failpoint.At("folder.made")
	return nil
}

// Settle makes the folder and everything in it durable; call it before Insert.
func (s *Store) Settle(id job.ID) error {
	failpoint.At("settle.begin")
	if err := s.sync(string(id)); err != nil {
		return err
	}
	failpoint.At("settle.folder")
	return s.sync(".")
}

// Keep tells that the row is durable.
func (s *Store) Keep(id job.ID) {
	failpoint.At("keep")
	_ = s.root.Remove(string(id) + "/" + pendingFile)
}

// Create opens a new file in a job's folder under a temporary name; Finish or Abort ends it.
func (s *Store) Create(id job.ID, name string) (*Draft, error) {
	if !filepath.IsLocal(name) || filepath.Base(name) != name {
		return nil, fmt.Errorf("file name %q", name)
	}
	temp := string(id) + "/." + name + ".part"
	f, err := s.root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, DiskError(fmt.Errorf("create %s: %w", name, err))
	}
	return &Draft{File: f, store: s, temp: temp, name: string(id) + "/" + name}, nil
}

// The guards that a test takes away to see that it would notice.
const (
	GuardFolderSync = "folder.sync"
	GuardFull       = "synchronous.full"
)

// Draft is a file that is not there yet for anybody else.
type Draft struct {
	File  *os.File
	store *Store
	temp  string
	name  string
}

// Finish syncs and renames; Settle makes the name durable.
func (d *Draft) Finish() error {
	err := d.File.Sync()
	if closeErr := d.File.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		failpoint.At("file.synced")
		err = d.store.root.Rename(d.temp, d.name)
	}
	if err != nil {
		_ = d.store.root.Remove(d.temp)
		return DiskError(fmt.Errorf("write %s: %w", d.name, err))
	}
	return nil
}

// Abort drops the file.
func (d *Draft) Abort() {
	_ = d.File.Close()
	_ = d.store.root.Remove(d.temp)
}

// WriteFile writes a small file of a job.
func (s *Store) WriteFile(id job.ID, name string, data []byte) error {
	d, err := s.Create(id, name)
	if err != nil {
		return err
	}
	if _, err := d.File.Write(data); err != nil {
		d.Abort()
		return DiskError(fmt.Errorf("write %s: %w", name, err))
	}
	return d.Finish()
}

// PlaceSpool moves an upload into a job's folder: the untouched original beside what was made of it.
func (s *Store) PlaceSpool(spool string, id job.ID, name string) error {
	if err := s.root.Rename(spool, string(id)+"/"+name); err != nil {
		return DiskError(fmt.Errorf("keep the upload: %w", err))
	}
	failpoint.At("upload.placed")
	return nil
}

// Rename gives a file of a job its final name, durably.
func (s *Store) Rename(id job.ID, from, to string) error {
	failpoint.At("result.verified")
	if err := s.root.Rename(string(id)+"/"+from, string(id)+"/"+to); err != nil {
		return DiskError(fmt.Errorf("rename %s: %w", from, err))
	}
	failpoint.At("result.renamed")
	if err := s.sync(string(id)); err != nil {
		return err
	}
	failpoint.At("result.durable")
	return nil
}

// OpenFile opens a file of a job for reading. Nothing outside the jobs folder can be reached.
func (s *Store) OpenFile(id job.ID, name string) (*os.File, error) {
	if !id.Valid() {
		return nil, notFound(id)
	}
	f, err := s.root.Open(string(id) + "/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, job.Errorf(job.CodeNotFound, "job %s has no %s", id, name)
	}
	return f, err
}

// RemoveFile drops one file of a job; a missing one is fine.
func (s *Store) RemoveFile(id job.ID, name string) { _ = s.root.Remove(string(id) + "/" + name) }

// RemoveAttempts drops the pictures that attempts wrote, whole and half, but not the result.
func (s *Store) RemoveAttempts(id job.ID) {
	entries, err := fs.ReadDir(s.root.FS(), string(id))
	if err != nil {
		return // no folder, no files
	}
	for _, e := range entries {
		if name := strings.TrimLeft(e.Name(), "."); strings.HasPrefix(name, AttemptPrefix) && strings.Contains(name, ".png") {
			s.RemoveFile(id, e.Name())
		}
	}
}

// RemoveFiles drops the folder of a job. What cannot be removed now is marked, and goes at the next start.
func (s *Store) RemoveFiles(id job.ID) error {
	if !id.Valid() {
		return notFound(id)
	}
	if err := s.root.RemoveAll(string(id)); err != nil {
		if f, err := s.root.OpenFile(string(id)+"/"+pendingFile, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_ = f.Close()
		}
		return fmt.Errorf("remove the files of job %s: %w", id, err)
	}
	return nil
}

// sync makes the names in a folder durable. Without it a file that was synced may be gone after a power cut.
func (s *Store) sync(dir string) error {
	if failpoint.Off(GuardFolderSync) {
		return nil
	}
	f, err := s.root.Open(dir)
	if err != nil {
		return DiskError(fmt.Errorf("sync folder: %w", err))
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return DiskError(err)
}

// clean removes what was left: uploads, folders of submits that were never acknowledged, and files of removed jobs.
func (s *Store) clean(ctx context.Context) error {
	if err := s.root.RemoveAll(spoolDir); err != nil {
		return fmt.Errorf("clean the spool: %w", err)
	}
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("jobs folder: %w", err)
	}
	for _, e := range entries {
		id := job.ID(e.Name())
		if !e.IsDir() || !id.Valid() {
			continue
		}
		if _, err := s.root.Lstat(e.Name() + "/" + pendingFile); err != nil {
			continue
		}
		_, err := s.Row(ctx, id)
		switch {
		case err == nil:
			s.Keep(id)
		case job.AsError(err).Code == job.CodeNotFound:
			_ = s.RemoveFiles(id) // what stays is tried at every start, and keeps nobody from starting
		default:
			return err
		}
	}
	return nil
}
