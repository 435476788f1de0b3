package plan

// ProfileResident keeps all weights in memory.
const ProfileResident = "resident"

// profiles is the ladder of memory profiles, from the most memory to the least. A model that learns to run with less
// (tiles, weights moved in and out) adds its rung here, and the retry after a lack of memory takes it.
var profiles = []string{ProfileResident}

// Lower gives the profile that needs less memory than this one; false at the end of the ladder.
func Lower(profile string) (lower string, ok bool) {
	if profile == "" {
		profile = ProfileResident
	}
	for i, p := range profiles[:len(profiles)-1] {
		if p == profile {
			return profiles[i+1], true
		}
	}
	return "", false
}
