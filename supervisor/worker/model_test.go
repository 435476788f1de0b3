package worker

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qie/supervisor/job"
	"qie/supervisor/sched"
)

// The sizes of the model check.
const (
	modelSeeds  = 10_000
	modelEvents = 200
	modelJobs   = 6 // that wait or run at a time
)

// world is a supervisor without processes: the machine, the breaker, the job table and the policy as they are, and
// between them the glue of worker.go and the loop in its shortest form.
type world struct {
	t   interface{ Fatalf(string, ...any) }
	now time.Time

	m       machine
	b       breaker
	r       rules
	ready   bool
	weights bool
	wanted  bool // the coming exit is our wish
	heals   bool // why it is broken
	held    *hold

	items   []sched.Item
	records map[job.ID]sched.Record
	ends    map[job.ID]int
	n       int
	trace   []string
}

type hold struct {
	id              job.ID
	attempt         int
	begun, canceled bool
}

func newWorld(t interface{ Fatalf(string, ...any) }) *world {
	return &world{t: t, now: time.Unix(0, 0), m: machine{state: Down}, r: Limits{}.orDefaults().rules(),
		records: map[job.ID]sched.Record{}, ends: map[job.ID]int{}}
}

func (w *world) failf(format string, args ...any) {
	w.t.Fatalf("%s\nafter %v", fmt.Sprintf(format, args...), w.trace)
}

func (w *world) step(sig trigger) {
	from := w.m.state
	if !w.m.step(sig) {
		w.failf("the worker in %s refuses %s", from, sig)
	}
}

func (w *world) item(id job.ID) *sched.Item {
	for i := range w.items {
		if w.items[i].ID == id {
			return &w.items[i]
		}
	}
	w.failf("job %s is lost", id)
	return nil
}

func (w *world) jobStep(id job.ID, step job.Step) {
	i := w.item(id)
	to, err := job.Next(i.State, step)
	if err != nil {
		w.failf("%v", err)
	}
	if i.State = to; to.Terminal() {
		w.ends[id]++
		for k := range w.items {
			if w.items[k].ID == id {
				w.items = append(w.items[:k:k], w.items[k+1:]...)
				break
			}
		}
	}
}

// settle is the loop's: what the policy says after an attempt without a result.
func (w *world) settle(id job.ID, v sched.Verdict) {
	w.records[id] = v.Record
	if v.Failure != nil {
		w.jobStep(id, job.StepFail)
		return
	}
	canceling := w.item(id).State == job.Canceling
	w.jobStep(id, job.StepInterrupt)
	if !canceling {
		w.jobStep(id, job.StepRequeue)
	}
}

// dispatch is the loop's.
func (w *world) dispatch() {
	actions := sched.Next(sched.View{Items: w.items, Ready: w.m.state != Broken && w.m.state != Stopping})
	for _, a := range actions {
		if w.held != nil {
			w.failf("job %s starts beside job %s", a.Start, w.held.id)
		}
		i := w.item(a.Start)
		for _, other := range w.items {
			if other.State == job.Queued && other.Order < i.Order {
				w.failf("job %s overtakes job %s", i.ID, other.ID)
			}
		}
		if a.Attempt != i.Attempt+1 {
			w.failf("job %s goes from attempt %d to %d", i.ID, i.Attempt, a.Attempt)
		}
		i.Attempt = a.Attempt
		w.jobStep(a.Start, job.StepDispatch)
		w.held = &hold{id: a.Start, attempt: a.Attempt}
	}
	w.advance()
}

// advance is the worker's: it sends what the held plan needs next.
func (w *world) advance() {
	if w.held == nil || w.held.canceled {
		return
	}
	switch w.m.state {
	case Cold:
		w.held.begun = true
		w.step(sigLoad)
	case Warm:
		w.held.begun = true
		w.step(sigGenerate)
	}
}

func (w *world) idle() {
	if w.m.state == Stopping {
		return
	}
	if w.weights {
		w.step(sigWarm)
	} else {
		w.step(sigCold)
	}
}

