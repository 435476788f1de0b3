package store

import (
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor/job"
)

func open(t *testing.T, home string) *Store {
	t.Helper()
	s, err := Open(t.Context(), home, filepath.Join(home, "jobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newRow(prompt string) Row {
	return Row{Seed: 7, Job: job.Job{ID: job.NewID(), State: job.Queued, Recipe: job.Recipe{Prompt: prompt},
		Images: []job.Image{{SHA256: "aa", Width: 3, Height: 2, Name: "a.png"}}, CreatedAt: time.UnixMilli(1000).UTC(),
		Notices: []job.Notice{}, Timings: map[string]float64{}}}
}

func insert(t *testing.T, s *Store, prompt string) Row {
	t.Helper()
	row := newRow(prompt)
	if err := s.Insert(t.Context(), &row); err != nil {
		t.Fatal(err)
	}
	return row
}

func TestStore_OutlivesItsProcess(t *testing.T) {
	home := filepath.Join(t.TempDir(), "data ?#%20 folder") // an address in SQLite's eyes
	s := open(t, home)
	row := insert(t, s, "make it sepia")
	row.Job.State, row.Job.Attempt, row.Deaths = job.Running, 1, 1
	started := time.UnixMilli(5000)
	if err := s.Record(t.Context(), row, &Attempt{Attempt: 1, Generation: 3, State: job.Running, Started: started}); err != nil {
		t.Fatal(err)
	}
	// No Close: what was answered is on the disk.
	again := open(t, home)
	rows, err := again.Unfinished(t.Context())
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got := rows[0]
	if got.Job.State != job.Running || got.Deaths != 1 || got.Seed != 7 || got.Order != row.Order ||
		got.Job.Images[0].Name != "a.png" || !got.Job.CreatedAt.Equal(row.Job.CreatedAt) {
		t.Errorf("row is %+v", got)
	}
	attempts, err := again.Attempts(t.Context(), row.Job.ID)
	if err != nil || len(attempts) != 1 || attempts[0].Generation != 3 || !attempts[0].Started.Equal(started) {
		t.Errorf("attempts %+v, %v", attempts, err)
	}
	if _, err := os.Stat(filepath.Join(home, "qie.db")); err != nil {
		t.Error(err)
	}
}

func TestStore_PragmasOfEveryConnection(t *testing.T) {
	s := open(t, t.TempDir())
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		for name, db := range map[string]*sql.DB{"write": s.write, "read": s.read} {
			var got string
			if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s of the %s connection is %q, want %q (%v)", pragma, name, got, want, err)
			}
		}
	}
}

func TestStore_NewerSchemaIsRefused(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	if _, err := s.write.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), home, filepath.Join(home, "jobs"))
	if err == nil || !strings.Contains(err.Error(), "newer qie (schema 99") {
		t.Errorf("got %v", err)
	}
}

