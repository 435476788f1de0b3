package plan

import "testing"

func TestLower(t *testing.T) {
	if lower, ok := Lower(ProfileResident); ok {
		t.Errorf("resident goes down to %q, which no worker knows", lower)
	}
	profiles = append(profiles, "tiled", "offload")
	t.Cleanup(func() { profiles = profiles[:1] })
	for from, want := range map[string]string{"": "tiled", ProfileResident: "tiled", "tiled": "offload", "offload": "", "other": ""} {
		if lower, ok := Lower(from); lower != want || ok != (want != "") {
			t.Errorf("%q goes down to %q, %t", from, lower, ok)
		}
	}
}
