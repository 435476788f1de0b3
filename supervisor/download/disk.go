package download

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"qie/supervisor/host"
	"qie/supervisor/job"
)

// diskError names what the disk did in words; anything else stays as it is.
func diskError(err error) error {
	var typed *job.Error
	switch {
	case err == nil || errors.As(err, &typed):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return job.Errorf(job.CodeDiskFull, "the disk is full: %w", err).WithHint(hintSpace)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return job.Errorf(job.CodeDiskError, "the model folder cannot be written: %w", err).
			WithHint("give yourself write access to it, or set HF_HOME to another folder")
	}
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &path) || errors.As(err, &link) {
		return job.Errorf(job.CodeDiskError, "the disk refused: %w", err).WithHint("look at the disk, then pull again")
	}
	return err
}

const hintSpace = "free some space (qie cleanup --status shows what qie holds), or set HF_HOME to a folder on a larger disk"

// room tells whether so many bytes fit, with a tenth more and what has to stay free.
func (d *Downloader) room(need int64) error {
	free, err := d.o.DiskFree(existing(d.o.Cache))
	// A system that does not tell must not stop the pull; a full disk does.
	if want := need + need/10 + d.o.DiskFloor; err == nil && d.o.DiskFloor >= 0 && free < want {
		return job.Errorf(job.CodeDiskFull, "%s are still to be fetched; with a tenth more and %s that stay free the disk needs %s, and has %s",
			host.Gigabytes(need), host.Gigabytes(d.o.DiskFloor), host.Gigabytes(want), host.Gigabytes(free)).WithHint(hintSpace)
	}
	return nil
}

// existing is the nearest folder above that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// writeFile writes by temp, fsync, rename and fsync of the folder.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return diskError(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".writing-*")
	if err != nil {
		return diskError(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return diskError(err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return diskError(err)
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // some network file systems have nothing to sync
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return diskError(fmt.Errorf("fsync %s: %w", dir, err))
	}
	return nil
}
