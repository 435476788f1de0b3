package supervisor_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

const (
	oldFinished = job.ID("11111111-1111-4111-8111-111111111111")
	oldFailed   = job.ID("22222222-2222-4222-8222-222222222222")
	oldRunning  = job.ID("33333333-3333-4333-8333-333333333333")
)

// earlierTree is a data folder as the earlier program left it: finished, failed, running and broken jobs.
func earlierTree(t *testing.T, jobs string) {
	t.Helper()
	photo, secret := st.Picture(96, 64), filepath.Join(t.TempDir(), "secret.jpg")
	write := func(path string, data []byte) {
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(secret, photo)
	put := func(id job.ID, metadata string, files ...string) {
		write(filepath.Join(jobs, string(id), "metadata.json"), []byte(metadata))
		for _, name := range files {
			write(filepath.Join(jobs, string(id), name), photo)
		}
	}
	config := `"config": {"prompt": "make it sepia", "negative_prompt": " ", "true_cfg_scale": 4.5, "num_inference_steps": 40, "model_type": "qwen_gguf", "seed": 9}`
	put(oldFinished, `{"job_id": "x", "status": "complete", "created_at": 1700000000.5, "error": null, "output_images": ["../../secret.jpg", "output.jpg"],
		"progress": {"stage": "complete", "message": "done", "progress": 100, "updated_at": 1700000060.25}, `+config+`}`, "input_1.jpg", "input_2.jpg", "output.jpg")
	put(oldFailed, `{"status": "error", "created_at": 1700000100, "error": "CUDA out of memory", `+strings.Replace(config, "4.5", "99", 1)+`}`, "input_1.jpg")
	put(oldRunning, `{"status": "processing", "created_at": 1700000200, "progress": null, `+config+`}`, "input_1.jpg")
	for i, broken := range []string{`{"status": "comp`, `[]`, `{"status": "complete", "created_at": 1, ` + config + `}`,
		`{"status": "paused", "created_at": 1, ` + config + `}`, `{"status": "error", "created_at": 1, "config": {}}`} {
		put(job.ID(fmt.Sprintf("44444444-4444-4444-8444-44444444444%d", i)), broken, "input_1.jpg")
	}
	noPicture := job.ID("55555555-5555-4555-8555-555555555555")
	put(noPicture, `{"status": "error", "created_at": 1, `+config+`}`)
	write(filepath.Join(jobs, string(noPicture), "input_1.jpg"), []byte("no picture"))
	linked := job.ID("66666666-6666-4666-8666-666666666666")
	put(linked, `{"status": "error", "created_at": 1, `+config+`}`)
	if err := os.Symlink(secret, filepath.Join(jobs, string(linked), "input_1.jpg")); err != nil {
		t.Fatal(err)
	}
	inside := job.ID("66666666-6666-4666-8666-666666666667")
	put(inside, `{"status": "error", "created_at": 1, `+config+`}`)
	if err := os.Symlink(filepath.Join("..", string(oldFinished), "input_1.jpg"), filepath.Join(jobs, string(inside), "input_1.jpg")); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(jobs, "notes", "metadata.json"), []byte("{}"))
	write(filepath.Join(jobs, "77777777-7777-4777-8777-777777777777", "input_1.jpg"), photo)
}

// snapshot describes every file below a folder: name, mode, time and contents.
func snapshot(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v %v", strings.TrimPrefix(path, dir), info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func notice(s *supervisor.Supervisor, code string) string {
	for _, n := range s.State().Notices {
		if n.Code == code {
			return n.Message
		}
	}
	return ""
}