func TestQuery(t *testing.T) {
	s := open(t, t.TempDir())
	for _, prompt := range []string{"Sepia one", "100% blue", "sepia two", "under_score"} {
		insert(t, s, prompt)
	}
	tests := []struct {
		name  string
		query Query
		want  string
	}{
		{"newest first", Query{}, "under_score|sepia two|100% blue|Sepia one"},
		{"any case", Query{Text: "SEPIA"}, "sepia two|Sepia one"},
		{"a percent sign is a percent sign", Query{Text: "0%"}, "100% blue"},
		{"an underscore is an underscore", Query{Text: "r_s"}, "under_score"},
		{"a state", Query{State: job.Failed}, ""},
		{"a limit", Query{Limit: 2}, "under_score|sepia two"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page, err := s.Query(t.Context(), tt.query)
			if err != nil {
				t.Fatal(err)
			}
			var prompts []string
			for _, j := range page.Jobs {
				prompts = append(prompts, j.Recipe.Prompt)
			}
			if got := strings.Join(prompts, "|"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for query, code := range map[Query]job.Code{
		{Cursor: "x"}: job.CodeInputBad, {Limit: -1}: job.CodeOutOfRange, {Limit: 201}: job.CodeOutOfRange,
	} {
		if _, err := s.Query(t.Context(), query); err == nil || job.AsError(err).Code != code {
			t.Errorf("%+v gave %v, want %s", query, err, code)
		}
	}
}

func TestQuery_PagesGiveEveryJobOnce(t *testing.T) {
	s := open(t, t.TempDir())
	for range 7 {
		insert(t, s, "x")
	}
	seen, cursor := map[job.ID]bool{}, ""
	for {
		page, err := s.Query(t.Context(), Query{Limit: 3, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range page.Jobs {
			if seen[j.ID] {
				t.Errorf("%s came twice", j.ID)
			}
			seen[j.ID] = true
		}
		insert(t, s, "in between") // never moves a page
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("saw %d jobs, want 7", len(seen))
	}
}

func TestDelete_RemovesRowsAndFiles(t *testing.T) {
	s := open(t, t.TempDir())
	row := insert(t, s, "x")
	id := row.Job.ID
	if err := s.NewFolder(id); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFile(id, RecipeFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got := s.Bytes(id); got != 2 {
		t.Errorf("%d bytes, want 2", got)
	}
	if _, err := s.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveFiles(id); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir(id)); err == nil {
		t.Error("the files are still there")
	}
	if _, err := s.Delete(t.Context(), id); err == nil || job.AsError(err).Code != job.CodeNotFound {
		t.Errorf("the second delete: %v", err)
	}
	var images int
	if err := s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM images").Scan(&images); err != nil || images != 0 {
		t.Errorf("%d images are left, %v", images, err)
	}
}

func TestOpen_ClearsWhatAKillLeft(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	f, spool, err := s.NewSpool()
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	lost, kept := job.NewID(), insert(t, s, "x").Job.ID
	for _, id := range []job.ID{lost, kept} {
		if err := s.NewFolder(id); err != nil {
			t.Fatal(err)
		}
	}
	open(t, home)
	for path, want := range map[string]bool{spool: false, string(lost): false, string(kept): true,
		string(kept) + "/" + pendingFile: false} {
		if _, err := os.Stat(filepath.Join(home, "jobs", path)); (err == nil) != want {
			t.Errorf("%s is there: %t", path, err == nil)
		}
	}
}

func TestFiles_StayInTheirFolder(t *testing.T) {
	home := t.TempDir()
	s := open(t, home)
	id := job.NewID()
	if err := s.NewFolder(id); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(home, "secret"), filepath.Join(s.Dir(id), "link.png")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../secret", "link.png", "/etc/passwd"} {
		if f, err := s.OpenFile(id, name); err == nil {
			_ = f.Close()
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := s.OpenFile("../x", "y"); err == nil {
		t.Error("an id that is a path was opened")
	}
	if _, err := s.Create(id, "../x"); err == nil {
		t.Error("a name that is a path was created")
	}
}

func TestDraft_IsInvisibleUntilFinished(t *testing.T) {
	s := open(t, t.TempDir())
	id := job.NewID()
	if err := s.NewFolder(id); err != nil {
		t.Fatal(err)
	}
	d, err := s.Create(id, "a.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d.File, "abc"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenFile(id, "a.png"); err == nil {
		t.Error("half a file is visible")
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(id, "a.png", ResultFile); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.Dir(id), ResultFile))
	if err != nil || info.Size() != 3 || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %+v, %v", info, err)
	}
	d, err = s.Create(id, "b.png")
	if err != nil {
		t.Fatal(err)
	}
	d.Abort()
	if left, _ := filepath.Glob(filepath.Join(s.Dir(id), ".*.part")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSettings(t *testing.T) {
	s := open(t, t.TempDir())
	for _, want := range []string{"", "1", "2"} {
		if want != "" {
			if err := s.SetSetting(t.Context(), "k", want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Setting(context.Background(), "k"); err != nil || got != want {
			t.Errorf("got %q, want %q (%v)", got, want, err)
		}
	}
}
