package api

import (
	"strings"
	"testing"

	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

func TestCrashes_OverHTTP(t *testing.T) {
	r := newRig(t, rigConfig{})
	if a := r.get(t, "/api/v1/crashes"); a.status != 200 || !strings.Contains(string(a.body), `"crashes":[]`) {
		t.Errorf("without a crash: %d %s", a.status, a.body)
	}
	j := st.WaitEnd(t, r.sup, r.submit(t, "fake: at step 2: kill").ID)
	if j.State != job.Failed || j.Error.Report == "" {
		t.Fatalf("ended as %s: %+v", j.State, j.Error)
	}
	if a := r.get(t, "/api/v1/crashes"); a.status != 200 || !strings.Contains(string(a.body), j.Error.Report) {
		t.Errorf("the list: %d %s", a.status, a.body)
	}
	a := r.get(t, "/api/v1/crashes/"+j.Error.Report)
	if a.status != 200 || a.json(t)["signal"] != "SIGKILL" || a.json(t)["done"] == "" {
		t.Errorf("the report: %d %s", a.status, a.body)
	}
	for _, name := range []string{"crash-1-1.json", "..%2Fqie.db", "worker.log"} {
		if a := r.get(t, "/api/v1/crashes/"+name); a.status != 404 || a.code(t) != "not_found" || a.json(t)["hint"] == "" || a.json(t)["done"] == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