// exit is the worker's: one death, judged.
func (w *world) exit(kind byte) {
	codes := []job.Code{job.CodeWorkerDied, job.CodeOOMRun, job.CodeGPUContext, job.CodeWeightsCorrupt, job.CodeEnvBroken}
	code := codes[int(kind)%len(codes)]
	why := &job.Error{Code: code, Message: string(code)}
	broken := code == job.CodeEnvBroken && !w.wanted
	w.step(sigExit)
	open := broken
	w.heals = false
	if !w.wanted && !broken {
		profile := ""
		if code == job.CodeOOMRun {
			profile = "resident"
		}
		open = w.b.died(w.r, w.now, w.ready, profile) != ""
		w.heals = open && profile != ""
	}
	if h := w.held; h != nil && (h.begun || open) {
		w.held = nil
		if i := w.item(h.id); w.wanted || !h.begun {
			w.settle(h.id, sched.Verdict{Requeue: i.State != job.Canceling, Record: w.records[h.id]})
		} else {
			w.settle(h.id, sched.AfterDeath(i.State, w.records[h.id], why, ""))
		}
	}
	if open {
		w.step(sigBreak)
	} else {
		w.step(sigBackoff)
	}
	w.ready, w.weights, w.wanted = false, false, false
}

func (w *world) spawn() {
	w.step(sigSpawn)
	w.ready, w.weights, w.wanted = false, false, false
}

func (w *world) submit() {
	w.n++
	id := job.ID(fmt.Sprint("job ", w.n))
	w.items = append(w.items, sched.Item{ID: id, Order: int64(w.n), State: job.Queued})
	w.records[id] = sched.Record{}
}

// speaks tells whether the running attempt can say something that counts.
func (w *world) speaks(states ...State) *hold {
	if w.held == nil || !w.held.begun {
		return nil
	}
	for _, s := range states {
		if w.m.state == s {
			return w.held
		}
	}
	return nil
}

func (w *world) heard() {
	if w.m.state == Suspect {
		w.step(sigRecover)
	}
}

// play is one thing that happens; what cannot happen now is nothing.
func (w *world) play(what, with byte) {
	s := w.m.state
	switch what % 20 {
	case 0, 1:
		if len(w.items) < modelJobs {
			w.submit()
		}
	case 2:
		if s == Spawning {
			w.step(sigHello)
		}
	case 3:
		if s == Probing {
			w.step(sigReady)
			w.ready, w.b.early = true, 0
		}
	case 4:
		w.heard()
		if h := w.speaks(Loading, Canceling); h != nil && !w.weights {
			w.weights = true
			if h.canceled {
				w.idle()
				w.held = nil
				w.jobStep(h.id, job.StepStopped)
				break
			}
			w.step(sigWarm)
		}
	case 5:
		w.heard()
		if h := w.speaks(Busy); h != nil && w.item(h.id).State == job.Dispatched {
			w.jobStep(h.id, job.StepAccept)
		}
	case 6, 7:
		w.heard()
		if h := w.speaks(Busy, Canceling); h != nil && w.weights && w.item(h.id).State != job.Dispatched {
			w.b.finished()
			w.idle()
			w.held = nil
			w.jobStep(h.id, job.StepSucceed)
		}
	case 8:
		w.heard()
		if h := w.speaks(Busy, Loading, Canceling); h != nil {
			codes := []job.Code{job.CodeInternal, job.CodeOOMRun, job.CodeNaNOutput, job.CodeDiskFull}
			why := &job.Error{Code: codes[int(with)%len(codes)]}
			w.idleAfterError()
			w.held = nil
			w.settle(h.id, sched.AfterError(w.item(h.id).State, w.records[h.id], why, ""))
		}
	case 9, 10:
		if s.alive() {
			w.exit(with)
		}
	case 11:
		if s.beats() {
			w.step(sigSuspect)
		}
	case 12:
		w.heard()
	case 13:
		w.cancel(with)
	case 14:
		if h := w.speaks(Canceling); h != nil && h.canceled {
			w.idleAfterError()
			w.held = nil
			w.jobStep(h.id, job.StepStopped)
		}
	case 15:
		if s.alive() {
			if w.wanted = w.wanted || with%2 == 0; s != Stopping {
				w.step(sigStop)
			}
		}
	case 16:
		if s == Backoff || s == Broken && w.heals {
			if s == Broken {
				w.b.halfOpen()
			}
			w.spawn()
		}
	case 17:
		if !s.alive() {
			if s == Broken {
				w.b.halfOpen()
			}
			w.spawn()
		}
	case 18:
		w.now = w.now.Add(time.Duration(with) * 10 * time.Second)
	case 19:
		if s == Warm && w.held == nil {
			w.step(sigUnload)
		} else if s == Unloading {
			w.weights = false
			w.step(sigCold)
		}
	}
	w.dispatch()
	w.check()
}

