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
