package download

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPoll is how often a file that another process fetches is looked at again.
const lockPoll = 200 * time.Millisecond

// lock takes the lock that Hugging Face's own client takes for the same blob, in the same place and way (flock), so that
// neither two of us nor one of them and us write one file. waiting is called once when somebody else has it.
func (d *Downloader) lock(ctx context.Context, repository, blob string, waiting func()) (unlock func(), err error) {
	path := filepath.Join(d.o.Cache, ".locks", folderOf(repository), blob+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, diskError(err)
	}
	for told := false; ; {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, diskError(err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// A lock file that was removed meanwhile is nobody's: another process may hold the new one.
			opened, errOpened := f.Stat()
			there, errThere := os.Stat(path)
			if errOpened == nil && errThere == nil && os.SameFile(opened, there) {
				return func() { _ = f.Close() }, nil
			}
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, diskError(&os.PathError{Op: "lock", Path: path, Err: err})
		}
		if !told {
			told = true
			waiting()
		}
		if err := wait(ctx, lockPoll); err != nil {
			return nil, err
		}
	}
}
