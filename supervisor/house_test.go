package supervisor_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// skipped folders hold what is built or fetched.
var skipped = map[string]bool{"node_modules": true, "dist": true, "__pycache__": true, "out": true}

func eachFile(t *testing.T, do func(path string, data []byte)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); skipped[name] || strings.HasPrefix(name, ".") && name != ".." && name != ".ci" {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Name() == ".git" {
			return nil // a file in a worktree
		}
		data, err := os.ReadFile(path)
		if err == nil {
			do(path, data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A lock that records where a package came from works on the machine that wrote it, and names its mirror to everybody.
func TestHouse_LocksNameNoHost(t *testing.T) {
	locks := 0
	eachFile(t, func(path string, data []byte) {
		if !strings.HasSuffix(path, ".lock") && filepath.Base(path) != "package-lock.json" && filepath.Base(path) != ".npmrc" {
			return
		}
		locks++
		if i := bytes.Index(data, []byte("://")); i >= 0 {
			t.Errorf("%s names a host: %q", path, data[max(0, i-40):min(len(data), i+40)])
		}
	})
	if locks < 6 {
		t.Errorf("%d lock files were found", locks)
	}
}

func TestHouse_NoFileIsTooLarge(t *testing.T) {
	eachFile(t, func(path string, data []byte) {
		if len(data) > 16<<20 {
			t.Errorf("%s has %d bytes, the limit is 16 MiB", path, len(data))
		}
	})
}

var ofThisMachine = regexp.MustCompile(`(?m)(/home/[a-z]+/|/root/|/Users/[a-z]+/|/work/)`)

// A path of the machine that something was written on works nowhere else. Tests may name made-up ones.
func TestHouse_NoAbsolutePaths(t *testing.T) {
	eachFile(t, func(path string, data []byte) {
		if strings.Contains(path, "_test.go") || strings.Contains(path, "test_") || strings.Contains(path, "testdata") || bytes.IndexByte(data, 0) >= 0 {
			return
		}
		if found := ofThisMachine.Find(data); found != nil {
			t.Errorf("%s names %s", path, found)
		}
	})
}

// What a test may kill or switch off, the product must not be able to.
func TestHouse_OnlyTestsArmFailpoints(t *testing.T) {
	eachFile(t, func(path string, data []byte) {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && bytes.Contains(data, []byte("failpoint.Arm(")) {
			t.Errorf("%s arms failpoints and is no test", path)
		}
	})
}
