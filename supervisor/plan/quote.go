package plan

import (
	"fmt"
	"strings"
)

// quoteSpread is what an edit may take less or more than what was learned: other sizes of photo, a warm machine.
const quoteSpread = 0.25

// Quote gives what an edit of one photo takes, in seconds, low and high, from what was measured with this model. The
// weights are taken to be in memory. Nil while the steps were never measured: a guess is not shown as a time.
func Quote(paces map[string]Pace, modelID string, steps int, cfg float64) []float64 {
	var low, high float64
	for key, pace := range paces {
		if pace.Step == 0 || !strings.Contains(key, " "+modelID+" ") || !strings.HasSuffix(key, fmt.Sprintf(" images 1 guided %t", cfg > 1)) {
			continue
		}
		took := pace.Encode + pace.Step*float64(steps) + pace.Decode + pace.Save
		if low == 0 || took < low {
			low = took
		}
		high = max(high, took)
	}
	if high == 0 {
		return nil
	}
	return []float64{round(low * (1 - quoteSpread)), round(high * (1 + quoteSpread))}
}
