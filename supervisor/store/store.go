package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver

	"qie/supervisor/failpoint"
	"qie/supervisor/job"
)

//go:embed migration/*.sql
var migrations embed.FS

// Store is the data folder: rows in qie.db, files in the jobs folder.
type Store struct {
	root *os.Root
	jobs string // absolute path of the jobs folder
	path string // of the database

	// mu is held for reading by whoever uses the connections, and for writing while they are replaced.
	mu      sync.RWMutex
	write   *sql.DB // one connection: writers queue here, not inside SQLite
	read    *sql.DB
	notices []job.Notice

	file atomic.Pointer[os.FileInfo] // of the database that is open
}

// readers is how many queries run at once.
const readers = 4

// Open makes the folders (0700) and the database (0600) where they are missing, brings the schema up to date, and
// clears what a killed upload left behind.
func Open(ctx context.Context, home, jobsDir string) (*Store, error) {
	for _, dir := range []string{home, jobsDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
	}
	jobsDir, err := filepath.Abs(jobsDir)
	if err != nil {
		return nil, fmt.Errorf("jobs folder: %w", err)
	}
	path, err := filepath.Abs(filepath.Join(home, "qie.db"))
	if err != nil {
		return nil, fmt.Errorf("database path: %w", err)
	}
	s := &Store{jobs: jobsDir, path: path}
	if s.root, err = os.OpenRoot(jobsDir); err != nil {
		return nil, fmt.Errorf("jobs folder: %w", err)
	}
	err = s.finishSalvage()
	if err == nil {
		err = s.open(ctx)
	}
	if damaged(err) {
		err = errors.Join(s.closeDatabase(), s.salvage(ctx, err))
		if err == nil {
			err = s.open(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.clean(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.create(ctx); err != nil {
		return err
	}
	return s.check(ctx)
}

// create makes the database where it is missing, and brings its schema up to date.
func (s *Store) create(ctx context.Context) error {
	// SQLite would create the file with the process's umask.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return DiskError(fmt.Errorf("open %s: %w", s.path, err))
	}
	if err := s.connect(); err != nil {
		return err
	}
	return migrate(ctx, s, migrations)
}

// connect opens the connections; nothing is read yet.
func (s *Store) connect() error {
	address := dsn(s.path)
	var err error
	s.write, err = sql.Open("sqlite", address+"&_txlock=immediate")
	if err == nil {
		s.write.SetMaxOpenConns(1)
		s.read, err = sql.Open("sqlite", address+"&_pragma=query_only(1)")
	}
	if err == nil {
		s.read.SetMaxOpenConns(readers)
		s.read.SetMaxIdleConns(readers)
		var info os.FileInfo
		info, err = os.Stat(s.path)
		s.file.Store(&info)
	}
	if err != nil {
		return DiskError(fmt.Errorf("open %s: %w", s.path, err))
	}
	return nil
}

// dsn gives the address with the pragmas that every connection needs: a commit is on the disk when it returns.
func dsn(path string) string {
	synchronous := "synchronous(FULL)"
	if failpoint.Off(GuardFull) {
		synchronous = "synchronous(NORMAL)"
	}
	pragmas := []string{"journal_mode(WAL)", synchronous, "busy_timeout(5000)", "foreign_keys(1)",
		"journal_size_limit(8388608)"}
	if runtime.GOOS == "darwin" {
		// fsync on macOS does not reach the platter; this asks for F_FULLFSYNC.
		pragmas = append(pragmas, "fullfsync(1)", "checkpoint_fullfsync(1)")
	}
	q := url.Values{"_pragma": pragmas, "mode": {"rw"}} // one that was deleted must not come back empty
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// migrate runs the migrations that the database has not seen. user_version counts them; each is one transaction, so a
// kill leaves the schema before it or the one behind it.
func migrate(ctx context.Context, s *Store, from fs.FS) error {
	var have int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return DiskError(fmt.Errorf("read %s: %w", s.path, err))
	}
	names, err := fs.Glob(from, "migration/*.sql")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if have > len(names) {
		return job.Errorf(job.CodeNotReady, "%s was written by a newer qie (schema %d, this one knows %d)", s.path, have,
			len(names)).WithHint("install the newer qie again, or move the file away")
	}
	for i := have; i < len(names); i++ {
		text, err := fs.ReadFile(from, names[i])
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		err = s.tx(ctx, "migrate", func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("bring %s to schema %d: %w", s.path, i+1, err)
		}
	}
	return nil
}

// tx runs do in one transaction; when it returns nil the change is durable, also when somebody deleted the database
// meanwhile.
func (s *Store) tx(ctx context.Context, what string, do func(*sql.Tx) error) error {
	if err := s.Rescue(ctx); err != nil {
		return err
	}
	if err := s.commit(ctx, what, do); err != nil {
		return err
	}
	return s.Rescue(ctx)
}

func (s *Store) commit(ctx context.Context, what string, do func(*sql.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	failpoint.At(what + ".begin")
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return DiskError(err)
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback()
		return DiskError(err)
	}
	failpoint.At(what + ".commit")
	if err := tx.Commit(); err != nil {
		return DiskError(err)
	}
	failpoint.At(what + ".done")
	return nil
}

// Notices tells what a person should know about this data folder, for example that it was damaged.
func (s *Store) Notices() []job.Notice {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append([]job.Notice{}, s.notices...)
}

// Close writes the log back and lets the database go.
func (s *Store) Close() error {
	err := s.closeDatabase()
	if s.root != nil {
		err = errors.Join(err, s.root.Close())
	}
	return err
}

func (s *Store) closeDatabase() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	s.read, s.write = nil, nil
	return errors.Join(errs...)
}

// Setting reads a value; empty when it was never set.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var value string
	err := s.read.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// SetSetting keeps a value.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	return s.tx(ctx, "setting", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			"INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			key, value)
		return err
	})
}

func millis(t time.Time) int64 { return t.UnixMilli() }
