package model

import (
	"os"
	"path/filepath"
	"testing"
)

// Row 23: a flipped bit changes no size, but whoever wrote it changed the file; the embedded model is written again, and
// a whole one is not even hashed.
func TestFault23_FlippedBitIsRepaired(t *testing.T) {
	home := t.TempDir()
	dir, err := Unpack(os.DirFS(embedded), home)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "text_encoder", "model.safetensors")
	flip := func() {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		_, err = f.ReadAt(b[:], 5000)
		b[0] ^= 1
		if err == nil {
			_, err = f.WriteAt(b[:], 5000)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flip()
	if Verify(dir) == nil {
		t.Fatal("the flipped bit does not show")
	}
	if _, err := Unpack(os.DirFS(embedded), home); err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir); err != nil {
		t.Error(err)
	}
	// What proves that the seal is read and not every byte: the same damage with its time put back stays unseen here.
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	flip()
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(os.DirFS(embedded), home); err != nil || Verify(dir) == nil {
		t.Errorf("a sealed model was read again: %v", err)
	}
	flip()
	// A copy has other inodes: it is verified and sealed, not written again.
	if err := os.Chtimes(path, before.ModTime().Add(1), before.ModTime().Add(1)); err != nil {
		t.Fatal(err)
	}
	kept, _ := os.Stat(dir)
	if _, err := Unpack(os.DirFS(embedded), home); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.Stat(dir); !os.SameFile(kept, now) {
		t.Error("a whole model that was touched was written again")
	}
}
