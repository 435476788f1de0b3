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
	"time"

	_ "modernc.org/sqlite" // the driver

	"qie/supervisor/job"
)

//go:embed migration/*.sql
var migrations embed.FS

// Store is the data folder: rows in qie.db, files in the jobs folder.
type Store struct {
	write *sql.DB // one connection: writers queue here, not inside SQLite
	read  *sql.DB
	root  *os.Root
	jobs  string // absolute path of the jobs folder
}

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
	path := filepath.Join(home, "qie.db")
	// SQLite would create the file with the process's umask.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s := &Store{jobs: jobsDir}
	if s.root, err = os.OpenRoot(jobsDir); err != nil {
		return nil, fmt.Errorf("jobs folder: %w", err)
	}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.clean(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	address, err := dsn(path)
	if err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", address+"&_txlock=immediate"); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx, path); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", address+"&_pragma=query_only(1)"); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(4)
	return nil
}

// dsn gives the address with the pragmas that every connection needs: a commit is on the disk when it returns.
func dsn(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("database path: %w", err)
	}
	pragmas := []string{"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "foreign_keys(1)",
		"journal_size_limit(8388608)"}
	if runtime.GOOS == "darwin" {
		// fsync on macOS does not reach the platter; this asks for F_FULLFSYNC.
		pragmas = append(pragmas, "fullfsync(1)", "checkpoint_fullfsync(1)")
	}
	q := url.Values{"_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String(), nil
}

// migrate runs the migrations that the database has not seen. user_version counts them.
func (s *Store) migrate(ctx context.Context, path string) error {
	var have int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	names, err := fs.Glob(migrations, "migration/*.sql")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if have > len(names) {
		return job.Errorf(job.CodeNotReady, "%s was written by a newer qie (schema %d, this one knows %d)", path, have,
			len(names)).WithHint("install the newer qie again, or move the file away")
	}
	for i := have; i < len(names); i++ {
		text, err := migrations.ReadFile(names[i])
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		err = s.tx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("bring %s to schema %d: %w", path, i+1, err)
		}
	}
	return nil
}

// tx runs do in one transaction; when it returns nil the change is durable.
func (s *Store) tx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return DiskError(err)
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback()
		return DiskError(err)
	}
	return DiskError(tx.Commit())
}

// Close writes the log back and lets the database go.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.root != nil {
		errs = append(errs, s.root.Close())
	}
	return errors.Join(errs...)
}

// Setting reads a value; empty when it was never set.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// SetSetting keeps a value.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			"INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
			key, value)
		return err
	})
}

func millis(t time.Time) int64 { return t.UnixMilli() }
