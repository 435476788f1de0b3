package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"qie/api"
	"qie/supervisor/doctor"
	"qie/supervisor/host"
	"qie/supervisor/preflight"
)

// What a model takes here is the same for every verb, also where no worker has said yet which device there is.
func TestFit_ShowAndDoctorAgree(t *testing.T) {
	home, env := newHome(t, "")
	facts := preflight.Facts{Host: host.Read(t.Context(), home)}
	want := preflight.Full(facts.Host, facts.Kind())

	p := start(t, home, env, "--json", "show", "qwen-image-edit-2511")
	var shown api.CatalogueEntry
	if err := json.NewDecoder(p.stdout).Decode(&shown); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	p.end(t)
	if !strings.Contains(shown.Fit.Reason, host.Gigabytes(want.Need)) || shown.Fit.OK != want.Fits {
		t.Errorf("on %s with %s, show says %q, and doctor's plan is %+v", want.Device, want.DType, shown.Fit.Reason, want)
	}

	p = start(t, home, env, "--json", "doctor", "memory")
	var told doctor.Diagnosis
	if err := json.NewDecoder(p.stdout).Decode(&told); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	p.end(t)
	if len(told.Findings) != 1 {
		t.Fatalf("doctor says %+v", told)
	}
	text := told.Findings[0].Title + told.Findings[0].Cause
	if !want.Fits && want.Have >= 4e9 && !strings.Contains(text, fmt.Sprintf("takes %.0f GB", float64(want.Need)/1e9)) {
		t.Errorf("doctor says %q, and its plan is %+v", text, want)
	}
}
