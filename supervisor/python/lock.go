package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const lockPoll = 100 * time.Millisecond

// lock waits until no other program builds in the folder. uv inherits the file, so that a uv which outlives a killed
// program keeps the next one waiting instead of writing into its folder.
func (e Env) lock(ctx context.Context) (*os.File, error) {
	dir := filepath.Dir(e.Dir())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the environment's folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for said := false; ; {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the environment's folder: %w", err), file.Close())
		}
		if !said {
			said = true
			e.say("waiting: another set-up builds the environment")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-poll.C:
		}
	}
}
