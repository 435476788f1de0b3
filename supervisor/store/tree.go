package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"qie/supervisor/job"
)

// Mark is what a person sets on a job beside its recipe; nil leaves it as it is.
type Mark struct {
	Starred *bool
	Trashed *bool
}

// Mark sets it, durably, and gives the job as it is now.
func (s *Store) Mark(ctx context.Context, id job.ID, m Mark, now time.Time) (Row, error) {
	var row Row
	err := s.tx(ctx, "mark", func(tx *sql.Tx) error {
		if m.Starred != nil {
			if _, err := tx.ExecContext(ctx, "UPDATE jobs SET starred = ? WHERE id = ?", *m.Starred, id); err != nil {
				return fmt.Errorf("star job: %w", err)
			}
		}
		if m.Trashed != nil {
			at := int64(0)
			if *m.Trashed {
				at = millis(now)
			}
			_, err := tx.ExecContext(ctx, "UPDATE jobs SET trashed_ms = ? WHERE id = ? AND (trashed_ms = 0 OR ? = 0)", at, id, at)
			if err != nil {
				return fmt.Errorf("trash job: %w", err)
			}
		}
		var err error
		row, _, err = scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM jobs WHERE id = ?", id))
		if errors.Is(err, sql.ErrNoRows) {
			return notFound(id)
		}
		return err
	})
	return row, err
}

// TrashedBefore gives the jobs that went into the trash before the time, oldest first.
func (s *Store) TrashedBefore(ctx context.Context, before time.Time) ([]Row, error) {
	return s.rows(ctx, "SELECT "+columns+" FROM jobs WHERE trashed_ms <> 0 AND trashed_ms <= ? ORDER BY trashed_ms", millis(before))
}

// settleParent gives a new job its place in a tree: under the parent that it names, else under the newest job whose
// result its first source is, else at the root. A parent that is gone leaves it at the root.
func settleParent(ctx context.Context, tx *sql.Tx, j *job.Job) error {
	source := ""
	if len(j.Images) > 0 {
		source = j.Images[0].SHA256
	}
	query, by := "SELECT id, photo FROM jobs WHERE id = ?", string(j.Parent)
	if by == "" {
		query, by = "SELECT id, photo FROM jobs WHERE result = ? AND result <> '' AND trashed_ms = 0 ORDER BY num DESC LIMIT 1", source
	}
	err := tx.QueryRowContext(ctx, query, by).Scan(&j.Parent, &j.Photo)
	if errors.Is(err, sql.ErrNoRows) {
		j.Parent, j.Photo = "", source
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the parent: %w", err)
	}
	return nil
}

// Delete removes the row; RemoveFiles comes behind it: a crash between leaves files that nobody shows, never a row without
// files. What was edited from it hangs on its parent afterwards, which is given back.
func (s *Store) Delete(ctx context.Context, id job.ID) (parent job.ID, err error) {
	err = s.tx(ctx, "delete", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT parent FROM jobs WHERE id = ?", id).Scan(&parent)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound(id)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE jobs SET parent = ? WHERE parent = ?", parent, id)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM jobs WHERE id = ?", id)
		}
		if err != nil {
			return fmt.Errorf("delete job: %w", err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return parent, nil
}

// treesFile is the migration that gives jobs without a tree their place in one.
const treesFile = "migration/0003.sql"

// growTrees does what that migration does, for rows that were copied out of an older or a damaged database.
func growTrees(ctx context.Context, tx *sql.Tx) error {
	text, err := migrations.ReadFile(treesFile)
	if err == nil {
		_, err = tx.ExecContext(ctx, string(text))
	}
	if err != nil {
		return fmt.Errorf("grow the trees: %w", err)
	}
	return nil
}

func resultHash(j job.Job) string {
	if j.Result == nil {
		return ""
	}
	return j.Result.SHA256
}
