package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"qie/supervisor/failpoint"
	"qie/supervisor/job"
)

const (
	salvagedSuffix = ".salvaged" // a complete database that takes the place of the damaged one
	partSuffix     = ".part"
	damagedSuffix  = ".damaged-"
	replacedSuffix = ".replaced-"
)

func stamp() string { return time.Now().UTC().Format("20060102-150405.000") }

// errDamaged is what the database's own check found.
var errDamaged = errors.New("the database is damaged")

// damaged tells whether the database cannot be used as it is, and no other try will change that.
func damaged(err error) bool {
	var db *sqlite.Error
	if errors.As(err, &db) {
		code := db.Code() & 0xff
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB || code == sqlite3.SQLITE_ERROR ||
			db.Code() == sqlite3.SQLITE_IOERR_SHORT_READ
	}
	return errors.Is(err, errDamaged)
}

// check reads everything once: the structure by SQLite's own check, and every row as what it has to hold.
func (s *Store) check(ctx context.Context) error {
	var answer string
	if err := s.read.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&answer); err != nil {
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	if answer != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, answer)
	}
	found, err := s.read.QueryContext(ctx, "SELECT id, body FROM jobs")
	if err != nil {
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id job.ID
		var body string
		if err := found.Scan(&id, &body); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if !whole(id, body) {
			return fmt.Errorf("%w: a job cannot be read", errDamaged)
		}
	}
	return found.Err()
}

// whole tells whether a row holds the job that it names.
func whole(id job.ID, body string) bool {
	var j job.Job
	return id.Valid() && json.Unmarshal([]byte(body), &j) == nil && j.ID == id
}

// salvage copies every row that can be read into a new database, moves the damaged one aside and tells it.
func (s *Store) salvage(ctx context.Context, why error) error {
	part := s.path + salvagedSuffix + partSuffix
	removeDatabase(part)
	fresh := &Store{path: part}
	saved := 0
	err := fresh.create(ctx)
	if err == nil {
		saved, err = s.copyRows(ctx, fresh)
	}
	if err := errors.Join(err, fresh.closeDatabase()); err != nil {
		removeDatabase(part)
		return fmt.Errorf("salvage %s: %w", s.path, err)
	}
	// Complete from here on: a kill leaves the rest to the next start.
	if err := os.Rename(part, s.path+salvagedSuffix); err != nil {
		return DiskError(fmt.Errorf("salvage %s: %w", s.path, err))
	}
	failpoint.At("salvage.copied")
	if err := s.finishSalvage(); err != nil {
		return err
	}
	s.notices = append(s.notices, job.Notice{Code: "store_salvaged", Message: fmt.Sprintf(
		"the database was damaged (%s); %d jobs could be read and were kept, the damaged file lies beside it as %s*",
		short(why), saved, filepath.Base(s.path)+damagedSuffix)})
	return nil
}

// short keeps the first line of an error.
func short(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	if r := []rune(line); len(r) > 160 {
		line = string(r[:160])
	}
	return line
}

// finishSalvage puts a salvaged database in the place of the damaged one. Every step may be the last before a kill.
func (s *Store) finishSalvage() error {
	fresh := s.path + salvagedSuffix
	if _, err := os.Stat(fresh); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	aside := s.path + damagedSuffix + stamp()
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(s.path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	failpoint.At("salvage.aside")
	errs = append(errs, os.Rename(fresh, s.path), syncFolder(filepath.Dir(s.path)))
	if err := errors.Join(errs...); err != nil {
		return DiskError(fmt.Errorf("move the damaged database aside: %w", err))
	}
	return nil
}

// copyRows reads by number, one row at a time, so that a damaged page costs its own rows and no others.
func (s *Store) copyRows(ctx context.Context, to *Store) (int, error) {
	old, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: s.path, RawQuery: "mode=rw&_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		return 0, fmt.Errorf("open the damaged database: %w", err)
	}
	defer func() { _ = old.Close() }()
	old.SetMaxOpenConns(1)
	var last int64
	for _, query := range []string{"SELECT num FROM jobs", "SELECT num FROM jobs ORDER BY num DESC",
		"SELECT num FROM jobs INDEXED BY jobs_by_state WHERE state >= ''", "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'"} {
		for _, n := range readNumbers(ctx, old, query) {
			last = max(last, n)
		}
	}
	const most = 1_000_000 // a number that was damaged must not make this endless
	saved := 0
	err = to.tx(ctx, "salvage", func(tx *sql.Tx) error {
		for n := int64(1); n <= min(last, most); n++ {
			ok, err := copyJob(ctx, old, tx, n)
			if err != nil {
				return err
			}
			if ok {
				saved++
			}
		}
		if err := growTrees(ctx, tx); err != nil {
			return err
		}
		return copyTable(ctx, old, tx, "settings", "SELECT * FROM settings")
	})
	return saved, err
}

