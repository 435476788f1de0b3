package api

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"qie/supervisor"
	"qie/supervisor/download"
	"qie/supervisor/download/downloadtest"
	"qie/supervisor/event"
	st "qie/supervisor/supervisortest"
)

// A download as a page meets it: listed with licence and fit, begun, paused, resumed, told by live events, removed.
func TestModels_PullPauseResumeRemove(t *testing.T) {
	const lora = "lightning-edit-4"
	hub, err := downloadtest.New(map[string]map[string]*downloadtest.File{"lightx2v/Qwen-Image-Lightning": {
		"Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors": {Size: 5 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	hub.Gate = make(chan struct{})
	home := t.TempDir()
	d, err := download.New(download.Options{Endpoint: hub.URL, Cache: filepath.Join(home, "hub"), Pins: filepath.Join(home, "pins"), DiskFloor: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := newRig(t, rigConfig{home: home, options: []st.Option{func(c *supervisor.Config) { c.Downloads = d }}})
	entry := func() CatalogueEntry {
		var list ModelList
		if err := json.Unmarshal(r.get(t, "/api/v1/models").body, &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Catalogue {
			if e.ID == lora {
				return e
			}
		}
		t.Fatal("not listed")
		return CatalogueEntry{}
	}
	if e := entry(); e.Licence != "Apache-2.0" || e.Known || e.Complete || e.Progress.State != "absent" || e.Fit.Reason == "" || e.Bytes == 0 {
		t.Errorf("before: %+v", e)
	}
	ask := func(method, path string, status int) reply {
		t.Helper()
		a := r.do(t, method, path, nil)
		if a.status != status {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
		return a
	}
	ask("POST", "/api/v1/models/"+lora+"/pull", 200)
	ask("POST", "/api/v1/models/"+lora+"/pull", 200) // twice is once
	ask("DELETE", "/api/v1/models/"+lora, 409)       // not while it runs
	ask("DELETE", "/api/v1/models/"+lora+"/pull", 204)
	if e := entry(); e.Progress.State != "paused" {
		t.Errorf("paused: %+v", e)
	}
	sub := r.sup.Subscribe("", -1)
	defer sub.Close()
	ask("POST", "/api/v1/models/"+lora+"/pull", 200)
	close(hub.Gate)
	var last event.ModelProgress
	for last.State != "complete" {
		<-sub.C()
		events, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Type == event.TypeModelProgress {
				last = *e.Model
			}
		}
		if last.BytesDone > last.BytesTotal || last.State == "failed" {
			t.Fatalf("%+v", last)
		}
	}
	if last.BytesDone != 5<<20 || last.BytesTotal != 5<<20 {
		t.Errorf("at the end: %+v", last)
	}
	if e := entry(); !e.Complete || e.Commit != downloadtest.Commit || e.Progress.BytesDone != 5<<20 {
		t.Errorf("here: %+v", e)
	}
	if state := r.get(t, "/api/v1/state"); !strings.Contains(string(state.body), `"downloads":[{"id":"`+lora+`","state":"complete"`) {
		t.Errorf("state: %.300s", state.body)
	}
	if a := ask("DELETE", "/api/v1/models/"+lora, 200); !strings.Contains(string(a.body), `"bytes":5242880`) {
		t.Errorf("removed: %s", a.body)
	}
	ask("DELETE", "/api/v1/models/"+lora, 404)
	if e := entry(); e.Complete || e.Progress.State != "absent" || e.Commit != downloadtest.Commit {
		t.Errorf("after: %+v: what the hub said stays pinned", e)
	}
}
