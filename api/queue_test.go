package api

import (
	"strings"
	"testing"

	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

func TestQueue_OverHTTP(t *testing.T) {
	r := newRig(t, rigConfig{})
	live := r.dial(t, "/api/v1/live")
	live.event(t)
	json := "Content-Type: application/json"
	if a := r.do(t, "POST", "/api/v1/queue/pause", strings.NewReader(`{"reason":"lunch"}`), json); a.status != 200 ||
		a.json(t)["paused"] != true || a.json(t)["by"] != "person" {
		t.Fatalf("pause: %d %s", a.status, a.body)
	}
	live.until(t, func(e event.Event) bool { return e.Type == event.TypeQueueChanged && e.Queue.Reason == "lunch" })
	first, second := r.submit(t, "a"), r.submit(t, "b")
	id := string(second.ID)
	if a := r.do(t, "POST", "/api/v1/jobs/"+id+"/move", nil); a.status != 200 || a.job(t).Position != 1 {
		t.Errorf("move to the front: %d %s", a.status, a.body)
	}
	if a := r.do(t, "POST", "/api/v1/jobs/"+string(first.ID)+"/move", strings.NewReader(`{"before":"`+id+`"}`), json); a.status != 200 ||
		a.job(t).Position != 1 {
		t.Errorf("move before: %d %s", a.status, a.body)
	}
	for path, want := range map[string]int{
		"/api/v1/jobs/" + string(job.NewID()) + "/move": 404, "/api/v1/jobs/no-id/move": 404,
		"/api/v1/jobs/" + string(job.NewID()) + "/duplicate": 404, "/api/v1/jobs/" + string(job.NewID()) + "/retry": 404,
		"/api/v1/jobs/" + string(job.NewID()) + "/cancel": 404,
	} {
		if a := r.do(t, "POST", path, nil); a.status != want || a.code(t) != "not_found" {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, want)
		}
	}
	if a := r.get(t, "/readyz"); a.status != 503 || !strings.Contains(string(a.body), "the queue is paused: lunch") {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
	a := r.do(t, "POST", "/api/v1/jobs/"+id+"/duplicate", nil)
	if a.status != 202 {
		t.Fatalf("duplicate: %d %s", a.status, a.body)
	}
	copied := a.job(t)
	if a := r.do(t, "POST", "/api/v1/queue/pause", nil); a.status != 200 || a.json(t)["reason"] == "" {
		t.Errorf("pause without a reason: %d %s", a.status, a.body)
	}
	if a := r.do(t, "POST", "/api/v1/queue/resume", nil); a.status != 200 || a.json(t)["paused"] != false {
		t.Errorf("resume: %d %s", a.status, a.body)
	}
	for _, of := range []job.ID{first.ID, second.ID, copied.ID} {
		if j := st.WaitEnd(t, r.sup, of); j.State != job.Succeeded {
			t.Errorf("job %s ended as %s: %+v", of, j.State, j.Error)
		}
	}
}

func TestMark_OverHTTP(t *testing.T) {
	r := newRig(t, rigConfig{})
	live := r.dial(t, "/api/v1/live")
	live.event(t)
	json := "Content-Type: application/json"
	first := st.WaitEnd(t, r.sup, r.submit(t, "给照片加上雪景").ID)
	path := "/api/v1/jobs/" + string(first.ID)
	if a := r.get(t, path+"/thumb"); a.status != 200 || a.header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("thumb: %d %s", a.status, a.header.Get("Content-Type"))
	}
	a := r.do(t, "POST", path+"/duplicate", strings.NewReader(`{"other_seed":true}`), json)
	if a.status != 202 {
		t.Fatalf("a variation: %d %s", a.status, a.body)
	}
	other := st.WaitEnd(t, r.sup, a.job(t).ID)
	if other.Result.Seed == first.Result.Seed {
		t.Error("the variation has the same seed")
	}
	if a := r.do(t, "POST", path+"/mark", strings.NewReader(`{"starred":true,"trashed":true}`), json); a.status != 200 ||
		!a.job(t).Starred || a.job(t).TrashedAt == nil {
		t.Errorf("mark: %d %s", a.status, a.body)
	}
	live.until(t, func(e event.Event) bool { return e.Type == event.TypeJobRemoved && e.ID == first.ID })
	list := func(query string) int {
		t.Helper()
		a := r.get(t, "/api/v1/jobs?"+query)
		if a.status != 200 {
			t.Fatalf("%s: %d %s", query, a.status, a.body)
		}
		return strings.Count(string(a.body), `"created_at"`)
	}
	for query, want := range map[string]int{"q=%E9%9B%AA%E6%99%AF": 1, "trashed=true": 1, "starred=true": 0, "starred=true&trashed=true": 1,
		"photo=" + first.Photo: 1, "photo=none": 0, "parent=" + string(first.ID): 0} {
		if got := list(query); got != want {
			t.Errorf("%s gives %d jobs, want %d", query, got, want)
		}
	}
	// A parent that is named counts, whatever the picture is; one in the trash is still there.
	child := r.post(t, "/api/v1/jobs", []part{file("image", "p.png", photo), text("recipe", `{"prompt":"x"}`), text("parent", string(first.ID))})
	if child.status != 202 || child.job(t).Parent != first.ID {
		t.Errorf("with a parent: %d %s", child.status, child.body)
	}
	st.WaitEnd(t, r.sup, child.job(t).ID)
	if a := r.do(t, "POST", path+"/mark", strings.NewReader(`{"trashed":false}`), json); a.status != 200 || a.job(t).TrashedAt != nil {
		t.Errorf("restore: %d %s", a.status, a.body)
	}
	live.until(t, func(e event.Event) bool { return e.Type == event.TypeJobChanged && e.Job.ID == first.ID })
	for path, want := range map[string]int{"/api/v1/jobs/" + string(job.NewID()) + "/mark": 404, "/api/v1/jobs/no-id/mark": 404} {
		if a := r.do(t, "POST", path, strings.NewReader(`{"starred":true}`), json); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
