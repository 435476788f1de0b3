package store

import (
	"errors"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"qie/supervisor/job"
)

// DiskError gives what a disk did not take its code and the one next action; anything else comes back as it is. The
// database has its own words for the same causes.
func DiskError(err error) error {
	var typed *job.Error
	if err == nil || errors.As(err, &typed) && (typed.Code == job.CodeDiskFull || typed.Code == job.CodeDiskError) {
		return err
	}
	var db *sqlite.Error
	if errors.As(err, &db) {
		switch db.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return diskFull(err)
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			return diskError(err)
		}
		return err
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return diskFull(err)
		}
	}
	// EFBIG is a limit on the size of a file, EROFS what a file system does to itself after an error.
	for _, broken := range []error{syscall.EIO, syscall.EFBIG, syscall.EROFS, syscall.ENXIO, syscall.ENODEV} {
		if errors.Is(err, broken) {
			return diskError(err)
		}
	}
	return err
}

func diskFull(err error) error {
	return job.Errorf(job.CodeDiskFull, "the disk is full: %w", err).WithHint("free some space, or run: qie cleanup --list")
}

func diskError(err error) error {
	return job.Errorf(job.CodeDiskError, "the disk did not take what was written: %w", err).
		WithHint("look at the disk and at its limits, then try again")
}
