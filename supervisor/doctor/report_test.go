package doctor

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
)

// Canaries stand wherever something private could come from; none may be in the zip, packed or unpacked.
func TestReport_LetsNoCanaryOut(t *testing.T) {
	home := filepath.Join(t.TempDir(), "canary-home", "qwen-image-editor")
	t.Setenv("HOME", filepath.Dir(home))
	logs := filepath.Join(home, "logs")
	if err := os.MkdirAll(filepath.Join(home, "jobs", "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	const prompt, negative = "make canary-prompt \"ünï\" 照片", "canary-negative"
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("logs/qie.log", fmt.Sprintf(`{"time":"2026","level":"INFO","msg":"submitted","job":"0193-canary-job","prompt":%q,"err":"open %s/canary-home/x: no such file"}`+"\n"+
		`{"level":"ERROR","msg":"refused: make canary-prompt \"ünï\" 照片","err":"Bearer canary-bearer and hf_canary12345678"}`+"\n"+
		`{"level":"INFO","msg":"kept","unknown":"canary-unknown-key"}`+"\n", "canary-field", filepath.Dir(home)))
	write("logs/worker.log", "read "+home+"/jobs/1/input-1.png\nUnicode \\u00fcn\\u00ef make canary-prompt \\\"\\u00fcn\\u00ef\\\" \\u7167\\u7247\ncanary-name.jpg opened, canary-negative\n")
	write("logs/crash-1.json", `{"cause":"canary-token-1234567890 in `+home+`","code":"worker_died"}`)
	write("logs/setup.log", "+ pip install --index https://user:canary-password@mirror.example/simple\ntoken=canary-query\n")
	write("jobs/1/input-1.png", "canary-exif")
	write("config.toml", `qie_token = "canary-token-1234567890"`)
	r := Report{Home: home, Now: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC),
		Facts:     preflight.Facts{Host: host.Facts{OS: "linux"}, Data: preflight.Folder{Path: home}},
		Diagnosis: Diagnosis{Findings: []preflight.Finding{{Name: "data", Level: preflight.OK, Title: "data in " + home}}},
		Settings:  []Setting{{Key: "QIE_TOKEN", Value: "canary-token-1234567890"}},
		Secrets:   []string{"canary-token-1234567890"},
		Jobs: []job.Job{{ID: "0193-canary-job", State: job.Failed, Recipe: job.Recipe{Prompt: prompt, NegativePrompt: negative, Steps: 7},
			Images: []job.Image{{Name: "canary-name.jpg", Width: 40, Height: 30}}}}}
	var packed bytes.Buffer
	names, err := r.Write(&packed)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	all := packed.String()
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		all += f.Name + string(data)
		if bytes.Contains(bytes.ToLower(data), []byte("canary")) {
			t.Errorf("%s lets a canary out:\n%s", f.Name, data)
		}
		if bytes.Contains(data, []byte("照片")) || bytes.Contains(data, []byte(`\u7167`)) {
			t.Errorf("%s holds a part of the prompt:\n%s", f.Name, data)
		}
	}
	if strings.Contains(all, "canary") || strings.Contains(all, home) {
		t.Error("a canary is in the zip")
	}
	for _, want := range []string{"findings.txt", "versions.json", "plan.json", "stand-in/recipe.json", "stand-in/input-1.png", "logs/qie.log",
		"logs/worker.log", "logs/crash-1.json", "logs/setup.log"} {
		if !strings.Contains(strings.Join(names, " ")+" ", want+" ") {
			t.Errorf("%s is not in the report: %v", want, names)
		}
	}
	for _, want := range []string{`"msg":"kept"`, "worker_died", `"steps": 7`} {
		if !strings.Contains(all, want) {
			t.Errorf("the report lost %s", want)
		}
	}
}

// The plans name the device that computes, also where the settings leave it open.
func TestReport_PlansNameADevice(t *testing.T) {
	r := Report{Facts: preflight.Facts{Device: "auto", Host: host.Facts{OS: "linux", MemoryTotal: 64 << 30}}, Spec: model.Spec{ID: "m", Bytes: 1 << 30}}
	for _, p := range r.plans() {
		if p.Device != "cpu" || p.DType != "float32" {
			t.Errorf("got %+v", p)
		}
	}
	if got := len(r.plans()); got != 2 {
		t.Errorf("%d plans", got)
	}
}

// What cleaning cannot take out leaves its member out.
func TestReport_LeavesOutWhatItCannotClean(t *testing.T) {
	var packed bytes.Buffer
	names, err := Report{Home: t.TempDir(), Secrets: []string{"[removed"}, Jobs: []job.Job{{Recipe: job.Recipe{Prompt: "removed]"}}},
		Settings: []Setting{{Value: "removed]"}}}.Write(&packed)
	if err != nil || !strings.Contains(strings.Join(names, " "), "settings.json.left-out.txt") {
		t.Errorf("got %v, %v", names, err)
	}
}

func TestClose_TakesRightsFromOthers(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "qie.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{home: 0o755, filepath.Join(home, "qie.db"): 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := loose(home); len(got) != 2 {
		t.Errorf("open are %v", got)
	}
	if err := Close(home); err != nil || len(loose(home)) != 0 {
		t.Errorf("still open: %v, %v", loose(home), err)
	}
}
