package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Logs are bounded: with worker.log, which has its own limit, they stay below 50 MB.
const (
	logMegabytes = 2
	logKept      = 3
	// serviceBytes is how much of service.log is kept at a start: the system writes that file, so nobody turns it over.
	serviceBytes = 1 << 20
)

func openLog(home string) io.WriteCloser {
	return &lumberjack.Logger{Filename: filepath.Join(home, "logs", "qie.log"), MaxSize: logMegabytes, MaxBackups: logKept}
}

// serviceLog is where launchd puts what the service prints.
func serviceLog(home string) string { return filepath.Join(home, "logs", "service.log") }

// trimLog cuts the beginning of a file that somebody else holds open for appending, so that its last bytes stay.
func trimLog(path string, keep int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() <= keep {
		return err
	}
	tail := make([]byte, keep)
	if _, err := f.ReadAt(tail, info.Size()-keep); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(tail, 0)
	return err
}
