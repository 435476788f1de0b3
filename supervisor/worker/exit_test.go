package worker

import (
	"io/fs"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"qie/supervisor/job"
	"qie/supervisor/wire"
)

// What is known about a death, and what is made of it. Each needs a cause in words; each that is not our own wish needs
// one next action.
func TestJudge(t *testing.T) {
	code := func(n int, stderr ...string) exitFacts { return exitFacts{code: n, stderr: stderr} }
	signal := func(s syscall.Signal, stderr ...string) exitFacts {
		return exitFacts{code: -1, signal: s, stderr: stderr}
	}
	oomKilled := exitFacts{code: -1, signal: syscall.SIGKILL, oomKills: 1}
	metal := "-[MTLCommandBuffer commit]: failed assertion `commit an already committed command buffer'"
	tests := []struct {
		name  string
		d     death
		code  job.Code
		words string
		want  verdict // only its flags
	}{
		{"exit 0 as asked", death{facts: code(0), state: Busy, wanted: true}, job.CodeWorkerDied, "as it was asked", verdict{}},
		{"bye while idle", death{facts: code(0), state: Warm, bye: true}, job.CodeWorkerDied, "as it was asked", verdict{}},
		{"exit 0 in a job", death{facts: code(0), state: Busy, bye: true}, job.CodeWorkerDied, "without a result", verdict{}},
		{"exit 0 without a word", death{facts: code(0), state: Warm}, job.CodeWorkerDied, "without a reason", verdict{}},
		{"another version", death{facts: code(64), state: Spawning}, job.CodeProtocol, "different versions", verdict{broken: true}},
		{"bad configuration", death{facts: code(65), state: Probing}, job.CodeEnvBroken, "configuration", verdict{broken: true}},
		{"import fails", death{facts: code(66), state: Probing}, job.CodeEnvBroken, "cannot be imported", verdict{broken: true}},
		{"import fails by stderr", death{facts: code(1, "ModuleNotFoundError: No module named 'torch'", ""), state: Probing},
			job.CodeEnvBroken, "No module named 'torch'", verdict{broken: true}},
		{"the same words in a job", death{facts: code(1, "ImportError: late"), state: Busy}, job.CodeWorkerDied, "exit code 1: ImportError: late", verdict{}},
		{"interpreter aborts at start", death{facts: signal(syscall.SIGABRT, "dyld[1]: Library not loaded: @rpath/libpython3.12.dylib"), state: Spawning},
			job.CodeEnvBroken, "Library not loaded", verdict{broken: true}},
		{"internal", death{facts: code(70), state: Busy, fatal: &wire.Fatal{Message: "a bug"}}, job.CodeWorkerDied, "exit code 70: a bug", verdict{}},
		{"out of memory in a load", death{facts: code(71), state: Loading}, job.CodeOOMLoad, "ran out of memory", verdict{oom: true, heals: true}},
		{"out of memory in a run", death{facts: code(71), state: Busy}, job.CodeOOMRun, "ran out of memory", verdict{oom: true, heals: true}},
		{"MemoryError on stderr", death{facts: code(1, "Traceback", "MemoryError"), state: Busy}, job.CodeOOMRun, "ran out of memory", verdict{oom: true, heals: true}},
		{"GPU context dead", death{facts: code(72), state: Busy}, job.CodeGPUContext, "GPU stopped", verdict{}},
		{"CUDA by stderr", death{facts: code(1, "RuntimeError: CUDA error: an illegal memory access was encountered"), state: Busy}, job.CodeGPUContext, "illegal memory access", verdict{}},
		{"weights corrupt", death{facts: code(73), state: Loading}, job.CodeWeightsCorrupt, "missing or damaged", verdict{broken: true}},
		{"weights missing", death{facts: code(73), state: Loading, fatal: &wire.Fatal{Code: "weights_missing", Message: "no shard 2"}},
			job.CodeWeightsMissing, "no shard 2", verdict{broken: true}},
		{"disk full", death{facts: code(74), state: Busy}, job.CodeDiskFull, "disk is full", verdict{heals: true}},
		{"thinks that qie is gone", death{facts: code(75), state: Busy}, job.CodeWorkerDied, "connection", verdict{}},
		{"any other code", death{facts: code(3, "boom"), state: Busy}, job.CodeWorkerDied, "exit code 3: boom", verdict{}},

		{"stopped by us", death{facts: signal(syscall.SIGKILL), state: Busy, wanted: true, sent: syscall.SIGKILL}, job.CodeWorkerDied, "was stopped (SIGKILL)", verdict{}},
		{"ended by us, while the memory counter moved", death{facts: oomKilled, state: Busy, sent: syscall.SIGKILL},
			job.CodeWorkerDied, "qie ended it", verdict{}},
		{"killed by somebody after our TERM", death{facts: signal(syscall.SIGKILL), state: Busy, sent: syscall.SIGTERM}, job.CodeWorkerDied, "another process", verdict{}},
		{"ended by a ladder for a reason", death{facts: signal(syscall.SIGKILL), state: Busy, sent: syscall.SIGKILL,
			why: fault(job.CodeWorkerStalled, "did not get on", hintLog)}, job.CodeWorkerStalled, "did not get on", verdict{}},
		{"kernel's OOM killer", death{facts: oomKilled, state: Busy}, job.CodeOOMRun, "because memory ran out", verdict{oom: true, heals: true}},
		{"kernel's OOM killer in a load", death{facts: oomKilled, state: Loading}, job.CodeOOMLoad, "because memory ran out", verdict{oom: true, heals: true}},
		{"jetsam report", death{facts: exitFacts{code: -1, signal: syscall.SIGKILL, jetsam: true}, state: Busy},
			job.CodeOOMRun, "likely because memory ran out", verdict{oom: true, heals: true}},
		{"pressure", death{facts: exitFacts{code: -1, signal: syscall.SIGKILL, pressure: 2}, state: Busy},
			job.CodeOOMRun, "likely because memory ran out", verdict{oom: true, heals: true}},
		{"normal pressure", death{facts: exitFacts{code: -1, signal: syscall.SIGKILL, pressure: 1}, state: Busy}, job.CodeWorkerDied, "another process", verdict{}},
		{"a large footprint", death{facts: signal(syscall.SIGKILL), state: Busy, peak: 0.86}, job.CodeOOMRun, "held 86 % of all memory", verdict{oom: true, heals: true}},
		{"a footprint that fits", death{facts: signal(syscall.SIGKILL), state: Busy, peak: 0.84}, job.CodeWorkerDied, "another process", verdict{}},
		{"Metal assertion", death{facts: signal(syscall.SIGABRT, metal, ""), state: Busy}, job.CodeGPUContext, "already committed", verdict{}},
		{"an abort that is not Metal's", death{facts: signal(syscall.SIGABRT, "double free"), state: Busy}, job.CodeWorkerDied, "crashed (SIGABRT): double free", verdict{}},
		{"shard cut under the map", death{facts: signal(syscall.SIGBUS), state: Loading}, job.CodeWeightsCorrupt, "cut short", verdict{}},
		{"segfault", death{facts: signal(syscall.SIGSEGV), state: Busy}, job.CodeWorkerDied, "crashed (SIGSEGV)", verdict{}},
		{"a signal without a name", death{facts: signal(40), state: Busy}, job.CodeWorkerDied, "signal 40", verdict{}},

		{"no interpreter", death{spawn: &fs.PathError{Op: "fork/exec", Path: "/env/bin/python", Err: syscall.ENOENT}}, job.CodeEnvBroken, "could not be started", verdict{broken: true}},
		{"not executable", death{spawn: &exec.Error{Name: "python", Err: fs.ErrPermission}}, job.CodeEnvBroken, "could not be started", verdict{broken: true}},
		{"not a program", death{spawn: &fs.PathError{Op: "fork/exec", Path: "/p", Err: syscall.ENOEXEC}}, job.CodeEnvBroken, "could not be started", verdict{broken: true}},
		{"fork fails", death{spawn: &fs.PathError{Op: "fork/exec", Path: "/p", Err: syscall.EAGAIN}}, job.CodeWorkerDied, "could not be started", verdict{heals: true}},
		{"no descriptors", death{spawn: syscall.EMFILE}, job.CodeWorkerDied, "could not be started", verdict{heals: true}},
	}
	for _, tt := range tests {
		got := judge(tt.d)
		if got.err.Code != tt.code || !strings.Contains(got.err.Message, tt.words) {
			t.Errorf("%s: %s %q, want %s with %q", tt.name, got.err.Code, got.err.Message, tt.code, tt.words)
		}
		if got.broken != tt.want.broken || got.heals != tt.want.heals || got.oom != tt.want.oom {
			t.Errorf("%s: broken %t heals %t oom %t", tt.name, got.broken, got.heals, got.oom)
		}
		if ours := tt.d.wanted || tt.d.bye && tt.d.state == Warm; (got.err.Hint == "") != ours {
			t.Errorf("%s: the next action is %q", tt.name, got.err.Hint)
		}
	}
}
