package worker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qie/supervisor/job"
)

func TestWithoutPaths(t *testing.T) {
	tests := map[string]string{
		`  File "/home/ann/env/lib/python3.12/site-packages/torch/nn/modules/linear.py", line 125, in forward`: `  File "linear.py", line 125, in forward`,
		"no such file: /Users/ann/photos/secret party.jpg":                                                     "no such file: [path] party.jpg",
		"cannot read /home/me/data/x":                                                                          "cannot read [path]",
		"/home/me is read-only":                                                                                "[path] is read-only",
		"/opt/torch/lib/libtorch_cpu.so: undefined symbol":                                                     "libtorch_cpu.so: undefined symbol",
		"3/4 done at 1.5 it/s":                                                                                 "3/4 done at 1.5 it/s",
		"~/qwen-image-editor/jobs/1 is gone":                                                                   "[path] is gone",
	}
	for text, want := range tests {
		if got := withoutPaths(text, "/home/me"); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Every abnormal death leaves a report that may be shown to anybody; a wanted one leaves none.
func TestCrash_ReportHoldsNoPromptAndNoPath(t *testing.T) {
	dir := t.TempDir()
	const prompt = "make my grandmother younger"
	r := newRig(t, "at step 1 in gen 1: holds 700; at step 2 in gen 1: say File /home/ann/photos/x.py got "+prompt+
		"; at step 2 in gen 1: exit 3", func(c *Config) { c.CrashDir = dir })
	p := r.start(r.plan(prompt))
	if died := r.end(p).(Died); died.Err.Code != job.CodeWorkerDied {
		t.Fatalf("got %+v", died)
	}
	r.one(p)
	if err := r.w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.state(Cold)
	reports, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(reports) != 1 {
		t.Fatalf("reports %v, %v", reports, err)
	}
	data, err := os.ReadFile(reports[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{prompt, "grandmother", "/home", "ann/", "photos"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the report holds %q: %s", secret, data)
		}
	}
	var c crash
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Exit != 3 || c.State != Busy || c.Phase != "denoise" || c.Generation != 1 || c.Done == "" || len(c.Stderr) == 0 ||
		c.Footprint[len(c.Footprint)-1] != 700<<20 || !strings.Contains(c.Cause, "exit code 3") {
		t.Errorf("got %+v", c)
	}
}

func TestCrash_OldReportsGo(t *testing.T) {
	w := New(Config{CrashDir: t.TempDir()})
	for i := range crashesKept + 5 {
		w.gen = int64(i)
		if err := os.WriteFile(filepath.Join(w.cfg.CrashDir, fmt.Sprintf("crash-20200101T000000.000-%02d.json", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.report(death{}, verdict{err: fault(job.CodeWorkerDied, "x", "")}, "")
	left, _ := filepath.Glob(filepath.Join(w.cfg.CrashDir, "*"))
	if len(left) != crashesKept || strings.Contains(left[len(left)-1], "2020") {
		t.Errorf("%d are left: %v", len(left), left)
	}
}
