package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"qie/supervisor/job"
)

// filled makes a data folder with n jobs, and gives their ids; the log is not written back when keepLog.
func filled(t *testing.T, n int, keepLog bool) (home string, ids []job.ID) {
	t.Helper()
	home = t.TempDir()
	s := open(t, home)
	for i := range n {
		row := newRow(fmt.Sprintf("make it sepia %d %s", i, strings.Repeat("and more ", 20)))
		if err := s.Insert(t.Context(), &row); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, row.Job.ID)
	}
	if keepLog {
		copied := t.TempDir()
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(filepath.Join(home, "qie.db"+suffix))
			if err == nil {
				err = os.WriteFile(filepath.Join(copied, "qie.db"+suffix), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return copied, ids
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return home, ids
}

func present(t *testing.T, s *Store) []job.ID {
	t.Helper()
	rows, err := s.Unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []job.ID
	for _, r := range rows {
		ids = append(ids, r.Job.ID)
	}
	return ids
}

func integrity(t *testing.T, s *Store) {
	t.Helper()
	var answer string
	if err := s.read.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&answer); err != nil || answer != "ok" {
		t.Errorf("integrity: %s, %v", answer, err)
	}
}

// A log whose end is missing or damaged is cut there: what was before is kept, and it opens.
func TestFault41_TornTail(t *testing.T) {
	home, ids := filled(t, 12, true)
	log := filepath.Join(home, "qie.db-wal")
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	before := len(ids) + 1
	for cut := len(whole); cut > len(whole)-3*4120; cut -= 1030 {
		dir := t.TempDir()
		torn := slices.Clone(whole[:cut])
		if cut == len(whole) {
			torn[cut-100] ^= 0xff
		}
		db, err := os.ReadFile(filepath.Join(home, "qie.db"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "qie.db"), db, 0o600)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "qie.db-wal"), torn, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		got := present(t, s)
		if !slices.Equal(got, ids[:len(got)]) || len(got) < len(ids)-3 || len(got) > before || len(s.Notices()) != 0 {
			t.Errorf("cut at %d of %d: %d of %d jobs, notices %v", cut, len(whole), len(got), len(ids), s.Notices())
		}
		before = max(len(got), 1)
		integrity(t, s)
	}
}

// Bytes that flip in the middle: it always starts, keeps what can be read, and says so when something was lost.
func TestFault41_DamageInTheMiddle(t *testing.T) {
	home, ids := filled(t, 60, false)
	whole, err := os.ReadFile(filepath.Join(home, "qie.db"))
	if err != nil {
		t.Fatal(err)
	}
	const seed = 41
	rnd := rand.New(rand.NewPCG(seed, 0))
	damage := map[string]func([]byte) []byte{
		"header":      func(b []byte) []byte { copy(b, "not a database!!"); return b },
		"zero bytes":  func([]byte) []byte { return nil },
		"half":        func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
		"odd length":  func(b []byte) []byte { return b[:len(b)-1000] },
		"schema page": func(b []byte) []byte { clear(b[200:4000]); return b },
		"a body": func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`{"prompt":"make it sepia 7 `), []byte("\xff"+`"prompt":"make it sepia 7 `))
		},
		"newest number": func(b []byte) []byte { i := bytes.LastIndex(b, []byte("sepia 59")); clear(b[i-40 : i]); return b },
	}
	for i := range 10 {
		damage[fmt.Sprintf("page %d", i)] = func(b []byte) []byte {
			page := 1 + rnd.IntN(len(b)/4096-1)
			for j := range 4096 / 8 {
				b[page*4096+j*8] = byte(rnd.IntN(256))
			}
			return b
		}
		damage[fmt.Sprintf("byte %d", i)] = func(b []byte) []byte { b[100+rnd.IntN(len(b)-100)] ^= byte(1 + rnd.IntN(255)); return b }
	}
	kept, moved := 0, 0
	for name, harm := range damage {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "qie.db"), harm(slices.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), dir, filepath.Join(dir, "jobs"))
		if err != nil {
			t.Errorf("%s (seed %d): it does not open: %v", name, seed, err)
			continue
		}
		got := present(t, s)
		for _, id := range got {
			if !slices.Contains(ids, id) {
				t.Errorf("%s: a job that never was: %s", name, id)
			}
		}
		aside, _ := filepath.Glob(filepath.Join(dir, "qie.db"+damagedSuffix+"*"))
		if len(got) < len(ids) && name != "zero bytes" && (len(aside) == 0 || len(s.Notices()) == 0) {
			t.Errorf("%s (seed %d): %d of %d jobs are left and nobody is told", name, seed, len(got), len(ids))
		}
		if len(aside) > 0 {
			moved++
		}
		kept += len(got)
		row := newRow("after")
		if err := s.Insert(t.Context(), &row); err != nil {
			t.Errorf("%s: insert after the salvage: %v", name, err)
		}
		integrity(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		again := open(t, dir)
		if n := len(present(t, again)); n != len(got)+1 || len(again.Notices()) != 0 {
			t.Errorf("%s: the second start has %d jobs and tells %v", name, n, again.Notices())
		}
	}
	t.Logf("%d kinds of damage, %d moved aside, %.1f of %d jobs kept on average", len(damage), moved,
		float64(kept)/float64(len(damage)), len(ids))
}

