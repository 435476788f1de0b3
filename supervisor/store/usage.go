package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"qie/supervisor/job"
)

// OriginalsDir is the folder, beside those of the jobs, that keeps the untouched uploads of removed jobs.
const OriginalsDir = "originals"

// Original is an untouched upload in the folder of a job.
type Original struct {
	File  string // its name there
	Name  string // under which it is kept when the job is removed
	Bytes int64
}

// Ending is a job that has ended, without its contents.
type Ending struct {
	ID      job.ID
	Ended   time.Time
	Starred bool
}

// Endings gives every job that has ended, oldest end first.
func (s *Store) Endings(ctx context.Context) ([]Ending, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.read.QueryContext(ctx,
		"SELECT id, ended_ms, starred FROM jobs WHERE state IN ('succeeded', 'failed', 'canceled') ORDER BY ended_ms, num")
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	defer func() { _ = found.Close() }()
	var list []Ending
	for found.Next() {
		var e Ending
		var ended int64
		if err := found.Scan(&e.ID, &ended, &e.Starred); err != nil {
			return nil, err
		}
		e.Ended = time.UnixMilli(ended)
		list = append(list, e)
	}
	return list, found.Err()
}

// Every gives all jobs, newest first.
func (s *Store) Every(ctx context.Context) ([]Row, error) {
	return s.rows(ctx, "SELECT "+columns+" FROM jobs ORDER BY num DESC")
}

// Bytes sums the files of a job.
func (s *Store) Bytes(id job.ID) int64 {
	bytes, _ := s.sum(string(id))
	return bytes
}

// Kept counts the originals of removed jobs.
func (s *Store) Kept() (bytes int64, files int) { return s.sum(OriginalsDir) }

func (s *Store) sum(dir string) (bytes int64, files int) {
	_ = fs.WalkDir(s.root.FS(), dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() { // a file may be removed meanwhile
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
				files++
			}
		}
		return nil
	})
	return bytes, files
}

// Originals fills in the sizes of those that are there, and leaves out the others.
func (s *Store) Originals(id job.ID, wanted []Original) []Original {
	var there []Original
	for _, o := range wanted {
		if info, err := s.root.Lstat(string(id) + "/" + o.File); err == nil && info.Mode().IsRegular() {
			o.Bytes = info.Size()
			there = append(there, o)
		}
	}
	return there
}

// HasOriginal tells whether an original is kept under this name. One of another size is an error: it is not the same.
func (s *Store) HasOriginal(o Original) (bool, error) {
	info, err := s.root.Lstat(OriginalsDir + "/" + o.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, DiskError(err)
	}
	if !info.Mode().IsRegular() || info.Size() != o.Bytes {
		return false, job.Errorf(job.CodeConflict, "%s is not the original of that name any more; move it away first",
			filepath.Join(s.jobs, OriginalsDir, o.Name))
	}
	return true, nil
}

// KeepOriginal gives an original of a job its place among the kept ones, durably; the job keeps it as well.
func (s *Store) KeepOriginal(id job.ID, o Original) error {
	if filepath.Base(o.Name) != o.Name || !filepath.IsLocal(o.Name) {
		return fmt.Errorf("file name %q", o.Name)
	}
	if there, err := s.HasOriginal(o); there || err != nil {
		return err
	}
	if err := s.root.Mkdir(OriginalsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return DiskError(fmt.Errorf("keep the original: %w", err))
	}
	from, to := string(id)+"/"+o.File, OriginalsDir+"/"+o.Name
	err := s.root.Link(from, to)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = s.root.Rename(from, to) // a file system without links; the job is about to go
	}
	if err != nil {
		return DiskError(fmt.Errorf("keep the original: %w", err))
	}
	if err := s.sync(OriginalsDir); err != nil {
		return err
	}
	return s.sync(".")
}

// RemoveKept removes the originals that removed jobs left.
func (s *Store) RemoveKept() error {
	if err := s.root.RemoveAll(OriginalsDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return DiskError(fmt.Errorf("remove the kept originals: %w", err))
	}
	return nil
}