func TestImport_TakesOverAndChangesNothing(t *testing.T) {
	earlier, home := filepath.Join(t.TempDir(), "jobs"), t.TempDir()
	earlierTree(t, earlier)
	before := snapshot(t, earlier)
	from := func(c *supervisor.Config) { c.ImportFrom = []string{earlier, filepath.Join(earlier, "not there")} }
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home), from))
	if err != nil {
		t.Fatal(err)
	}
	st.Until(t, s, "import", func() bool { return notice(s, "imported") != "" })
	if got := notice(s, "imported"); !strings.HasPrefix(got, "3 edits of the program that came before") || !strings.Contains(got, "; 8 could not be read") {
		t.Errorf("told: %s", got)
	}
	done, err := s.Job(t.Context(), supervisor.ImportedID(oldFinished))
	if err != nil || done.State != job.Succeeded || len(done.Images) != 2 || done.Recipe.Steps != 40 || done.Recipe.TrueCFGScale != 4.5 ||
		*done.Recipe.Seed != 9 || done.Result.Width != 96 || !done.CreatedAt.Equal(time.UnixMilli(1700000000500)) || !done.FinishedAt.Equal(time.UnixMilli(1700000060250)) {
		t.Fatalf("finished: %+v %v", done, err)
	}
	f, err := s.OpenResult(t.Context(), done.ID)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	n, _ := f.WriteTo(hash)
	_ = f.Close()
	if got := fmt.Sprintf("%x", hash.Sum(nil)); got != done.Result.SHA256 || n != done.Result.Bytes {
		t.Errorf("result %s of %d bytes, told %s of %d", got, n, done.Result.SHA256, done.Result.Bytes)
	}
	failed, err := s.Job(t.Context(), supervisor.ImportedID(oldFailed))
	if err != nil || failed.State != job.Failed || failed.Error.Message != "CUDA out of memory" || failed.Recipe.TrueCFGScale != 0 {
		t.Errorf("failed: %+v %v", failed, err)
	}
	running, err := s.Job(t.Context(), supervisor.ImportedID(oldRunning))
	if err != nil || running.State != job.Failed || running.Error.Code != job.CodeWorkerDied {
		t.Errorf("running: %+v %v", running, err)
	}
	// It is a job like any other: it can be tried again, and removed.
	st.WaitModel(t, s)
	if _, err := s.Retry(t.Context(), running.ID); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, running.ID); j.State != job.Succeeded {
		t.Errorf("tried again: %+v", j.Error)
	}
	if err := s.Remove(t.Context(), failed.ID); err != nil {
		t.Fatal(err)
	}
	st.Close(t, s)

	s = st.New(t, st.Home(home), from)
	page, err := s.Jobs(t.Context(), store.Query{})
	if err != nil || len(page.Jobs) != 2 || notice(s, "imported") != "" {
		t.Errorf("the next start has %d jobs: %v", len(page.Jobs), err)
	}
	if after := snapshot(t, earlier); !slices.Equal(before, after) {
		t.Errorf("the earlier program's folder changed from\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// Both programs keep their jobs in the same folder by default: what is the earlier one's stays, also in a clean-up.
func TestImport_InTheSameFolder(t *testing.T) {
	home := t.TempDir()
	jobs := filepath.Join(home, "jobs")
	earlierTree(t, jobs)
	bytes := diskBytes(t, filepath.Join(jobs, string(oldFinished)))
	s := st.New(t, st.Home(home), func(c *supervisor.Config) { c.ImportFrom = []string{jobs} })
	st.Until(t, s, "import", func() bool { return notice(s, "imported") != "" })
	v, err := s.Storage(t.Context(), false)
	if err != nil || v.Earlier == nil || v.Earlier.Jobs != 11 || v.Earlier.Bytes <= bytes {
		t.Errorf("earlier %+v: %v", v.Earlier, err)
	}
	if r, err := s.Cleanup(t.Context(), supervisor.CleanupQuery{All: true, Originals: true}); err != nil || len(r.Jobs) != 3 {
		t.Errorf("cleaned %+v: %v", r, err)
	}
	if got := diskBytes(t, filepath.Join(jobs, string(oldFinished))); got != bytes {
		t.Errorf("the clean-up left %d of %d bytes", got, bytes)
	}
}

// A disk without space stops an import in words; the next start goes on.
func TestImport_WaitsForSpace(t *testing.T) {
	earlier, home := filepath.Join(t.TempDir(), "jobs"), t.TempDir()
	earlierTree(t, earlier)
	from := func(c *supervisor.Config) { c.ImportFrom = []string{earlier} }
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home), from, func(c *supervisor.Config) {
		c.DiskFree = func() (int64, error) { return 0, nil }
	}))
	if err != nil {
		t.Fatal(err)
	}
	st.Until(t, s, "stop", func() bool { return strings.Contains(notice(s, "import_stopped"), "the disk has less than") })
	st.Close(t, s)
	s = st.New(t, st.Home(home), from)
	st.Until(t, s, "import", func() bool { return strings.HasPrefix(notice(s, "imported"), "3 edits") })
}
