package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"

	"qie/supervisor/job"
	"qie/supervisor/wire"
)

// death is all that is known when a generation ends; judge turns it into words.
type death struct {
	facts  exitFacts
	state  State       // before the exit, with suspect resolved
	fatal  *wire.Fatal // what the worker said last, if it did
	bye    bool
	wanted bool       // we asked it to end or signalled it on purpose
	why    *job.Error // set when a ladder ended it for a reason of ours
	spawn  error      // set when there was never a process
}

// verdict is what follows from a death.
type verdict struct {
	err    *job.Error
	broken bool // no automatic restart: the next try would end the same
}

const (
	hintRepair  = "run ./setup.sh again; it repairs the Python environment"
	hintModel   = "run `qie doctor`; it checks every file of the model"
	hintMemory  = "close other programs or choose a smaller size, then run the job again"
	hintLog     = "the last lines are in logs/worker.log; the worker is started again by itself"
	hintUpdated = "restart qie; if that does not help, run ./setup.sh again"
)

func judge(d death) verdict {
	if d.spawn != nil {
		return judgeSpawn(d.spawn)
	}
	if d.why != nil {
		return verdict{err: d.why, broken: d.why.Code == job.CodeProtocol && d.state == Spawning}
	}
	if d.facts.signal != 0 {
		return judgeSignal(d)
	}
	said := d.saying()
	switch d.facts.code {
	case wire.ExitBye:
		switch {
		case d.wanted || d.bye && !d.working():
			return verdict{err: fault(job.CodeWorkerDied, "the worker ended as it was asked", "")}
		case d.working():
			return verdict{err: fault(job.CodeWorkerDied, "the worker ended in the middle of the job without a result", hintLog)}
		}
		return verdict{err: fault(job.CodeWorkerDied, "the worker ended without a reason", hintLog)}
	case wire.ExitProtocol:
		return verdict{fault(job.CodeProtocol, "worker and supervisor are of different versions"+said, hintUpdated), true}
	case wire.ExitConfig:
		return verdict{fault(job.CodeEnvBroken, "the worker refused its configuration"+said, hintRepair), true}
	case wire.ExitImport:
		return verdict{fault(job.CodeEnvBroken, "the worker's Python packages cannot be imported"+said, hintRepair), true}
	case wire.ExitOOM:
		return verdict{err: d.memory("the worker ran out of memory" + said)}
	case wire.ExitGPUContext:
		return verdict{err: fault(job.CodeGPUContext, "the GPU stopped working for the worker"+said, hintLog)}
	case wire.ExitWeights:
		code := job.CodeWeightsCorrupt
		if d.fatal != nil && job.Code(d.fatal.Code) == job.CodeWeightsMissing {
			code = job.CodeWeightsMissing
		}
		return verdict{fault(code, "the model's files are missing or damaged"+said, hintModel), true}
	case wire.ExitDisk:
		return verdict{err: fault(job.CodeDiskFull, "the disk is full"+said, "make room, then run the job again")}
	}
	if (d.state == Spawning || d.state == Probing) && d.importFailed() {
		return verdict{fault(job.CodeEnvBroken, "the worker's Python packages cannot be imported"+said, hintRepair), true}
	}
	return verdict{err: fault(job.CodeWorkerDied, fmt.Sprintf("the worker ended with exit code %d%s", d.facts.code, said), hintLog)}
}

// judgeSpawn tells a missing or broken interpreter, which stays so, from a system that is short of something now.
func judgeSpawn(err error) verdict {
	if typed := new(job.Error); errors.As(err, &typed) {
		return verdict{typed, true}
	}
	v := verdict{err: &job.Error{Code: job.CodeWorkerDied, Message: "the worker could not be started: " + err.Error(),
		Hint: hintLog, Err: err}}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, exec.ErrNotFound) ||
		errors.Is(err, syscall.ENOEXEC) {
		v.err.Code, v.err.Hint, v.broken = job.CodeEnvBroken, hintRepair, true
	}
	return v
}

func judgeSignal(d death) verdict {
	name := signalName(d.facts.signal)
	switch {
	case d.wanted:
		return verdict{err: fault(job.CodeWorkerDied, "the worker was stopped ("+name+")", "")}
	case d.facts.signal == syscall.SIGKILL && d.facts.oomKills > 0:
		return verdict{err: d.memory("the system ended the worker because memory ran out (" + name + ")")}
	case d.facts.signal == syscall.SIGKILL:
		return verdict{err: fault(job.CodeWorkerDied,
			"the worker was killed from outside ("+name+"); on a Mac that is most often the system short of memory", hintMemory)}
	case d.facts.signal == syscall.SIGBUS:
		return verdict{err: fault(job.CodeWeightsCorrupt,
			"the worker lost a file that it was reading ("+name+"): a model file was cut short or its disk went away", hintModel)}
	}
	if line := d.stderrWith("failed assertion", "MPSNDArray", "CUDA error", "device-side assert"); line != "" {
		return verdict{err: fault(job.CodeGPUContext, "the GPU driver ended the worker ("+name+"): "+line, hintLog)}
	}
	return verdict{err: fault(job.CodeWorkerDied, "the worker crashed ("+name+")"+d.saying(), hintLog)}
}

func fault(code job.Code, message, hint string) *job.Error {
	return &job.Error{Code: code, Message: message, Hint: hint}
}

func (d death) working() bool { return d.state == Loading || d.state == Busy || d.state == Canceling }

func (d death) memory(message string) *job.Error {
	code := job.CodeOOMRun
	if d.state == Loading {
		code = job.CodeOOMLoad
	}
	return fault(code, message, hintMemory)
}

// saying is what the worker gave as its reason: its own last word, else the last line on stderr.
func (d death) saying() string {
	if d.fatal != nil && d.fatal.Message != "" {
		return ": " + d.fatal.Message
	}
	for i := len(d.facts.stderr) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(d.facts.stderr[i]); line != "" {
			return ": " + line
		}
	}
	return ""
}

func (d death) stderrWith(words ...string) string {
	for i := len(d.facts.stderr) - 1; i >= 0; i-- {
		for _, word := range words {
			if strings.Contains(d.facts.stderr[i], word) {
				return strings.TrimSpace(d.facts.stderr[i])
			}
		}
	}
	return ""
}

func (d death) importFailed() bool {
	return d.stderrWith("ModuleNotFoundError", "ImportError", "No module named", "Library not loaded",
		"error while loading shared libraries") != ""
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGKILL: "SIGKILL", syscall.SIGTERM: "SIGTERM", syscall.SIGABRT: "SIGABRT", syscall.SIGSEGV: "SIGSEGV",
	syscall.SIGBUS: "SIGBUS", syscall.SIGILL: "SIGILL", syscall.SIGINT: "SIGINT", syscall.SIGHUP: "SIGHUP",
	syscall.SIGFPE: "SIGFPE", syscall.SIGPIPE: "SIGPIPE", syscall.SIGXCPU: "SIGXCPU", syscall.SIGTRAP: "SIGTRAP",
}

func signalName(s syscall.Signal) string {
	if name, ok := signalNames[s]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