// Deleted, or replaced by another, while it is open: nothing that was acknowledged is lost.
func TestFault41_DeletedWhileRunning(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"database":   func(dir string) error { return os.Remove(filepath.Join(dir, "qie.db")) },
		"everything": func(dir string) error { removeDatabase(filepath.Join(dir, "qie.db")); return nil },
		"replaced": func(dir string) error {
			other := filepath.Join(dir, "other")
			if err := os.WriteFile(other, []byte("another file"), 0o600); err != nil {
				return err
			}
			return os.Rename(other, filepath.Join(dir, "qie.db"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			s := open(t, home)
			want := []job.ID{insert(t, s, "before").Job.ID}
			var readers sync.WaitGroup
			stop, cancel := context.WithCancel(t.Context())
			for range readers4 {
				readers.Go(func() {
					for stop.Err() == nil {
						_, _ = s.Query(stop, Query{}) // may be refused in the moment of the loss
					}
				})
			}
			if err := harm(home); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				want = append(want, insert(t, s, "after").Job.ID)
			}
			cancel()
			readers.Wait()
			if got := present(t, s); !slices.Equal(got, want) {
				t.Errorf("while it runs there are %d jobs, want %d", len(got), len(want))
			}
			if n := s.Notices(); len(n) != 1 || n[0].Code != "store_rescued" {
				t.Errorf("notices %v", n)
			}
			// No Close: what was answered is on the disk.
			again := open(t, home)
			if got := present(t, again); !slices.Equal(got, want) {
				t.Errorf("the next start has %d jobs, want %d", len(got), len(want))
			}
			integrity(t, again)
			replaced, _ := filepath.Glob(filepath.Join(home, "qie.db"+replacedSuffix+"*"))
			if (len(replaced) == 1) != (name == "replaced") {
				t.Errorf("put aside: %v", replaced)
			}
		})
	}
}

const readers4 = 4