func (w *world) idleAfterError() {
	if w.m.state == Loading {
		w.weights = false
	}
	w.idle()
}

func (w *world) cancel(with byte) {
	if len(w.items) == 0 {
		return
	}
	i := w.items[int(with)%len(w.items)]
	if i.State == job.Canceling {
		return
	}
	if w.jobStep(i.ID, job.StepCancel); i.State == job.Queued {
		return
	}
	h := w.held
	switch {
	case h == nil || h.id != i.ID:
		w.failf("job %s is %s and the worker holds %+v", i.ID, i.State, h)
	case !h.begun:
		w.held = nil
		w.jobStep(i.ID, job.StepStopped)
	default:
		if h.canceled = true; w.m.state != Stopping {
			w.step(sigCancel)
		}
	}
}

// check holds after every event.
func (w *world) check() {
	active := 0
	for _, i := range w.items {
		if i.State.Active() {
			active++
			if w.held == nil || w.held.id != i.ID || w.held.attempt != i.Attempt {
				w.failf("job %s is %s in attempt %d, the worker holds %+v", i.ID, i.State, i.Attempt, w.held)
			}
		} else if i.State != job.Queued {
			w.failf("job %s rests in %s", i.ID, i.State)
		}
	}
	if active > 1 || (active == 0) != (w.held == nil) {
		w.failf("%d jobs run, the worker holds %+v", active, w.held)
	}
	if w.held != nil && w.m.state == Broken {
		w.failf("a broken worker holds job %s", w.held.id)
	}
	for id, n := range w.ends {
		if n != 1 {
			w.failf("job %s has %d ends", id, n)
		}
	}
	if len(w.items)+len(w.ends) != w.n {
		w.failf("%d jobs were accepted, %d are there, %d have ended", w.n, len(w.items), len(w.ends))
	}
	for id, r := range w.records {
		if r.Deaths > 2 || r.Errors > 2 {
			w.failf("job %s cost %+v", id, r)
		}
	}
}

// heal plays a world in which everything works, to the end of the queue: nothing may be stuck.
func (w *world) heal() {
	good := map[State]byte{Down: 17, Backoff: 16, Broken: 17, Spawning: 2, Probing: 3, Loading: 4, Suspect: 12,
		Canceling: 14, Unloading: 19, Stopping: 9, Busy: 5, Warm: 18, Cold: 18}
	for range 40 * (modelJobs + 2) {
		if len(w.items) == 0 {
			return
		}
		what := good[w.m.state]
		if w.m.state == Busy && w.item(w.held.id).State != job.Dispatched {
			what = 6
		}
		w.play(what, 0)
	}
	w.failf("stuck: the worker is %s, jobs %+v", w.m.state, w.items)
}

// often weighs the events: a worker that mostly works gets further than one that mostly dies.
var often = []byte{0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 7, 8, 9, 10, 11, 11, 12, 12, 13, 13,
	14, 14, 15, 16, 16, 16, 16, 16, 16, 17, 17, 17, 18, 18, 19, 19}

// TestModel plays random events against the transition table, the breaker and the policy. rapid prints the failing seed
// and the smallest line of events that fails.
func TestModel(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": fmt.Sprint(modelSeeds), "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[State]int{}
	begin := time.Now()
	events := rapid.SliceOfN(rapid.Byte(), 2*modelEvents, 2*modelEvents)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		// rapid prefers small numbers, which would play few events only: a seed spreads them evenly.
		seed := rapid.Uint64().Draw(rt, "seed")
		spread := rand.New(rand.NewPCG(seed, 0))
		bytes := events.Draw(rt, "events")
		for i := range bytes {
			bytes[i] ^= byte(spread.Uint32())
		}
		for i := 0; i < len(bytes); i += 2 {
			bytes[i] = often[int(bytes[i])%len(often)]
			if len(w.trace) > 12 {
				w.trace = w.trace[1:]
			}
			w.trace = append(w.trace, fmt.Sprintf("%d/%d in %s", bytes[i]%20, bytes[i+1], w.m.state))
			w.play(bytes[i], bytes[i+1])
			seen[w.m.state]++
		}
		w.heal()
	})
	t.Logf("%d seeds of %d events in %v; states %v", modelSeeds, modelEvents, time.Since(begin), seen)
	for _, s := range States {
		if seen[s] == 0 && s != Exited && s != Down { // passed through
			t.Errorf("the model never rested in %s", s)
		}
	}
}
