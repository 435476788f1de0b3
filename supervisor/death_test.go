package supervisor_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/plan"
	st "qie/supervisor/supervisortest"
	"qie/supervisor/worker"
)

// Rows of the fault table in which the worker dies or refuses for a reason of its own.

func rules(ooms int) st.Option {
	return func(c *supervisor.Config) { c.Worker.Limits.OOMs = ooms }
}

func brokenWorker(t *testing.T, s *supervisor.Supervisor) (reason, hint string) {
	t.Helper()
	st.Until(t, s, "a broken worker", func() bool { return s.State().Worker.State == string(worker.Broken) })
	w := s.State().Worker
	if w.Reason == "" || w.Hint == "" || !strings.Contains(w.Done, "nothing is lost") {
		t.Errorf("broken says %q, %q, %q", w.Reason, w.Done, w.Hint)
	}
	return w.Reason + "; " + w.Done, w.Hint
}

func restartAndFinish(t *testing.T, s *supervisor.Supervisor, id job.ID) {
	t.Helper()
	if j, err := s.Job(t.Context(), id); err != nil || j.State != job.Queued {
		t.Errorf("behind the broken worker the job is %s, %v", j.State, err)
	}
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, id); j.State != job.Succeeded {
		t.Errorf("ended as %s: %+v", j.State, j.Error)
	}
}

