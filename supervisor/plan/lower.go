package plan

// How memory is used, from the most to the least; the worker does them (pyruntime/model.py). A retry after a lack of
// memory takes the next one that takes less.
const (
	// ProfileResident keeps all weights in memory.
	ProfileResident = "resident"
	// ProfileStaged holds text encoder and transformer one after the other, and neither while the picture is drawn: the
	// same picture to the last byte, and a load in each edit.
	ProfileStaged = "staged"
	// ProfileTiled is staged, and the VAE works on overlapping tiles. Approximate: most 2 of 255 on the demo.
	ProfileTiled = "tiled"
)

// Profiles is the ladder.
var Profiles = []string{ProfileResident, ProfileStaged, ProfileTiled}

// Word is the profile as a person reads it, behind "with".
func Word(profile string) string {
	return map[string]string{
		ProfileResident: "all parts in memory",
		ProfileStaged:   "parts in memory one after the other, which is slower",
		ProfileTiled: "parts in memory one after the other and the picture drawn in tiles, which is slower and changes " +
			"it by a hair",
	}[profile]
}

// Lower gives the profile that needs less memory than this one; false at the end of the ladder.
func Lower(profile string) (lower string, ok bool) {
	if profile == "" {
		profile = ProfileResident
	}
	for i, p := range Profiles[:len(Profiles)-1] {
		if p == profile {
			return Profiles[i+1], true
		}
	}
	return "", false
}