func readNumbers(ctx context.Context, db *sql.DB, query string) []int64 {
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil
	}
	defer func() { _ = found.Close() }()
	var numbers []int64
	for found.Next() {
		var n int64
		if found.Scan(&n) == nil {
			numbers = append(numbers, n)
		}
	}
	_ = found.Err() // what came before the damage counts
	return numbers
}

// copyJob copies one job with its attempts and images; false is one that cannot be read. An error is the new
// database's.
func copyJob(ctx context.Context, old *sql.DB, tx *sql.Tx, num int64) (bool, error) {
	var id job.ID
	var state job.State
	var prompt, body string
	var ord, seed, deaths, errs, created, ended int64
	err := old.QueryRowContext(ctx, `SELECT id, ord, state, prompt, body, seed, deaths, errors, created_ms, ended_ms
		FROM jobs WHERE num = ?`, num).Scan(&id, &ord, &state, &prompt, &body, &seed, &deaths, &errs, &created, &ended)
	if err != nil || !whole(id, body) {
		return false, nil //nolint:nilerr // a row that cannot be read is what this is about
	}
	done, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO jobs (num, id, ord, state, prompt, body, seed, deaths, errors, created_ms,
		ended_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, num, id, ord, state, prompt, body, seed, deaths, errs, created, ended)
	if err != nil {
		return false, fmt.Errorf("keep a job: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	var parent, photo, result string
	var starred, trashed int64
	err = old.QueryRowContext(ctx, "SELECT parent, photo, result, starred, trashed_ms FROM jobs WHERE num = ?", num).
		Scan(&parent, &photo, &result, &starred, &trashed)
	if err == nil { // else the schema is older than trees are
		if _, err := tx.ExecContext(ctx, "UPDATE jobs SET parent = ?, photo = ?, result = ?, starred = ?, trashed_ms = ? WHERE num = ?",
			parent, photo, result, starred, trashed, num); err != nil {
			return false, fmt.Errorf("keep a job: %w", err)
		}
	}
	for _, table := range []string{"attempts", "images"} {
		if err := copyTable(ctx, old, tx, table, "SELECT * FROM "+table+" WHERE job = ?", id); err != nil {
			return false, err
		}
	}
	return true, nil
}

// copyTable copies rows as they are, up to the first that cannot be read.
func copyTable(ctx context.Context, old *sql.DB, tx *sql.Tx, table, query string, args ...any) error {
	found, err := old.QueryContext(ctx, query, args...)
	if err != nil {
		return nil //nolint:nilerr // it cannot be read
	}
	defer func() { _ = found.Close() }()
	columns, err := found.Columns()
	if err != nil {
		return nil //nolint:nilerr // it cannot be read
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	for found.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if found.Scan(into...) != nil {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO "+table+" VALUES ("+marks+")", values...); err != nil {
			var db *sqlite.Error
			if errors.As(err, &db) && db.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
				continue // a damaged value
			}
			return fmt.Errorf("keep %s: %w", table, err)
		}
	}
	_ = found.Err() // what came before the damage counts
	return nil
}

// Rescue writes the database again when somebody deleted or replaced its file while this program had it open: the open
// file still holds everything, and would be gone with the process.
func (s *Store) Rescue(ctx context.Context) error {
	if !s.moved() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.moved() || s.write == nil {
		return nil
	}
	part := s.path + partSuffix
	removeDatabase(part)
	if _, err := s.write.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return DiskError(fmt.Errorf("write the deleted database again: %w", err))
	}
	if err := syncFile(part); err != nil {
		return err
	}
	// Closing removes the old log by its name, so the new database comes behind it.
	err := s.closeDatabase()
	if _, statErr := os.Stat(s.path); statErr == nil { // somebody put another one there: it is not ours to remove
		err = errors.Join(err, os.Rename(s.path, s.path+replacedSuffix+stamp()))
	}
	removeDatabase(s.path)
	if err = errors.Join(err, os.Chmod(part, 0o600), os.Rename(part, s.path), syncFolder(filepath.Dir(s.path)), s.connect()); err != nil {
		return DiskError(fmt.Errorf("write the deleted database again: %w", err))
	}
	s.notices = append(s.notices, job.Notice{Code: "store_rescued",
		Message: "the database was deleted while qie ran; it was written again from what was open, and nothing is lost"})
	return nil
}

// moved tells whether the path no longer leads to the file that is open.
func (s *Store) moved() bool {
	now, err := os.Stat(s.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	opened := s.file.Load()
	return opened != nil && !os.SameFile(now, *opened)
}

func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(path + suffix)
	}
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	return DiskError(err)
}

func syncFolder(path string) error { return syncFile(path) }
