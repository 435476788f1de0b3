package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"qie/supervisor/job"
)

// Row is a job with what only the supervisor needs to know of it.
type Row struct {
	Job    job.Job
	Order  int64 // place in the queue
	Seed   int64 // used when the recipe names none
	Deaths int   // worker processes that died under it
	Errors int   // typed errors that another try may cure
}

// Attempt is one try of a job.
type Attempt struct {
	Attempt    int
	Generation int64
	State      job.State
	Code       job.Code
	Started    time.Time
	Ended      time.Time // zero while it runs
}

const (
	pageSize    = 50
	pageSizeMax = 200
)

// Insert adds a job at the end of the queue, or one that ended long ago. It is durable when Insert returns; Order and
// the job's place in its tree are filled in.
func (s *Store) Insert(ctx context.Context, row *Row) error {
	return s.tx(ctx, "insert", func(tx *sql.Tx) error {
		if err := settleParent(ctx, tx, &row.Job); err != nil {
			return err
		}
		body, err := encode(row.Job)
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO jobs (id, ord, state, prompt, body, seed, created_ms, ended_ms, parent, photo, result)
			VALUES (?, (SELECT coalesce(max(ord), 0) + 1 FROM jobs), ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ord`,
			row.Job.ID, row.Job.State, row.Job.Recipe.Prompt, body, row.Seed, millis(row.Job.CreatedAt), ended(row.Job),
			row.Job.Parent, row.Job.Photo, resultHash(row.Job)).Scan(&row.Order)
		if err != nil {
			return fmt.Errorf("insert job: %w", err)
		}
		for n, i := range row.Job.Images {
			_, err := tx.ExecContext(ctx, "INSERT INTO images (job, n, sha256, width, height, name) VALUES (?, ?, ?, ?, ?, ?)",
				row.Job.ID, n+1, i.SHA256, i.Width, i.Height, i.Name)
			if err != nil {
				return fmt.Errorf("insert image: %w", err)
			}
		}
		return nil
	})
}

// Record keeps a transition, with the attempt that it is about when there is one. The loop is its only caller.
func (s *Store) Record(ctx context.Context, row Row, attempt *Attempt) error {
	return s.tx(ctx, "record", func(tx *sql.Tx) error {
		body, err := encode(row.Job)
		if err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx,
			"UPDATE jobs SET ord = ?, state = ?, body = ?, deaths = ?, errors = ?, ended_ms = ?, result = ? WHERE id = ?",
			row.Order, row.Job.State, body, row.Deaths, row.Errors, ended(row.Job), resultHash(row.Job), row.Job.ID)
		if err != nil {
			return fmt.Errorf("record job: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return errors.Join(notFound(row.Job.ID), err)
		}
		if attempt == nil {
			return nil
		}
		var finished int64
		if !attempt.Ended.IsZero() {
			finished = millis(attempt.Ended)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO attempts (job, attempt, generation, state, code, started_ms, ended_ms)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, attempt) DO UPDATE SET generation = excluded.generation,
			state = excluded.state, code = excluded.code, ended_ms = excluded.ended_ms`,
			row.Job.ID, attempt.Attempt, attempt.Generation, attempt.State, attempt.Code, millis(attempt.Started), finished)
		if err != nil {
			return fmt.Errorf("record attempt: %w", err)
		}
		return nil
	})
}

// ended is when a job ended, in milliseconds; 0 while it has not.
func ended(j job.Job) int64 {
	if j.FinishedAt == nil {
		return 0
	}
	return millis(*j.FinishedAt)
}

// Reorder gives waiting jobs new places, all of them or none.
func (s *Store) Reorder(ctx context.Context, orders map[job.ID]int64) error {
	return s.tx(ctx, "reorder", func(tx *sql.Tx) error {
		for id, order := range orders {
			if _, err := tx.ExecContext(ctx, "UPDATE jobs SET ord = ? WHERE id = ?", order, id); err != nil {
				return fmt.Errorf("reorder the queue: %w", err)
			}
		}
		return nil
	})
}

// LastOrder gives the place behind everybody.
func (s *Store) LastOrder(ctx context.Context) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var last int64
	err := s.read.QueryRowContext(ctx, "SELECT coalesce(max(ord), 0) + 1 FROM jobs").Scan(&last)
	return last, err
}

const columns = "body, ord, seed, deaths, errors, num, parent, photo, starred, trashed_ms"

type scanner interface{ Scan(...any) error }

