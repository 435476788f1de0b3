package supervisor

import (
	"fmt"

	"qie/supervisor/job"
	"qie/supervisor/plan"
)

// The notices that a job carries about its tries: why there is another one, and what is different in it.
var (
	noticeInterrupted   = job.Notice{Code: "interrupted", Message: "qie ended while this edit ran; the edit was started again"}
	noticeRestarted     = job.Notice{Code: "restarted", Message: "somebody restarted the worker; this edit was started again"}
	noticeMaskUnchanged = job.Notice{Code: "no_visible_change", Message: "inside the mask nothing has changed",
		Hint: "say more exactly what should change there, or try another seed"}
)

func noticeRetried(why *job.Error) job.Notice {
	return job.Notice{Code: "retried", Message: why.Message + "; this edit has a second try", Report: why.Report}
}

// noticeLess is the code of what is told after a lack of memory.
const noticeLess = "less_memory"

func noticeLessMemory(why *job.Error, profile string) job.Notice {
	return job.Notice{Code: noticeLess, Message: why.Message + "; it goes on with less memory, slower" + byAHair(profile),
		Report: why.Report}
}

// noticeMemoryPlan tells why an edit begins with another plan than the fastest.
func noticeMemoryPlan(c plan.Choice) job.Notice {
	return job.Notice{Code: "memory_plan", Message: "not all parts of the model fit into memory at once (" + c.Room.String() +
		"); it runs with less memory, slower" + byAHair(c.Profile)}
}

func byAHair(profile string) string {
	if profile == plan.ProfileTiled {
		return ", and draws the picture in tiles, which changes it by a hair"
	}
	return ""
}

func noticeResumed(step, steps int) job.Notice {
	return job.Notice{Code: "resumed", Message: fmt.Sprintf("it was resumed at step %d of %d, where the try before broke off", step+1, steps)}
}
