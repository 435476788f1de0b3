package main

import (
	"os"
	"strconv"
	"testing"

	st "qie/supervisor/supervisortest"
)

func TestMain(m *testing.M) {
	st.Main()
	os.Exit(m.Run())
}

// seedOf is always the same, so that a failure of CI can be played again, unless QIE_SOAK_SEED names another.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv("QIE_SOAK_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return 20261125
}

// A hundred kills of supervisor, worker and guard under eight clients: nothing that was acknowledged is lost, nothing
// ends twice, nothing hangs, nothing stays. `go run ./cmd/dev soak --kills 500` is the long form.
func TestSoak_RandomKills(t *testing.T) {
	s, err := newSoak(t.Context(), seedOf(t), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	kills := 100
	if testing.Short() {
		kills = 20
	}
	if err := s.run(t.Context(), kills); err != nil {
		t.Error(err)
	}
}

// `go run ./cmd/dev soak --jobs 10000` is the long form, and holds memory to its limit: 1,000 jobs only fill the ring of
// events.
func TestSoak_ManyJobsLeakNothing(t *testing.T) {
	s, err := newSoak(t.Context(), 1, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.longRun(t.Context(), 1000); err != nil {
		t.Error(err)
	}
}
