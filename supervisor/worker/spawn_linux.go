package worker

import (
	"os"
	"strconv"
)

// workerOOMScore makes the kernel choose the worker, which can be restarted, before the supervisor.
const workerOOMScore = "500"

func offerToOOMKiller(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(workerOOMScore), 0o600)
}
