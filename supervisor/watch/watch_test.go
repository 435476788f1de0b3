package watch

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFolder_OneCallForABurst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "watch")
	calls := make(chan struct{}, 16)
	if err := Folder(t.Context(), dir, slog.New(slog.DiscardHandler), func() { calls <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("port = 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-calls:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told")
	}
	if len(calls) > 0 {
		t.Error("one burst was told more than once")
	}
	if err := os.Remove(filepath.Join(dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-calls:
	case <-time.After(10 * time.Second):
		t.Fatal("a removal was not told")
	}
}
