package api

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"os"
	"strings"
	"testing"

	"qie/supervisor"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

// neverReady keeps the worker from ever being there.
func neverReady(c *supervisor.Config) {
	c.ProvideWorker = func(ctx context.Context, _ func(string)) (supervisor.CommandFunc, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestNative_EditFromSubmitToRemoval(t *testing.T) {
	r := newRig(t, rigConfig{})
	j := r.submit(t, "make it sepia")
	path := "/api/v1/jobs/" + string(j.ID)
	if a := r.get(t, path); a.status != 200 || a.job(t).ID != j.ID {
		t.Fatalf("at once: %d %s", a.status, a.body)
	}
	j = st.WaitEnd(t, r.sup, j.ID)
	if j.State != job.Succeeded {
		t.Fatalf("%s: %+v", j.State, j.Error)
	}
	a := r.get(t, j.Result.URL)
	picture, err := png.Decode(bytes.NewReader(a.body))
	if err != nil || picture.Bounds().Dx() != 96 || picture.Bounds().Dy() != 64 {
		t.Errorf("result: %d, %v", a.status, err)
	}
	etag := a.header.Get("ETag")
	if etag != `"`+j.Result.SHA256+`"` {
		t.Errorf("etag %s of %s", etag, j.Result.SHA256)
	}
	if a := r.get(t, j.Result.URL, "If-None-Match: "+etag); a.status != 304 || len(a.body) != 0 {
		t.Errorf("not modified: %d", a.status)
	}
	if a := r.get(t, j.Result.URL, "Range: bytes=1-3"); a.status != 206 || string(a.body) != "PNG" {
		t.Errorf("range: %d %q", a.status, a.body)
	}
	if a := r.get(t, path+"/images/1"); a.status != 200 || a.header.Get("Content-Type") != "image/png" {
		t.Errorf("source: %d", a.status)
	}
	if a := r.get(t, path+"/images/2"); a.status != 404 {
		t.Errorf("no second source: %d", a.status)
	}
	if a := r.get(t, "/api/v1/jobs?state=succeeded&q=sepia&limit=1"); a.status != 200 || !strings.Contains(string(a.body), string(j.ID)) {
		t.Errorf("list: %d %s", a.status, a.body)
	}
	if a := r.do(t, "DELETE", path, nil); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := r.get(t, path); a.status != 404 || len(files(t, r.home+"/jobs")) != 2 { // the folder itself and the spool
		t.Errorf("after the removal: %d, %v", a.status, files(t, r.home+"/jobs"))
	}
}

func TestNative_Mask(t *testing.T) {
	r := newRig(t, rigConfig{})
	st.WaitModel(t, r.sup)
	a := r.post(t, "/api/v1/jobs", []part{file("mask", "m.png", st.Picture(96, 64)), text("recipe", `{"prompt":"make it sepia"}`), file("image", "a.png", st.Picture(96, 64))})
	if a.status != 202 {
		t.Fatalf("submit: %d %s", a.status, a.body)
	}
	j := st.WaitEnd(t, r.sup, a.job(t).ID)
	path := "/api/v1/jobs/" + string(j.ID) + "/mask"
	mask := r.get(t, path)
	picture, err := png.Decode(bytes.NewReader(mask.body))
	if _, grey := picture.(*image.Gray); err != nil || !grey || mask.header.Get("Content-Type") != "image/png" {
		t.Errorf("mask: %d %T, %v", mask.status, picture, err)
	}
	if j.State != job.Succeeded || j.Mask == nil || j.Mask.Share <= 0 {
		t.Errorf("ended as %s with %+v", j.State, j.Mask)
	}
	bare := st.WaitEnd(t, r.sup, r.submit(t, "make it sepia").ID)
	if a := r.get(t, "/api/v1/jobs/"+string(bare.ID)+"/mask"); a.status != 404 || bare.Mask != nil {
		t.Errorf("a job without a mask: %d, %+v", a.status, bare.Mask)
	}
}

func TestNative_RunningIsNotRemoved(t *testing.T) {
	r := newRig(t, rigConfig{})
	j := r.held(t)
	if a := r.do(t, "DELETE", "/api/v1/jobs/"+string(j.ID), nil); a.status != 409 || a.code(t) != string(job.CodeConflict) {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	r.cancel(t, j.ID)
}

func TestNative_AcknowledgedIsDurable(t *testing.T) {
	home := t.TempDir()
	r := newRig(t, rigConfig{home: home, wholeLife: true, options: []st.Option{neverReady}})
	first, second := r.submit(t, "one"), r.submit(t, "two")
	st.Close(t, r.sup)
	again := newRig(t, rigConfig{home: home})
	for _, id := range []job.ID{first.ID, second.ID} {
		if j := st.WaitEnd(t, again.sup, id); j.State != job.Succeeded {
			t.Errorf("%s ended as %s: %+v", id, j.State, j.Error)
		}
	}
}

func TestDocument_IsTheCommittedOne(t *testing.T) {
	want, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("openapi.json")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("openapi.json is not what the Go types say (%v): go run ./cmd/dev gen", err)
	}
	if !bytes.Contains(want, []byte(`"openapi": "3.1.0"`)) {
		t.Error("the document is not OpenAPI 3.1")
	}
}

// Every route that gin answers is in the document or is one of the original program's.
func TestDocument_HoldsEveryRoute(t *testing.T) {
	s, engine := build(Config{Version: "test"})
	own := map[string]bool{"/docs": true, "/metrics": true}
	for _, route := range engine.Routes() {
		path := route.Path
		for _, p := range []string{"id", "name", "n"} {
			path = strings.ReplaceAll(path, ":"+p, "{"+p+"}")
		}
		if isOriginal(route.Path) || own[path] || strings.HasPrefix(path, "/openapi") || route.Method == "HEAD" {
			continue
		}
		item := s.openapi.Paths[path]
		if item == nil || operations(item)[route.Method] == nil {
			t.Errorf("%s %s is not in the document", route.Method, route.Path)
		}
	}
}

// What a page offers is what the model's qie.json holds: names and notes, no path.
func TestModel_OffersPresetsAndLoRAs(t *testing.T) {
	r := newRig(t, rigConfig{})
	want := `"presets":[{"name":"fast","steps":2},{"name":"best","steps":8}],"loras":[{"id":"warm","name":"Warm","note":"warmer colours"}]`
	for _, path := range []string{"/api/v1/models", "/api/v1/state"} {
		if a := r.get(t, path); a.status != 200 || !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %d, no %s in %s", path, a.status, want, a.body)
		}
	}
}

func TestServer_PagesAndMetrics(t *testing.T) {
	r := newRig(t, rigConfig{})
	for path, want := range map[string]string{"/metrics": "qie_", "/docs": "/api/v1/jobs/{id}/cancel", "/openapi.json": "LiveEvent",
		"/api/v1/system": "data_folder", "/api/v1/models": `"selected":true`, "/api/v1/doctor": "findings", "/api/v1/state": `"epoch"`} {
		a := r.get(t, path)
		if a.status != 200 || !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %d, no %q in %.200s", path, a.status, want, a.body)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", path, a.header)
		}
	}
	page := r.get(t, "/", "Accept: text/html")
	policy := page.header.Get("Content-Security-Policy")
	if page.status != 200 || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "http") {
		t.Errorf("page: %d %q", page.status, policy)
	}
}

