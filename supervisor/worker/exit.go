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
	wanted bool           // we asked it to end or signalled it on purpose
	sent   syscall.Signal // the last signal of ours, 0 for none: nobody else's is judged by it
	why    *job.Error     // set when a ladder ended it for a reason of ours
	spawn  error          // set when there was never a process
	// peak is the largest footprint of the last 10 s as a share of all memory, 0 when it is not known.
	peak float64
}

// verdict is what follows from a death.
type verdict struct {
	err    *job.Error
	broken bool // no automatic restart: the next try would end the same
	heals  bool // the cause may go away by itself: memory, disk, descriptors
	oom    bool // memory ran out, for certain or likely
}

// What speaks for a memory kill on macOS, which leaves nothing but SIGKILL.
const (
	pressureWarning = 2
	peakShare       = 0.85
)

const (
	hintRepair  = "start the worker again, which repairs the Python environment (qie worker restart); if that fails, run ./setup.sh"
	hintModel   = "run: qie doctor; it checks every file of the model"
	hintMemory  = "close other programs or choose a smaller size, then run the job again"
	hintLog     = "wait; if it comes back, look at the report: qie crashes"
	hintBroken  = "look at the report: qie crashes" // nothing happens by itself any more
	hintSilent  = "wait, or restart the worker (qie worker restart)"
	hintUpdated = "restart qie; if that does not help, run ./setup.sh"
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
	return judgeCode(d)
}

// judgeCode reads the exit code: the reserved ones speak for themselves, of the others stderr has the reason.
func judgeCode(d death) verdict {
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
		return verdict{err: fault(job.CodeProtocol, "worker and supervisor are of different versions"+said, hintUpdated), broken: true}
	case wire.ExitConfig:
		return verdict{err: fault(job.CodeEnvBroken, "the worker refused its configuration"+said, hintRepair), broken: true}
	case wire.ExitImport:
		return importVerdict(said)
	case wire.ExitOOM:
		return verdict{err: d.memory("the worker ran out of memory" + said), oom: true, heals: true}
	case wire.ExitGPUContext:
		return verdict{err: fault(job.CodeGPUContext, "the GPU stopped working for the worker"+said, hintLog)}
	case wire.ExitWeights:
		code := job.CodeWeightsCorrupt
		if d.fatal != nil && job.Code(d.fatal.Code) == job.CodeWeightsMissing {
			code = job.CodeWeightsMissing
		}
		return verdict{err: fault(code, "the model's files are missing or damaged"+said, hintModel), broken: true}
	case wire.ExitDisk:
		return verdict{err: fault(job.CodeDiskFull, "the disk is full"+said, "make room, then run the job again"), heals: true}
	case wire.ExitParentGone:
		return verdict{err: fault(job.CodeWorkerDied, "the worker's connection to qie was closed, so it ended", hintLog)}
	}
	if d.early() && d.importFailed() {
		return importVerdict(said)
	}
	if d.stderrWith("MemoryError", "out of memory") != "" {
		return verdict{err: d.memory("the worker ran out of memory" + said), oom: true, heals: true}
	}
	if line := d.gpuLine(); line != "" {
		return verdict{err: fault(job.CodeGPUContext, "the GPU stopped working for the worker: "+line, hintLog)}
	}
	return verdict{err: fault(job.CodeWorkerDied, fmt.Sprintf("the worker ended with exit code %d%s", d.facts.code, said), hintLog)}
}

// judgeSpawn tells a missing or broken interpreter, which stays so, from a system that is short of something now.
func judgeSpawn(err error) verdict {
	if typed := new(job.Error); errors.As(err, &typed) {
		return verdict{err: typed, broken: true}
	}
	v := verdict{err: &job.Error{Code: job.CodeWorkerDied, Message: "the worker could not be started: " + err.Error(),
		Hint: hintLog, Err: err}}
	// Short of something now: processes, descriptors, memory, disk.
	for _, short := range []error{syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC} {
		v.heals = v.heals || errors.Is(err, short)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, exec.ErrNotFound) ||
		errors.Is(err, syscall.ENOEXEC) {
		v.err.Code, v.err.Hint, v.broken = job.CodeEnvBroken, hintRepair, true
	}
	return v
}

func importVerdict(said string) verdict {
	return verdict{err: fault(job.CodeEnvBroken, "the worker's Python packages cannot be imported"+said, hintRepair), broken: true}
}

func judgeSignal(d death) verdict {
	name := signalName(d.facts.signal)
	switch {
	case d.wanted:
		return verdict{err: fault(job.CodeWorkerDied, "the worker was stopped ("+name+")", "")}
	case d.sent == d.facts.signal:
		return verdict{err: fault(job.CodeWorkerDied, "the worker closed its connection without ending, so qie ended it ("+name+")", hintLog)}
	case d.facts.signal == syscall.SIGKILL:
		return judgeKill(d, name)
	case d.facts.signal == syscall.SIGBUS:
		return verdict{err: fault(job.CodeWeightsCorrupt,
			"the worker lost a file that it was reading ("+name+"): a model file was cut short or its disk went away", hintModel)}
	}
	if d.early() && d.importFailed() { // the dynamic loader aborts
		return importVerdict(d.saying())
	}
	if line := d.gpuLine(); line != "" {
		return verdict{err: fault(job.CodeGPUContext, "the GPU driver ended the worker ("+name+"): "+line, hintLog)}
	}
	return verdict{err: fault(job.CodeWorkerDied, "the worker crashed ("+name+")"+d.saying(), hintLog)}
}

// judgeKill finds out who sent a SIGKILL that was not ours. Linux counts its memory kills; macOS leaves only signs.
func judgeKill(d death, name string) verdict {
	sign := ""
	switch {
	case d.facts.oomKills > 0:
		return verdict{err: d.memory("the system ended the worker because memory ran out (" + name + ")"), oom: true, heals: true}
	case d.facts.jetsam:
		sign = "the system has written a report of its memory killer"
	case d.facts.pressure >= pressureWarning:
		sign = "the system was short of memory"
	case d.peak >= peakShare:
		sign = fmt.Sprintf("the worker held %.0f %% of all memory", 100*d.peak)
	}
	if sign != "" {
		return verdict{err: d.memory("the system ended the worker, likely because memory ran out (" + name + "): " + sign),
			oom: true, heals: true}
	}
	return verdict{err: fault(job.CodeWorkerDied, "the worker was killed by another process ("+name+")", hintLog)}
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

func (d death) early() bool { return d.state == Spawning || d.state == Probing }

// gpuLine is the line in which Metal or CUDA says that the process is lost to the GPU.
func (d death) gpuLine() string {
	return d.stderrWith("failed assertion", "MPSNDArray", "MTLCommandBuffer", "CUDA error", "device-side assert")
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
