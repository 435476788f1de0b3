package supervisor

import (
	"fmt"

	"qie/supervisor/job"
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

func noticeLessMemory(why *job.Error) job.Notice {
	return job.Notice{Code: "less_memory", Message: why.Message + "; this edit has a second try with a smaller memory plan",
		Report: why.Report}
}

func noticeResumed(step, steps int) job.Notice {
	return job.Notice{Code: "resumed", Message: fmt.Sprintf("it was resumed at step %d of %d, where the try before broke off", step+1, steps)}
}