func scan(from scanner) (Row, int64, error) {
	var row Row
	var body string
	var num, trashed int64
	var tree job.Job
	err := from.Scan(&body, &row.Order, &row.Seed, &row.Deaths, &row.Errors, &num, &tree.Parent, &tree.Photo, &tree.Starred, &trashed)
	if err != nil {
		return row, 0, err
	}
	if err := json.Unmarshal([]byte(body), &row.Job); err != nil {
		return row, 0, fmt.Errorf("stored job: %w", err)
	}
	j := &row.Job
	j.Parent, j.Photo, j.Starred, j.TrashedAt = tree.Parent, tree.Photo, tree.Starred, nil
	if trashed != 0 {
		at := time.UnixMilli(trashed).UTC()
		j.TrashedAt = &at
	}
	return row, num, nil
}

// Row reads one job.
func (s *Store) Row(ctx context.Context, id job.ID) (Row, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	row, _, err := scan(s.read.QueryRowContext(ctx, "SELECT "+columns+" FROM jobs WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return row, notFound(id)
	}
	return row, err
}

// Unfinished gives the jobs that have not ended, in the order of the queue.
func (s *Store) Unfinished(ctx context.Context) ([]Row, error) {
	return s.rows(ctx, "SELECT "+columns+" FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'canceled') ORDER BY ord")
}

// Ended gives the jobs that ended before the time, oldest first; state empty is every end.
func (s *Store) Ended(ctx context.Context, before time.Time, state job.State) ([]Row, error) {
	return s.rows(ctx, "SELECT "+columns+` FROM jobs WHERE state IN ('succeeded', 'failed', 'canceled')
		AND ended_ms <= ? AND (? = '' OR state = ?) ORDER BY ended_ms`, millis(before), state, state)
}

func (s *Store) rows(ctx context.Context, query string, args ...any) ([]Row, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	defer func() { _ = found.Close() }()
	var rows []Row
	for found.Next() {
		row, _, err := scan(found)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// Query gives a page of jobs, newest first.
func (s *Store) Query(ctx context.Context, q Query) (Page, error) {
	page := Page{Jobs: []job.Job{}}
	limit := q.Limit
	switch {
	case limit == 0:
		limit = pageSize
	case limit < 0 || limit > pageSizeMax:
		return page, job.Errorf(job.CodeOutOfRange, "limit is %d, it must be 1 to %d", limit, pageSizeMax)
	}
	from := int64(1<<63 - 1)
	if q.Cursor != "" {
		n, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil || n < 1 {
			return page, job.Errorf(job.CodeInputBad, "cursor %q is not one that qie gave", q.Cursor)
		}
		from = n
	}
	where, args := q.where()
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM jobs WHERE num < ? AND "+where+" ORDER BY num DESC LIMIT ?",
		append(append([]any{from}, args...), limit+1)...)
	if err != nil {
		return page, fmt.Errorf("read jobs: %w", err)
	}
	defer func() { _ = found.Close() }()
	var last int64
	for found.Next() {
		if len(page.Jobs) == limit {
			page.Next = strconv.FormatInt(last, 10)
			break
		}
		row, num, err := scan(found)
		if err != nil {
			return page, err
		}
		last = num
		page.Jobs = append(page.Jobs, row.Job)
	}
	return page, found.Err()
}

// Attempts gives every try of a job in order.
func (s *Store) Attempts(ctx context.Context, id job.ID) ([]Attempt, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.read.QueryContext(ctx,
		"SELECT attempt, generation, state, code, started_ms, ended_ms FROM attempts WHERE job = ? ORDER BY attempt", id)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	defer func() { _ = found.Close() }()
	var attempts []Attempt
	for found.Next() {
		var a Attempt
		var started, ended int64
		if err := found.Scan(&a.Attempt, &a.Generation, &a.State, &a.Code, &started, &ended); err != nil {
			return nil, err
		}
		a.Started = time.UnixMilli(started)
		if ended != 0 {
			a.Ended = time.UnixMilli(ended)
		}
		attempts = append(attempts, a)
	}
	return attempts, found.Err()
}

func notFound(id job.ID) error { return job.Errorf(job.CodeNotFound, "there is no job %s", id) }

// encode leaves out what has columns of its own: the loop may hold an older word of it.
func encode(j job.Job) (string, error) {
	j.Parent, j.Photo, j.Starred, j.TrashedAt = "", "", false, nil
	body, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("encode job: %w", err)
	}
	return string(body), nil
}
