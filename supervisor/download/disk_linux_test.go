package download

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/job"
)

// tmpfs mounts a small file system in memory. In CI it has to be possible.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test mounts small file systems and needs root; CI has to give it")
		}
		t.Skip("this test mounts small file systems and needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk that runs full in the middle: the pull says so and waits, nothing partial is in blobs, and when space is made it
// goes on by itself to a good file.
func TestPull_WaitsForSpace(t *testing.T) {
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(21, 6*blockSize)}
	h := newHub(t, files)
	o := h.options(t)
	dir := tmpfs(t, "4m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4*blockSize), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Cache = filepath.Join(dir, "hub")
	var waited atomic.Int64
	o.Wait = func(ctx context.Context, _ time.Duration) error {
		noBadBlob(t, o.Cache)
		if waited.Add(1) == 3 {
			return errors.Join(context.Cause(ctx), os.Remove(ballast))
		}
		return context.Cause(ctx)
	}
	d := newDownloader(t, o)
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	if waited.Load() < 3 || len(w.whys) == 0 || !strings.Contains(strings.Join(w.whys, " "), "disk is full") {
		t.Errorf("waited %d times; said %q", waited.Load(), w.whys)
	}
	if w.last.Fetched > m.Bytes()*101/100+int64(o.Connections)*blockSize {
		t.Errorf("%d bytes were fetched for %d", w.last.Fetched, m.Bytes())
	}
}

// The disk is judged before the first byte: what is missing, a tenth more, and what stays free.
func TestPull_RefusesWhatDoesNotFit(t *testing.T) {
	h := newHub(t, model(1))
	o := h.options(t)
	o.DiskFloor = DiskFloor
	o.DiskFree = func(string) (int64, error) { return DiskFloor + 3*blockSize, nil }
	d := newDownloader(t, o)
	_, err := d.Pull(t.Context(), testEntry, (&watch{t: t}).report)
	if e := job.AsError(err); e.Code != job.CodeDiskFull || !strings.Contains(e.Message, "2.0 GB") || e.Hint == "" {
		t.Fatalf("got %v", err)
	}
	if asked, _ := h.count(); asked != 0 {
		t.Errorf("%d requests for files that do not fit", asked)
	}
	// With space for it, the floor is watched on the way as well.
	var looks atomic.Int64
	o.DiskFree = func(string) (int64, error) {
		if n := looks.Add(1); n > 1 && n < 4 {
			return DiskFloor - 1, nil
		}
		return DiskFloor + 1<<30, nil
	}
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(22, diskLook+9*blockSize)}
	h = newHub(t, files)
	fresh := h.options(t)
	fresh.DiskFloor, fresh.DiskFree = o.DiskFloor, o.DiskFree
	d = newDownloader(t, fresh)
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	if looks.Load() < 4 || !strings.Contains(strings.Join(w.whys, " "), "disk is full") {
		t.Errorf("looked %d times; said %q", looks.Load(), w.whys)
	}
}

func TestPull_ReadOnlyFolder(t *testing.T) {
	h := newHub(t, model(1))
	o := h.options(t)
	dir := tmpfs(t, "1m")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	o.Cache = filepath.Join(dir, "hub")
	_, err := newDownloader(t, o).Pull(t.Context(), testEntry, (&watch{t: t}).report)
	if e := job.AsError(err); e.Code != job.CodeDiskError || e.Hint == "" {
		t.Errorf("got %v", err)
	}
}

// The cache is on another disk than what is adopted: the bytes are copied, and hashed after the copy.
func TestPull_AdoptsFromAnotherDisk(t *testing.T) {
	files := model(23)
	h := newHub(t, files)
	o := h.options(t)
	dir := tmpfs(t, "16m")
	o.Cache = filepath.Join(dir, "hub")
	elsewhere := t.TempDir()
	shard := files["transformer/model-1.safetensors"]
	if err := os.WriteFile(filepath.Join(elsewhere, "x.safetensors"), shard, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Also = []string{elsewhere}
	d := newDownloader(t, o)
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	if w.last.Fetched != m.Bytes()-int64(len(shard)) {
		t.Errorf("%d bytes were fetched", w.last.Fetched)
	}
}
