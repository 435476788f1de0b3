package folder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPut_ReplacesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	for i, c := range []struct{ data, want string }{
		{"first", "job_result.png"}, {"second", "job_result-2.png"}, {"first", "job_result.png"}, {"third", "job_result-3.png"},
		{"second", "job_result-2.png"},
	} {
		if got, err := Put(dir, "job_result.png", strings.NewReader(c.data)); err != nil || got != c.want {
			t.Errorf("%d: %q %v, want %q", i, got, err, c.want)
		}
	}
	if read(t, filepath.Join(dir, "job_result.png")) != "first" || read(t, filepath.Join(dir, "job_result-2.png")) != "second" {
		t.Error("a file was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v %v", entries, err)
	}
}

// A link under the name that is wanted leads nowhere: it stays, and what it points to is not written.
func TestPut_FollowsNoLinkAndNoTraversal(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "victim.png")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"a.png": outside, "b.png": filepath.Join(t.TempDir(), "not there"), "c.png": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		got, err := Put(dir, name, strings.NewReader("mine"))
		if want := numbered(name, 2); err != nil || got != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if link, err := os.Readlink(filepath.Join(dir, name)); err != nil || link != target {
			t.Errorf("the link %s is %q now: %v", name, link, err)
		}
	}
	if read(t, outside) != "mine" {
		t.Error("a file behind a link was written")
	}
	for _, name := range []string{"../a.png", "/a.png", "sub/a.png", "..", ".", ""} {
		if got, err := Put(dir, name, strings.NewReader("x")); err == nil {
			t.Errorf("%q was written as %q", name, got)
		}
	}
}

func TestPut_AtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := Put(dir, "r.png", strings.NewReader(strings.Repeat("x", i+1))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sizes := map[int64]bool{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sizes[info.Size()] = true
	}
	if len(entries) != 20 || len(sizes) != 20 {
		t.Errorf("%d files of %d sizes", len(entries), len(sizes))
	}
}

// What breaks off leaves nothing, and what a killed program left is swept.
func TestPut_LeavesNoDraft(t *testing.T) {
	dir := t.TempDir()
	if _, err := Put(dir, "r.png", &broken{}); err == nil {
		t.Error("no error")
	}
	old, young, foreign := ".qie-0123456789abcdef.part", ".qie-aaaaaaaaaaaaaaaa.part", ".qie-notes.part"
	for _, name := range []string{old, young, foreign} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{old, foreign} {
		past := time.Now().Add(-2 * draftStale)
		if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir)
	Sweep(filepath.Join(dir, "not there"))
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 || entries[0].Name() != young || entries[1].Name() != foreign {
		t.Errorf("left: %v", entries)
	}
}

type broken struct{ n int }

func (b *broken) Read(p []byte) (int, error) {
	if b.n++; b.n > 3 {
		return 0, errors.New("the cable")
	}
	return len(p), nil
}
