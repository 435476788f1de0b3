package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

func TestLive_StateThenEverythingInOrder(t *testing.T) {
	r := newRig(t, rigConfig{})
	s := r.dial(t, "/api/v1/live")
	first := s.event(t)
	if first.Type != event.TypeState || first.State == nil || first.Epoch == "" {
		t.Fatalf("first frame %+v", first)
	}
	j := r.submit(t, "make it sepia")
	seen := s.until(t, ended(j.ID))
	seq, percent := first.Seq, 0.0
	var states []job.State
	for _, e := range seen {
		if e.Epoch != first.Epoch || e.Seq <= seq {
			t.Errorf("seq %d of %s after %d", e.Seq, e.Epoch, seq)
		}
		seq = e.Seq
		switch {
		case e.Job != nil && e.Job.ID == j.ID:
			if len(states) == 0 || states[len(states)-1] != e.Job.State {
				states = append(states, e.Job.State)
			}
		case e.Progress != nil && e.Progress.Percent < percent:
			t.Errorf("percent went back from %g to %g", percent, e.Progress.Percent)
		case e.Progress != nil:
			percent = e.Progress.Percent
		}
	}
	if want := []job.State{job.Queued, job.Dispatched, job.Running, job.Succeeded}; !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}

	// A client that was away gets exactly what it missed; one of another boot gets the state.
	lifecycle := func(events []event.Event) (list []string) {
		for _, e := range events {
			if e.Type == event.TypeJobChanged {
				list = append(list, fmt.Sprint(e.Seq, e.Job.State))
			}
		}
		return list
	}
	again := r.dial(t, fmt.Sprintf("/api/v1/live?epoch=%s&seq=%d", first.Epoch, first.Seq))
	if got, want := lifecycle(again.until(t, ended(j.ID))), lifecycle(seen); !slices.Equal(got, want) {
		t.Errorf("replayed %v, want %v", got, want)
	}
	if e := r.dial(t, "/api/v1/live?epoch=another&seq=3").event(t); e.Type != event.TypeState || len(e.State.Jobs) != 1 {
		t.Errorf("another epoch: %+v", e)
	}

	if a := r.do(t, "DELETE", "/api/v1/jobs/"+string(j.ID), nil); a.status != 204 {
		t.Fatalf("delete: %d %s", a.status, a.body)
	}
	s.until(t, func(e event.Event) bool { return e.Type == event.TypeJobRemoved && e.ID == j.ID })
}

func TestLive_PreviewAnswers(t *testing.T) {
	r := newRig(t, rigConfig{})
	j := r.held(t)
	a := r.get(t, j.Preview)
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "image/") {
		t.Errorf("preview: %d %v", a.status, a.header)
	}
	r.cancel(t, j.ID)
}

func TestLive_ServerSaysGoodbye(t *testing.T) {
	r := newRig(t, rigConfig{wholeLife: true})
	s := r.dial(t, "/api/v1/live")
	s.event(t)
	st.Close(t, r.sup)
	for {
		_ = s.SetReadDeadline(time.Now().Add(st.Patience))
		_, _, err := s.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.CloseGoingAway {
			t.Errorf("got %v", err)
		}
		return
	}
}

// BenchmarkLive is from the worker's line to the client's frame: the fake worker stamps nothing, so the whole edit of
// three steps bounds it from above.
func BenchmarkLive(b *testing.B) {
	r := newRig(b, rigConfig{})
	s := r.dial(b, "/api/v1/live")
	r.submitAndWait(b, s) // the first one loads
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		r.submitAndWait(b, s)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func (r *rig) submitAndWait(t testing.TB, s socket) {
	t.Helper()
	j := r.submit(t, "make it sepia")
	s.until(t, ended(j.ID))
}

func TestServer_NotReadySaysWhy(t *testing.T) {
	r := newRig(t, rigConfig{options: []st.Option{neverReady}})
	a := r.get(t, "/readyz")
	if a.status != 503 || !strings.Contains(string(a.body), "worker_preparing") {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
	if a := r.get(t, "/healthz"); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	// An edit waits in line meanwhile, and can be canceled there.
	j := r.submit(t, "make it sepia")
	if a := r.do(t, "POST", "/api/v1/jobs/"+string(j.ID)+"/cancel", nil); a.job(t).State != job.Canceled {
		t.Errorf("cancel while queued: %s", a.body)
	}
	if a := r.do(t, "POST", "/api/v1/jobs/"+string(j.ID)+"/cancel", nil); a.status != 200 {
		t.Errorf("a second cancel: %d %s", a.status, a.body)
	}
}
