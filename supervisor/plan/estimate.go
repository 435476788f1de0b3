package plan

import (
	"fmt"
	"math"

	"qie/supervisor/job"
)

// Pace is what was measured on this machine for one model and size: seconds, 0 where nothing is known yet.
type Pace struct {
	Load   float64 `json:"load"`
	Encode float64 `json:"encode"`
	Step   float64 `json:"step"`
	Decode float64 `json:"decode"`
	Save   float64 `json:"save"`
}

// assumed weighs the phases while nothing was measured. It shapes percent only; it is never shown as a time.
var assumed = Pace{Load: 2, Encode: 0.7, Step: 0.6, Decode: 0.5, Save: 0.1}

// Key names the pace of plans that cost the same: model, size and whether guidance doubles a step.
func (p Plan) Key() string {
	return fmt.Sprintf("%s %dx%d images %d guided %t", p.ModelID, p.WorkWidth, p.WorkHeight, len(p.Images),
		p.TrueCFGScale > 1)
}

// Learn mixes a new measurement into the pace: half of the news, so that a changed machine shows after few jobs.
func (p Pace) Learn(phase job.Phase, seconds float64) Pace {
	at := p.of(phase)
	if at == nil || seconds <= 0 || math.IsInf(seconds, 0) || math.IsNaN(seconds) {
		return p
	}
	if *at == 0 {
		*at = seconds
	} else {
		*at = (*at + seconds) / 2
	}
	return p
}

func (p *Pace) of(phase job.Phase) *float64 {
	switch phase {
	case job.Loading:
		return &p.Load
	case job.Encode:
		return &p.Encode
	case job.Denoise:
		return &p.Step
	case job.Decode:
		return &p.Decode
	case job.Save:
		return &p.Save
	}
	return nil
}

func (p Pace) orAssumed() Pace {
	for _, phase := range job.Phases {
		if at := p.of(phase); *at == 0 {
			*at = *assumed.of(phase)
		}
	}
	return p
}

// Point is where an attempt is.
type Point struct {
	Phase job.Phase
	Step  int     // denoise steps done
	Done  float64 // fraction of the other phases, 0 to 1
}

// Estimate turns points of one attempt into percent and a range of seconds. It is a value: the caller keeps it.
type Estimate struct {
	pace    Pace
	steps   int
	loads   bool // the attempt began with a load
	percent float64
	mean    float64 // of this attempt's steps, seconds
	counted int
}

// NewEstimate begins an attempt. loads tells that weights are not in memory yet.
func NewEstimate(pace Pace, steps int, loads bool) Estimate {
	return Estimate{pace: pace, steps: max(steps, 1), loads: loads}
}

// Loads tells whether the attempt began with a load.
func (e *Estimate) Loads() bool { return e.loads }

// Step takes the seconds of a denoise step. The first one of a process often pays for warming up, so later ones
// outweigh it.
func (e *Estimate) Step(seconds float64) {
	if seconds <= 0 {
		return
	}
	e.counted++
	if e.counted <= 2 {
		e.mean = seconds
		return
	}
	e.mean += (seconds - e.mean) / float64(e.counted-1)
}

// StepMean is the mean seconds of a step in this attempt, 0 before the first.
func (e *Estimate) StepMean() float64 { return e.mean }

// At gives percent, which never goes back, and the seconds left as low and high. The range is nil while the steps of
// this model and size were never measured: a guess is not shown as a time.
func (e *Estimate) At(at Point) (percent float64, eta []float64) {
	pace := e.pace
	if e.mean > 0 {
		pace.Step = e.mean
	}
	measured := pace.Step > 0
	full := pace.orAssumed()
	var done, total float64
	passed := true
	for _, phase := range job.Phases {
		cost := *full.of(phase)
		if phase == job.Denoise {
			cost *= float64(e.steps)
		}
		if phase == job.Loading && !e.loads {
			if at.Phase == phase {
				passed = false
			}
			continue
		}
		total += cost
		switch {
		case phase == at.Phase:
			part := at.Done
			if phase == job.Denoise {
				part = float64(at.Step) / float64(e.steps)
			}
			done, passed = done+cost*clamp(part), false
		case passed:
			done += cost
		}
	}
	if passed { // an unknown phase says nothing
		return e.percent, nil
	}
	// 99 until the result was verified: the end is the loop's to tell.
	e.percent = max(e.percent, math.Round(min(99, 100*done/total)*10)/10)
	if !measured {
		return e.percent, nil
	}
	rest := total - done
	// This attempt's own steps narrow the range; what was learned from earlier jobs is trusted less.
	spread := 0.4
	if e.counted > 1 {
		spread = 0.15
	}
	return e.percent, []float64{round(rest * (1 - spread)), round(rest*(1+spread) + 0.5)}
}

func clamp(x float64) float64 { return max(0, min(1, x)) }

func round(seconds float64) float64 { return math.Round(seconds*10) / 10 }