// steps is a schema that grows: what a later qie will bring.
func steps(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 1; i <= schemaNow; i++ {
		name := fmt.Sprintf("migration/%04d.sql", i)
		text, err := migrations.ReadFile(name)
		if err != nil {
			panic(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	for i := schemaNow + 1; i <= n; i++ {
		files[fmt.Sprintf("migration/%04d.sql", i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"CREATE TABLE more%d (x TEXT); INSERT INTO more%d SELECT id FROM jobs; ALTER TABLE jobs ADD COLUMN extra%d TEXT;", i, i, i)}
	}
	return files
}

const (
	schemaNow = 3 // of this qie
	schemas   = schemaNow + 4
)

func init() {
	children["migrate"] = func(args []string) {
		var nth int
		_, _ = fmt.Sscan(args[2], &nth)
		killAt(args[1], nth)
		s := &Store{path: filepath.Join(args[0], "qie.db")}
		if err := s.connect(); err != nil {
			panic(err)
		}
		if err := migrate(context.Background(), s, steps(schemas)); err != nil {
			panic(err)
		}
	}
}

func child(t *testing.T, args ...string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childRole+"="+strings.Join(args, "\n"), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// pointKills is how often each point of a migration and of a salvage kills.
const pointKills = 5

// Killed before, in and behind every step, and five times at each of them: each step happened whole or not at all, and the next start goes on there.
func TestMigrate_SurvivesAKillAtEachStep(t *testing.T) {
	home, ids := filled(t, 5, false)
	for _, point := range []string{"migrate.begin", "migrate.commit", "migrate.done"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(home)); err != nil {
			t.Fatal(err)
		}
		at := schemaNow // of filled
		for kill := range 2 * schemas {
			met := strings.Contains(child(t, "migrate", dir, point, "1"), "at the point")
			if !met {
				break // everything is done
			}
			for range pointKills - 1 { // at the same step again; behind one, at the next
				if point != "migrate.done" && !strings.Contains(child(t, "migrate", dir, point, "1"), "at the point") {
					t.Fatalf("%s, kill %d: the step that was killed is taken for done", point, kill)
				}
			}
			db, err := sql.Open("sqlite", filepath.Join(dir, "qie.db"))
			if err != nil {
				t.Fatal(err)
			}
			var version, tables int
			if err := db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil {
				t.Fatal(err)
			}
			if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name LIKE 'more%'").Scan(&tables); err != nil {
				t.Fatal(err)
			}
			_ = db.Close()
			if tables != version-schemaNow || version < at {
				t.Fatalf("%s, kill %d: schema %d with %d of its tables", point, kill, version, tables)
			}
			at = version
			if point != "migrate.done" {
				child(t, "migrate", dir, point, "2") // one step further, so that every step is met
			}
		}
		if at != schemas && at != schemas-1 {
			t.Errorf("%s: the last kill was at schema %d", point, at)
		}
		child(t, "migrate", dir, "none", "1")
		s := &Store{path: filepath.Join(dir, "qie.db")}
		if err := s.connect(); err != nil {
			t.Fatal(err)
		}
		var version, jobs int
		if err := s.read.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM jobs), user_version FROM pragma_user_version").Scan(&jobs, &version); err != nil ||
			version != schemas || jobs != len(ids) {
			t.Errorf("%s: at the end schema %d with %d jobs, %v", point, version, jobs, err)
		}
		integrity(t, s)
		_ = s.closeDatabase()
	}
}

func init() {
	children["salvage"] = func(args []string) {
		killAt(args[1], 1)
		s, err := Open(context.Background(), args[0], filepath.Join(args[0], "jobs"))
		if err != nil {
			panic(err)
		}
		_ = s.Close()
	}
}

// A salvage that is killed goes on at the next start, and never starts over with an empty database.
func TestSalvage_SurvivesFiveKillsAtEachPoint(t *testing.T) {
	home, ids := filled(t, 20, false)
	met := map[string]int{}
	defer func() { t.Logf("kills %v", met) }()
	for _, point := range []string{"salvage.begin", "salvage.commit", "salvage.done", "salvage.copied", "salvage.aside"} {
		for met[point] < pointKills && !t.Failed() {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(home)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "qie.db")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data = bytes.ReplaceAll(data, []byte(`{"prompt":"make it sepia 7 `), []byte("\xff"+`"prompt":"make it sepia 7 `))
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			// Killed at the same point of every start, five times: a start that does not come there again had nothing to do.
			for kill := range pointKills {
				if out := child(t, "salvage", dir, point); !strings.Contains(out, "at the point") {
					if kill == 0 {
						t.Errorf("%s was not met: %s", point, out)
					}
					break
				}
				met[point]++
			}
			s := open(t, dir)
			if n := len(present(t, s)); n != len(ids)-1 {
				t.Errorf("%s: %d of %d jobs", point, n, len(ids))
			}
		}
	}
}
