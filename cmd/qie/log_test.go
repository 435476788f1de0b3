package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Written far past its limit, the log stays below size times count, and the newest line is there.
func TestLog_RotatesBySizeAndCount(t *testing.T) {
	home := t.TempDir()
	log := openLog(home)
	line := []byte(strings.Repeat("x", 1<<10-1) + "\n")
	for range 3 * (logKept + 1) * logMegabytes << 10 { // three times what may be there
		if _, err := log.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := log.Write([]byte("the last line\n")); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(home, "logs", "qie.log"))
	if err != nil || !bytes.HasSuffix(data, []byte("the last line\n")) || len(data) > logMegabytes<<20 {
		t.Errorf("qie.log has %d bytes: %v", len(data), err)
	}
	// Old files are removed by a goroutine of their own.
	waitFor(t, "removal of the old files", func() bool {
		files, err := os.ReadDir(filepath.Join(home, "logs"))
		return err == nil && len(files) <= logKept+1
	})
	var total int64
	files, _ := os.ReadDir(filepath.Join(home, "logs"))
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if limit := int64(logKept+1) * logMegabytes << 20; total > limit || len(files) != logKept+1 {
		t.Errorf("%d files of %d bytes, the limit is %d", len(files), total, limit)
	}
}

func TestTrimLog_KeepsTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "service.log")
	if err := trimLog(path, 10); err != nil {
		t.Errorf("a missing file: %v", err)
	}
	// launchd holds the file open for appending meanwhile.
	held, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	for i := range 100 {
		_, _ = fmt.Fprintf(held, "line %02d\n", i)
	}
	for _, want := range []string{"line 98\nline 99\n", "line 98\nline 99\n"} {
		if err := trimLog(path, 16); err != nil {
			t.Fatal(err)
		}
		if data, _ := os.ReadFile(path); string(data) != want {
			t.Errorf("got %q", data)
		}
	}
	_, _ = fmt.Fprint(held, "next\n")
	if data, _ := os.ReadFile(path); string(data) != "line 98\nline 99\nnext\n" {
		t.Errorf("what is written behind: %q", data)
	}
}