func TestToken(t *testing.T) {
	const token = "0123456789abcdef0123"
	r := newRig(t, rigConfig{api: Config{Token: token}})
	if a := r.get(t, "/api/v1/state"); a.status != 401 || a.code(t) != string(job.CodeUnauthorized) {
		t.Errorf("without: %d %s", a.status, a.body)
	}
	if a := r.get(t, "/api/v1/state", "Authorization: Bearer wrong"); a.status != 401 {
		t.Errorf("wrong: %d", a.status)
	}
	if a := r.get(t, "/api/v1/state", "Authorization: Bearer "+token); a.status != 200 {
		t.Errorf("bearer: %d", a.status)
	}
	if a := r.get(t, "/", "Accept: text/html"); a.status != 401 || !strings.Contains(string(a.body), `name="token"`) {
		t.Errorf("a browser gets a form: %d %.100s", a.status, a.body)
	}
	a := r.get(t, "/?token="+token)
	cookie := a.header.Get("Set-Cookie")
	if a.status != 303 || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, token) {
		t.Fatalf("cookie: %d %q", a.status, cookie)
	}
	pair, _, _ := strings.Cut(cookie, ";")
	if a := r.get(t, "/api/v1/state", "Cookie: "+pair); a.status != 200 {
		t.Errorf("with the cookie: %d", a.status)
	}
	r.dial(t, "/api/v1/live", "Cookie: "+pair).event(t)
	if _, resp, err := r.tryDial("/api/v1/live"); err == nil || resp == nil || resp.StatusCode != 401 {
		t.Errorf("a stream without the token: %v", err)
	}
}
