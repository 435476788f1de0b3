package worker

import "time"

// restartUnit is the first pause; the ladder is 0, 1, 2, 4, 8, 16 and then 30 units for ever.
const (
	restartUnit     = time.Second
	restartUnitsMax = 30
	restartJitter   = 0.2
)

// pause before the restart after that many deaths in a row, the first of which costs nothing. chance is in [0,1).
func pause(deaths int, unit time.Duration, chance float64) time.Duration {
	if deaths <= 1 {
		return 0
	}
	units := restartUnitsMax
	if deaths <= 6 {
		units = 1 << (deaths - 2)
	}
	jitter := 1 + restartJitter*(2*chance-1)
	return time.Duration(float64(units) * jitter * float64(unit))
}