func TestFault10_HalfALineThenDeath(t *testing.T) {
	s := st.Fault(t, st.Script("at result in gen 1: half"))
	j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if j.State != job.Succeeded || j.Attempt != 2 {
		t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
}

func TestFault22_WeightsAreMissing(t *testing.T) {
	s := st.Fault(t, st.Script("at load in gen 1: fatal weights_missing 73"))
	bad, next := st.Submit(t, s, "one"), st.Submit(t, s, "two")
	if j := st.WaitEnd(t, s, bad.ID); j.State != job.Failed || j.Error.Code != job.CodeWeightsMissing || j.Attempt != 1 {
		t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	if reason, hint := brokenWorker(t, s); !strings.Contains(reason, "missing or damaged") || !strings.Contains(hint, "qie doctor") {
		t.Errorf("it says %q, %q", reason, hint)
	}
	restartAndFinish(t, s, next.ID)
}

// Row 23, the supervisor's part: each job is refused in the load and tried once, the worker lives, and a repaired model
// is loaded. That the real worker refuses such files is in worker/conformance_test.go, their repair in model/seal_test.go.
func TestFault23_DamagedShardIsRefusedOnce(t *testing.T) {
	s := st.Fault(t, st.Script("at load in gen 1: error weights_corrupt"))
	for range 2 {
		j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
		if j.State != job.Failed || j.Error.Code != job.CodeWeightsCorrupt || j.Error.Hint == "" || j.Attempt != 1 {
			t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
		}
	}
	// The worker's status follows the end of the job.
	st.Until(t, s, "a cold worker", func() bool { return s.State().Worker.State == string(worker.Cold) })
	if got := s.State().Worker.Generation; got != 1 {
		t.Errorf("it was started %d times", got)
	}
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); j.State != job.Succeeded {
		t.Errorf("ended as %s: %+v", j.State, j.Error)
	}
}

func TestFault24_ShardCutUnderTheMapIsSIGBUS(t *testing.T) {
	s := st.Fault(t, st.Script("at load in gen 1: signal BUS"))
	j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if j.State != job.Failed || j.Error.Code != job.CodeWeightsCorrupt || !strings.Contains(j.Error.Message, "SIGBUS") {
		t.Errorf("ended as %s: %+v", j.State, j.Error)
	}
	if next := st.WaitEnd(t, s, st.Submit(t, s, "again").ID); next.State != job.Succeeded {
		t.Errorf("the next is %s: %+v", next.State, next.Error)
	}
}

// lastPlan compares the memory plan of a job's last attempt, and what a person is told of it.
func lastPlan(t *testing.T, j job.Job, want string) {
	t.Helper()
	if j.Memory == nil || j.Memory.Plan != want || j.Memory.Words == "" {
		t.Errorf("the memory plan is %+v, want %s", j.Memory, want)
	}
	if n := told(j, "less_memory"); j.Attempt > 1 && !strings.Contains(n, "goes on with less memory, slower") {
		t.Errorf("it is told %q", n)
	}
}

func told(j job.Job, code string) string {
	for _, n := range j.Notices {
		if n.Code == code {
			return n.Message
		}
	}
	return ""
}

// A lack of memory goes one plan down and not to a pause: no two deaths are of the same plan. The next job of the kind
// begins where this one ended, and a restart by a person gives the fastest plan its chance again.
func TestFault25_MemoryRunsOutInTheLoad(t *testing.T) {
	s := st.Fault(t, rules(2), st.Script("at load in gen 1: fatal oom_load 71; at load in gen 2: fatal oom_load 71"))
	first, next := st.Submit(t, s, "one"), st.Submit(t, s, "two")
	j := st.WaitEnd(t, s, first.ID)
	if j.State != job.Succeeded || j.Attempt != 3 {
		t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	lastPlan(t, j, plan.ProfileTiled)
	if n := told(j, "less_memory"); !strings.Contains(n, "ran out of memory") || !strings.Contains(n, "in tiles") {
		t.Errorf("it is told %q", n)
	}
	if j := st.WaitEnd(t, s, next.ID); j.State != job.Succeeded || j.Attempt != 1 || j.Memory.Plan != plan.ProfileTiled || told(j, "memory_plan") == "" {
		t.Errorf("the next is %s after attempt %d with %+v", j.State, j.Attempt, j.Memory)
	}
	if err := s.RestartWorker(t.Context()); err != nil {
		t.Fatal(err)
	}
	lastPlan(t, st.WaitEnd(t, s, st.Submit(t, s, "three").ID), plan.ProfileResident)
}

// One death is remembered also when the attempt was handed out before any worker had said which device it has.
func TestFault25_IsRememberedOfAnAttemptBeforeTheFirstReady(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	s := st.Fault(t, st.Script("at ready in gen 1: wait "+gate+"; at load in gen 1: fatal oom_load 71"))
	first, next := st.Submit(t, s, "one"), st.Submit(t, s, "two")
	st.WaitJob(t, s, first.ID, "start", func(j job.Job) bool { return j.State == job.Dispatched })
	if d := s.State().Worker.Device; d != "" {
		t.Fatalf("it was handed out to a worker on %s", d)
	}
	write(t, gate, "")
	for _, id := range []job.ID{first.ID, next.ID} {
		lastPlan(t, st.WaitEnd(t, s, id), plan.ProfileStaged)
	}
}

// At the end of the ladder the job ends by a typed error with what was needed and what there was; each plan had one try.
func TestFault25_EveryPlanRunsOut(t *testing.T) {
	s := st.Fault(t, rules(2), st.Script("at load in gen 1: fatal oom_load 71; at load in gen 2: error oom_load fatal; at load in gen 3: fatal oom_load 71"))
	bad, next := st.Submit(t, s, "one"), st.Submit(t, s, "two")
	j := st.WaitEnd(t, s, bad.ID)
	if j.State != job.Failed || j.Error.Code != job.CodeOOMLoad || j.Attempt != 3 {
		t.Fatalf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	for _, want := range []string{"no plan that needs less memory", "there are ", "GB"} {
		if !strings.Contains(j.Error.Message, want) {
			t.Errorf("%q does not say %q", j.Error.Message, want)
		}
	}
	if j := st.WaitEnd(t, s, next.ID); j.State != job.Succeeded {
		t.Errorf("the next is %s: %+v", j.State, j.Error)
	}
}

// What is refused before it begins ends there, also when nobody can say what the lower plans take: no attempt of it reaches
// the worker, and the next edit of its size is refused as well.
func TestMemory_ARefusalIsNoLackOfMemory(t *testing.T) {
	dir := st.NewModel(t, 1)
	if err := os.Truncate(filepath.Join(dir, "weights.safetensors"), 60_000_000_000); err != nil { // sparse
		t.Fatal(err)
	}
	s := st.Fault(t, st.Model(dir), func(c *supervisor.Config) {
		c.Worker.Probe = host.Probe{Memory: func() host.Memory { return host.Memory{Total: 24_000_000_000} }}
	})
	for range 2 {
		j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
		if j.State != job.Failed || j.Error.Code != job.CodeOOMLoad || j.Attempt != 1 || j.Error.Done != "it was not loaded" ||
			strings.Contains(j.Error.Message, "no plan that needs less") {
			t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
		}
	}
}

// In a step, and in the decode of the next plan: once an exception of a worker that ends itself, once one that lives on.
func TestFault26_MemoryRunsOutInAStep(t *testing.T) {
	s := st.Fault(t, st.Script("at step 2 in gen 1: error oom_run fatal; at decode in gen 2: error oom_run fatal"))
	bad, next := st.Submit(t, s, "one"), st.Submit(t, s, "two")
	j := st.WaitEnd(t, s, bad.ID)
	if j.State != job.Succeeded || j.Attempt != 3 || s.State().Worker.Generation != 3 {
		t.Errorf("ended as %s after attempt %d in generation %d: %+v", j.State, j.Attempt, s.State().Worker.Generation, j.Error)
	}
	lastPlan(t, j, plan.ProfileTiled)
	if j := st.WaitEnd(t, s, next.ID); j.State != job.Succeeded || j.Attempt != 1 {
		t.Errorf("the next is %s after attempt %d", j.State, j.Attempt)
	}
}

func TestFault27_KilledByTheSystemForMemory(t *testing.T) {
	s := st.Fault(t, rules(2), st.Script("at step 2 in gen 1: kill; at step 2 in gen 2: kill"), func(c *supervisor.Config) {
		c.Worker.Probe = host.Probe{Pressure: func() int { return 2 }, OOMKills: func() int64 { return -1 }}
	})
	j := st.WaitEnd(t, s, st.Submit(t, s, "one").ID)
	if j.State != job.Succeeded || j.Attempt != 3 || !strings.Contains(told(j, "less_memory"), "likely because memory ran out") {
		t.Errorf("ended as %s after attempt %d: %+v, %+v", j.State, j.Attempt, j.Error, j.Notices)
	}
	lastPlan(t, j, plan.ProfileTiled)
}

// Two deaths for memory under the same plan, which only different jobs can bring about, pause the queue with the reason.
func TestFault27_TheSamePlanTwicePausesTheQueue(t *testing.T) {
	s := st.Fault(t, rules(2), st.Script("at step 2 in gen 1: fatal oom_run 71; at step 2 in gen 3: fatal oom_run 71"))
	if j := st.WaitEnd(t, s, st.Submit(t, s, "one").ID); j.State != job.Succeeded {
		t.Fatalf("ended as %s: %+v", j.State, j.Error)
	}
	if err := s.RestartWorker(t.Context()); err != nil { // forgets which plan was too large
		t.Fatal(err)
	}
	j := st.Submit(t, s, "two")
	reason, hint := brokenWorker(t, s)
	if !strings.Contains(reason, "memory ran out 2 times within 10 minutes") || !strings.Contains(reason, "next try is in 10 minutes") || !strings.Contains(hint, "close other programs") {
		t.Errorf("it says %q, %q", reason, hint)
	}
	restartAndFinish(t, s, j.ID)
}

func TestFault28_MetalAssertionIsInTheMessage(t *testing.T) {
	s := st.Fault(t)
	bad := st.Submit(t, s, "fake: at step 1: say -[MTLCommandBuffer commit] failed assertion already committed; at step 1: signal ABRT")
	good := st.Submit(t, s, "good")
	j := st.WaitEnd(t, s, bad.ID)
	if j.State != job.Failed || j.Error.Code != job.CodePoison || j.Attempt != 2 || !strings.Contains(j.Error.Message, "failed assertion already committed") {
		t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	if j := st.WaitEnd(t, s, good.ID); j.State != job.Succeeded {
		t.Errorf("the next is %s", j.State)
	}
}

func TestFault29_DeadGPUContextIsRecycled(t *testing.T) {
	s := st.Fault(t, st.Script("at step 2 in gen 1: fatal gpu_context 72"))
	j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if j.State != job.Succeeded || j.Attempt != 2 || s.State().Worker.Generation != 2 {
		t.Errorf("ended as %s after attempt %d in generation %d: %+v", j.State, j.Attempt, s.State().Worker.Generation, j.Error)
	}
}

func TestFault30_BlackPictureIsNoSuccess(t *testing.T) {
	s := st.Fault(t)
	j := st.WaitEnd(t, s, st.Submit(t, s, "fake: at result: error nan_output").ID)
	if j.State != job.Failed || j.Error.Code != job.CodeNaNOutput || j.Attempt != 1 || j.Result != nil {
		t.Errorf("ended as %s after attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
}

// Row 42: a clock that is set by a day in mid-queue changes neither the order nor the ends.
func TestFault42_ClockIsSetByADay(t *testing.T) {
	var set atomic.Int64
	s := st.Fault(t, func(c *supervisor.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
		c.Worker.Probe = host.Probe{Wall: func() time.Time { return time.Now().Round(0).Add(time.Duration(set.Load())) }}
	})
	gate := filepath.Join(t.TempDir(), "gate")
	order := make([]job.ID, 0, 4)
	order = append(order, st.Submit(t, s, "fake: at step 2: wait "+gate).ID)
	for _, by := range []time.Duration{-24 * time.Hour, 24 * time.Hour, -time.Hour} {
		set.Store(int64(by))
		order = append(order, st.Submit(t, s, "next").ID)
	}
	write(t, gate, "")
	for i, id := range order {
		if j := st.WaitEnd(t, s, id); j.State != job.Succeeded || j.Attempt != 1 {
			t.Errorf("job %d ended as %s after attempt %d: %+v", i, j.State, j.Attempt, j.Error)
		}
		for _, later := range order[i+1:] {
			if j, err := s.Job(t.Context(), later); err != nil || i+1 < len(order) && later != order[i+1] && j.State == job.Succeeded {
				t.Errorf("job %s overtook: %s, %v", later, j.State, err)
			}
		}
	}
	if got := s.State().Worker.Generation; got != 1 {
		t.Errorf("generation %d", got)
	}
}

func TestFault54_WorkerOfAnotherVersion(t *testing.T) {
	s := st.Fault(t, st.Script("at hello in gen 1: exit 64"))
	j := st.Submit(t, s, "make it sepia")
	if reason, hint := brokenWorker(t, s); !strings.Contains(reason, "different versions") || !strings.Contains(hint, "restart qie") {
		t.Errorf("it says %q, %q", reason, hint)
	}
	restartAndFinish(t, s, j.ID)
}
