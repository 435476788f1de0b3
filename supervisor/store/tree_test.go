package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"qie/supervisor/job"
)

// edit inserts an edit of a source, with a result of its own; parent may be empty.
func edit(t testing.TB, s *Store, parent job.ID, source, result string) job.Job {
	t.Helper()
	row := newRow("make it sepia")
	row.Job.Parent, row.Job.Images[0].SHA256 = parent, source
	row.Job.State, row.Job.Result = job.Succeeded, &job.Result{SHA256: result}
	if err := s.Insert(context.Background(), &row); err != nil {
		t.Fatal(err)
	}
	return row.Job
}

func again(t testing.TB, s *Store, id job.ID) job.Job {
	t.Helper()
	row, err := s.Row(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return row.Job
}

func TestInsert_FindsThePlaceInTheTree(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	root := edit(t, s, "", "photo", "first")
	named := edit(t, s, root.ID, "cropped", "second")
	found := edit(t, s, "", "second", "third")
	gone := edit(t, s, job.NewID(), "other", "fourth")
	s = open(t, home)
	for _, c := range []struct {
		name   string
		id     job.ID
		parent job.ID
		photo  string
	}{
		{"a photo begins a tree", root.ID, "", "photo"},
		{"a named parent counts, whatever the source is", named.ID, root.ID, "photo"},
		{"a source that is a result finds its parent", found.ID, named.ID, "photo"},
		{"a parent that is gone leaves it at the root", gone.ID, "", "other"},
	} {
		if got := again(t, s, c.id); got.Parent != c.parent || got.Photo != c.photo {
			t.Errorf("%s: parent %q photo %q, want %q %q", c.name, got.Parent, got.Photo, c.parent, c.photo)
		}
	}
	// A transition does not undo what the store knows.
	row, _ := s.Row(t.Context(), found.ID)
	row.Job.Parent, row.Job.Photo = "", ""
	if err := s.Record(t.Context(), row, nil); err != nil {
		t.Fatal(err)
	}
	if got := again(t, s, found.ID); got.Parent != named.ID || got.Photo != "photo" {
		t.Errorf("after a transition: parent %q photo %q", got.Parent, got.Photo)
	}
}

func TestMark_IsDurableAndHides(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	id := edit(t, s, "", "photo", "first").ID
	yes, no, now := true, false, time.UnixMilli(5000).UTC()
	if _, err := s.Mark(t.Context(), id, Mark{Starred: &yes, Trashed: &yes}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mark(t.Context(), id, Mark{Trashed: &yes}, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s = open(t, home)
	if got := again(t, s, id); !got.Starred || got.TrashedAt == nil || !got.TrashedAt.Equal(now) {
		t.Errorf("starred %v, in the trash since %v, want since %v", got.Starred, got.TrashedAt, now)
	}
	for name, c := range map[string]struct {
		q    Query
		want int
	}{"hidden": {Query{}, 0}, "in the trash": {Query{Trashed: true}, 1}, "starred": {Query{Starred: true, Trashed: true}, 1}} {
		if page, err := s.Query(t.Context(), c.q); err != nil || len(page.Jobs) != c.want {
			t.Errorf("%s: %d jobs, %v, want %d", name, len(page.Jobs), err, c.want)
		}
	}
	if rows, err := s.TrashedBefore(t.Context(), now); err != nil || len(rows) != 1 {
		t.Errorf("%d rows were trashed by then, %v", len(rows), err)
	}
	if _, err := s.Mark(t.Context(), id, Mark{Trashed: &no}, now); err != nil {
		t.Fatal(err)
	}
	if page, err := s.Query(t.Context(), Query{Starred: true}); err != nil || len(page.Jobs) != 1 || page.Jobs[0].TrashedAt != nil {
		t.Errorf("restored: %+v, %v", page.Jobs, err)
	}
	if _, err := s.Mark(t.Context(), job.NewID(), Mark{Starred: &no}, now); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("a job that is not there: %v", err)
	}
}

// Whatever is edited, deleted, trashed and restored: every parent exists, no line ends in a circle, and a tree keeps its
// photo.
func TestTree_StaysWhole(t *testing.T) {
	s := open(t, t.TempDir())
	rapid.Check(t, func(t *rapid.T) {
		photo := string(job.NewID())
		var ids []job.ID
		pick := func() int { return rapid.IntRange(0, len(ids)-1).Draw(t, "which") }
		parents := map[job.ID]job.ID{}
		root := edit2(t, s, "", photo)
		ids, parents[root] = append(ids, root), ""
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			if len(ids) == 0 {
				break
			}
			switch i := pick(); rapid.SampledFrom([]string{"edit", "edit", "delete", "trash", "restore"}).Draw(t, "what") {
			case "edit":
				id := edit2(t, s, ids[i], photo)
				parents[id] = ids[i]
				ids = append(ids, id)
			case "delete":
				up, err := s.Delete(context.Background(), ids[i])
				if err != nil || up != parents[ids[i]] {
					t.Fatalf("delete gave %q, %v, want %q", up, err, parents[ids[i]])
				}
				for id, parent := range parents {
					if parent == ids[i] {
						parents[id] = up
					}
				}
				delete(parents, ids[i])
				ids = append(ids[:i], ids[i+1:]...)
			case "trash", "restore":
				trashed := i%2 == 0
				if _, err := s.Mark(context.Background(), ids[i], Mark{Trashed: &trashed}, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		seen := 0
		for _, trashed := range []bool{false, true} {
			page, err := s.Query(context.Background(), Query{Photo: photo, Trashed: trashed, Limit: 200})
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range page.Jobs {
				seen++
				if want, ok := parents[j.ID]; !ok || j.Parent != want {
					t.Fatalf("job %s has parent %q, want %q", j.ID, j.Parent, want)
				}
			}
		}
		if seen != len(ids) {
			t.Fatalf("the tree has %d jobs, want %d", seen, len(ids))
		}
	})
}

func edit2(t *rapid.T, s *Store, parent job.ID, photo string) job.ID {
	row := newRow("x")
	row.Job.Parent, row.Job.Images[0].SHA256 = parent, photo
	if err := s.Insert(context.Background(), &row); err != nil {
		t.Fatal(err)
	}
	return row.Job.ID
}

// before gives a data folder as the first qie left it: a photo, an edit of it, an edit of that result, another photo.
func before(t *testing.T) (home string, ids []job.ID) {
	t.Helper()
	home = t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "qie.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Store{path: filepath.Join(home, "qie.db")}
	if err := s.connect(); err != nil {
		t.Fatal(err)
	}
	first, err := fs.ReadFile(migrations, "migration/0001.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), s, fstest.MapFS{"migration/0001.sql": {Data: first}}); err != nil {
		t.Fatal(err)
	}
	for n, c := range []struct{ source, result string }{{"photo", "r1"}, {"r1", "r2"}, {"r2", ""}, {"other", "r4"}} {
		j := newRow("make it sepia").Job
		j.Images[0].SHA256 = c.source
		if c.result != "" {
			j.State, j.Result = job.Succeeded, &job.Result{SHA256: c.result}
		}
		body, err := encode(j)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []struct {
			text string
			args []any
		}{
			{"INSERT INTO jobs (id, ord, state, prompt, body, seed, created_ms) VALUES (?, ?, ?, ?, ?, 7, 1)", []any{j.ID, n, j.State, "x", body}},
			{"INSERT INTO images (job, n, sha256, width, height, name) VALUES (?, 1, ?, 3, 2, 'a.png')", []any{j.ID, c.source}},
		} {
			if _, err := s.write.ExecContext(t.Context(), q.text, q.args...); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, j.ID)
	}
	if err := s.closeDatabase(); err != nil {
		t.Fatal(err)
	}
	return home, ids
}

func checkGrown(t *testing.T, s *Store, ids []job.ID) {
	t.Helper()
	for i, want := range []struct{ parent, photo string }{{"", "photo"}, {string(ids[0]), "photo"}, {string(ids[1]), "photo"}, {"", "other"}} {
		if got := again(t, s, ids[i]); string(got.Parent) != want.parent || got.Photo != want.photo {
			t.Errorf("job %d: parent %q photo %q, want %q %q", i, got.Parent, got.Photo, want.parent, want.photo)
		}
	}
}

// What was made before there were trees has its place in one, whenever the move to the new schema is killed.
func TestTree_GrowsOverKillsFromTheFirstSchema(t *testing.T) {
	home, ids := before(t)
	for _, point := range []string{"none", "migrate.begin", "migrate.commit", "migrate.done"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(home)); err != nil {
			t.Fatal(err)
		}
		kills := 0
		for strings.Contains(child(t, "salvage", dir, point), "at the point") {
			if kills++; kills == 5 {
				break // killed before the step ends, it is met at every start
			}
		}
		if (kills == 0) != (point == "none") {
			t.Errorf("%s killed %d times", point, kills)
		}
		checkGrown(t, open(t, dir), ids)
	}
}

// A damaged database of the first schema is salvaged into trees too.
func TestTree_GrowsOutOfASalvage(t *testing.T) {
	home, ids := before(t)
	db, err := sql.Open("sqlite", filepath.Join(home, "qie.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO jobs (id, ord, state, prompt, body, seed, created_ms) VALUES ('x', 9, 'queued', 'x', '{', 1, 1)"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	s := open(t, home)
	if len(s.Notices()) == 0 {
		t.Fatal("nothing was salvaged")
	}
	checkGrown(t, s, ids)
	// The salvaged one keeps what a person marked, when it is damaged in turn.
	yes := true
	if _, err := s.Mark(t.Context(), ids[1], Mark{Starred: &yes, Trashed: &yes}, time.UnixMilli(5)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.ExecContext(t.Context(), "UPDATE jobs SET body = '{' WHERE id = ?", ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, home)
	if got := again(t, s, ids[1]); !got.Starred || got.TrashedAt == nil || got.Parent != "" || got.Photo != "photo" {
		t.Errorf("after a second salvage: %+v", got)
	}
	if got := again(t, s, ids[2]); got.Parent != ids[1] {
		t.Errorf("the third hangs on %q", got.Parent)
	}
}

// fillMany inserts n jobs in one transaction.
func fillMany(t testing.TB, s *Store, n int) {
	t.Helper()
	words := []string{"make it black and white", "给照片加上雪景", "add a red hat to the man on the left, and keep everything else", "移除背景里的人群"}
	err := s.tx(context.Background(), "insert", func(tx *sql.Tx) error {
		for i := range n {
			j := newRow(fmt.Sprintf("%s %d", words[i%len(words)], i)).Job
			j.CreatedAt = time.UnixMilli(int64(i) * 60_000)
			body, err := encode(j)
			if err != nil {
				return err
			}
			if _, err := tx.Exec("INSERT INTO jobs (id, ord, state, prompt, body, seed, created_ms, photo) VALUES (?, ?, 'succeeded', ?, ?, 1, ?, 'aa')",
				j.ID, i, j.Recipe.Prompt, body, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQuery_FindsWordsInBothLanguages(t *testing.T) {
	s := open(t, t.TempDir())
	fillMany(t, s, 400)
	for text, want := range map[string]int{"雪景": 100, "人群": 100, "HAT left": 100, "left hat": 100, "red 雪": 0, "雪景 399": 0, "人群 399": 1, " ": 200} {
		page, err := s.Query(t.Context(), Query{Text: text, Limit: 200})
		if err != nil || len(page.Jobs) != want {
			t.Errorf("%q: %d jobs, %v, want %d", text, len(page.Jobs), err, want)
		}
	}
}

func BenchmarkQuery_10000(b *testing.B) {
	home := b.TempDir()
	s, err := Open(b.Context(), home, filepath.Join(home, "jobs"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	fillMany(b, s, 10_000)
	for _, text := range []string{"", "雪景", "hat", "not there"} {
		b.Run(fmt.Sprintf("%q", text), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Query(b.Context(), Query{Text: text, Limit: 100}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
