package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor/config"
	st "qie/supervisor/supervisortest"
)

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(st.Patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s after %v", what, st.Patience)
		}
	}
}

// The folders and origins of the original program, set while qie runs: a photo is offered when it is whole, its result
// comes out under the old name, and the old clean-up removes the job and leaves photo and copy alone.
func TestFolders_SetWhileItRuns(t *testing.T) {
	home, env := newHome(t, "")
	p := start(t, home, env, "--json", "serve")
	url := p.url(t)
	dir := t.TempDir()
	input, output := filepath.Join(dir, "Eingang ä"), filepath.Join(dir, "out put")
	var list struct {
		Count  int
		Images []struct{ Filename string }
	}
	if status := getJSON(t, url+"/api/input-folder/list", &list); status != 404 {
		t.Errorf("without a folder: %d", status)
	}
	text := fmt.Sprintf("input_folder = %q\noutput_folder = %q\nqie_origins = [\"http://localhost:3000\"]\nqie_idle_unload = 5\n", input, output)
	if err := os.WriteFile(filepath.Join(home, config.TOMLFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "input folder", func() bool { return getJSON(t, url+"/api/input-folder/list", &list) == 200 })
	var view config.View
	getJSON(t, url+"/api/v1/settings", &view)
	for _, s := range view.Settings {
		switch {
		case s.Key == "INPUT_FOLDER" && (s.Value != input || s.Line != 1 || s.Next != ""), s.Key == "QIE_IDLE_UNLOAD" && (s.Value != "10" || s.Next != "5"):
			t.Errorf("setting %+v", s)
		}
	}
	photo := st.Picture(96, 64)
	if err := os.WriteFile(filepath.Join(input, "photo.png"), photo, 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "photo in the list", func() bool { return getJSON(t, url+"/api/input-folder/list", &list) == 200 && list.Count == 1 })

	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("image1", list.Images[0].Filename)
	if err == nil {
		_, err = part.Write(photo)
	}
	if err == nil {
		err = w.WriteField("config", `{"prompt": "make it sepia"}`)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/api/edit", &form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Header.Set("Origin", "http://localhost:3000")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	var job struct {
		ID string `json:"job_id"`
	}
	sendJSON(t, req, &job)
	copied := filepath.Join(output, job.ID+"_result.png")
	waitPath(t, copied)
	var status struct{ Status string }
	waitFor(t, "end", func() bool {
		return getJSON(t, url+"/api/jobs/"+job.ID+"/status", &status) == 200 && status.Status == "complete"
	})

	req, err = http.NewRequestWithContext(t.Context(), "POST", url+"/api/cleanup?hours=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	var cleaned struct{ Deleted []string }
	sendJSON(t, req, &cleaned)
	if len(cleaned.Deleted) != 1 || cleaned.Deleted[0] != job.ID {
		t.Errorf("cleaned %v", cleaned)
	}
	kept, _ := filepath.Glob(filepath.Join(home, "jobs", "originals", "photo-*.png"))
	for _, path := range append(kept, copied, filepath.Join(input, "photo.png")) {
		if _, err := os.Stat(path); err != nil || len(kept) != 1 {
			t.Errorf("after the clean-up: %v, kept %v", err, kept)
		}
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	if code := p.end(t); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if said := p.stderr.String(); !strings.Contains(said, "in force now: INPUT_FOLDER, OUTPUT_FOLDER, QIE_ORIGINS; changed settings take effect at the next start of qie: QIE_IDLE_UNLOAD") {
		t.Errorf("the terminal says %s", said)
	}
}

func sendJSON(t *testing.T, req *http.Request, v any) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %d %v", req.URL.Path, res.StatusCode, err)
	}
}
