package plan

import "testing"

func TestLower(t *testing.T) {
	for from, want := range map[string]string{"": ProfileStaged, ProfileResident: ProfileStaged, ProfileStaged: ProfileTiled,
		ProfileTiled: "", "other": ""} {
		if lower, ok := Lower(from); lower != want || ok != (want != "") {
			t.Errorf("%q goes down to %q, %t", from, lower, ok)
		}
	}
	for _, p := range Profiles {
		if Word(p) == "" {
			t.Errorf("%s has no words", p)
		}
	}
}
