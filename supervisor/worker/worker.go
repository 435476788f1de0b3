// Package worker owns the Python process: its birth, its state, its deadlines and its end. One goroutine (Run) holds
// all of it; every method is a request to that goroutine. It knows nothing of queues, files of jobs, or browsers, and
// it never retries a job: it tells what happened, by Emit.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	mathrand "math/rand/v2"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/plan"
	"qie/supervisor/wire"
)

// oversizeMax lines over the limit in one generation are a protocol fault.
const oversizeMax = 3

const beatMS = 1000

// Config of a worker.
type Config struct {
	// Command makes the command of a generation; its environment carries the nonce.
	Command func(gen int64, nonce string) (*exec.Cmd, error)
	// Guard makes the command of the outside guard; nil is this program's own binary, whose main calls GuardMain.
	Guard func() (*exec.Cmd, error)
	// Emit takes an event without waiting. It is called from the worker's goroutine only.
	Emit    func(Event)
	Log     *slog.Logger
	LogFile string // worker.log, rotated; empty keeps none
	RunDir  string // where the worker may write temporary files
	// CrashDir gets a report of every abnormal death, without prompts and paths; empty keeps none.
	CrashDir string
	Device   string // auto, mps, cuda or cpu

	MaxPixels   int64
	PreviewSide int
	CPUThreads  int
	// MemoryOverride loads a model also when it needs nearly all memory.
	MemoryOverride bool
	Limits         Limits
	// Probe asks the system; zero functions are this machine's.
	Probe host.Probe
	// Chance gives the jitter of restart pauses, in [0,1); nil is random.
	Chance func() float64

	// kill signals a process group; tests put one in that the process survives.
	kill func(pid int, sig syscall.Signal)
}

// Worker is the one Python process of this supervisor.
type Worker struct {
	cfg    Config
	limits Limits
	probe  host.Probe
	asks   chan ask
	inbox  inbox

	// read by anyone
	status  atomic.Pointer[event.Worker]
	started atomic.Bool
	done    chan struct{}

	// owned by loop
	machine   machine
	seen      event.Worker // as last published
	gen       int64
	seq       int64
	process   *process
	guard     guard
	guardDied chan int
	guardAt   time.Time
	log       *rotatedLog
	tail      *tail
	secrets   secrets
	attempt   *attempt
	modelDir  string // of the loaded weights
	loadedAs  string // their memory profile
	pulse     pulse
	ready     time.Time // since when this generation is ready
	breaker   breaker
	backoffAt time.Time // the next start, in backoff and in a broken state that can heal
	cleared   clearing  // after a death: does its memory come back
	ladder    []rung
	ladderAt  time.Time
	end       ending
	closing   bool // Run ends once the process is gone
	reason    *job.Error
	counts    Counts
	bytesAt   time.Time // of the last published status
	parts     statusParts
	trace     trace
	total     int64 // the machine's memory
	held      int64 // of it, read while the worker was large
	heldAt    time.Time
	empty     int64     // footprint before the load, and full after it
	full      int64     //
	tight     bool      // told of the last attempt that began
	settled   int64     // footprint after the first job: what a job needs is part of the start
	idleSince time.Time // warm without an attempt
	unloaded  time.Time // when the worker said so; its memory may still be on the way back
	doubt     doubt
	power     power
}

// attempt is the plan that the worker holds.
type attempt struct {
	plan      plan.Plan
	admitted  bool // its memory plan was chosen
	begun     bool // load or generate was sent
	sent      bool // generate was sent
	canceling bool
	phase     job.Phase
}

// ending collects why a generation is about to end.
type ending struct {
	from   State // before stopping
	wanted bool
	sent   syscall.Signal // the last that we sent
	why    *job.Error
	fatal  *wire.Fatal
	bye    bool
	over   int // oversize lines
}

// Counts is what was dropped, for the log and for tests.
type Counts struct {
	Stale   int64 // of another generation, job or attempt
	Unknown int64 // types that this supervisor does not know
	Odd     int64 // known messages in a state where they mean nothing
}

// New makes a worker; Run starts it.
func New(cfg Config) *Worker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Chance == nil {
		cfg.Chance = mathrand.Float64
	}
	if cfg.kill == nil {
		cfg.kill = signalGroup
	}
	if cfg.Guard == nil {
		cfg.Guard = ownBinaryAsGuard
	}
	if cfg.Device == "" {
		cfg.Device = "auto"
	}
	w := &Worker{
		cfg: cfg, limits: cfg.Limits.orDefaults(), asks: make(chan ask), done: make(chan struct{}),
		probe: cfg.Probe.OrSystem(), machine: machine{state: Down}, guardDied: make(chan int, 4),
	}
	w.inbox.wake = make(chan struct{}, 1)
	w.guard = guard{command: cfg.Guard, died: func(run int) { w.guardDied <- run }}
	w.status.Store(&event.Worker{State: string(Down)})
	return w
}

// Run owns the worker until ctx ends or Stop is called; it returns after the process was reaped. It is called once.
func (w *Worker) Run(ctx context.Context) error {
	w.started.Store(true)
	defer close(w.done)
	w.log = openLog(w.cfg.LogFile)
	defer w.log.close()
	if err := w.guard.start(); err != nil {
		w.cfg.Log.Error("the orphan guard did not start", "err", err)
		w.guardAt = time.Now().Add(w.limits.Restart)
	}
	defer w.guard.close()
	w.total = w.probe.Memory().Total
	w.spawn()

	timer := time.NewTimer(0)
	defer timer.Stop()
	over := ctx.Done()
	var expected time.Time // when the loop is awake again at the latest
	for {
		w.publish()
		if w.closing && !w.machine.state.alive() {
			return nil
		}
		now := time.Now()
		w.clocks(now, expected)
		wait := w.untilDue(now)
		expected = now.Add(wait)
		timer.Reset(wait)
		select {
		case a := <-w.asks:
			a.reply <- a.do()
		case <-w.inbox.wake:
			for _, m := range w.inbox.take() {
				w.take(m)
			}
		case <-timer.C:
			now := time.Now()
			w.clocks(now, expected)
			expected = time.Time{}
			w.due(now)
		case run := <-w.guardDied:
			w.guardEnded(run)
		case <-over:
			over = nil
			w.close(stopLadder(w.limits))
		}
	}
}

// step moves the state machine; a refused pair is a mistake of ours and only logged.
func (w *Worker) step(sig trigger) {
	from := w.machine.state
	if !w.machine.step(sig) {
		w.cfg.Log.Warn("worker state refused", "state", from, "trigger", sig, "generation", w.gen)
		return
	}
	if sig != sigSuspect && sig != sigRecover {
		w.pulse.work(time.Now())
	}
	if w.machine.state == Warm && sig != sigRecover {
		w.idleSince = time.Now()
	}
	if from != w.machine.state {
		w.cfg.Log.Debug("worker state", "from", from, "to", w.machine.state, "generation", w.gen)
	}
}

// spawn starts the next generation.
func (w *Worker) spawn() {
	w.step(sigSpawn)
	w.gen++
	w.seq = 0
	w.end, w.ladder, w.reason, w.modelDir = ending{}, nil, nil, ""
	w.tail, w.trace, w.parts.rss = &tail{}, trace{}, 0
	w.empty, w.full, w.settled, w.doubt, w.unloaded = 0, 0, 0, doubt{}, time.Time{}
	nonce := newNonce()
	p := &process{gen: w.gen, nonce: nonce, limits: w.limits, probe: w.probe, out: w.inbox.put, tail: w.tail, log: w.log,
		secret: w.secrets.clean}
	cmd, err := w.cfg.Command(w.gen, nonce)
	if err == nil {
		err = spawn(cmd, p)
	}
	if err != nil {
		w.ended(death{spawn: err, state: Spawning})
		return
	}
	w.process = p
	w.guard.watch(p.pid)
	w.pulse.start(time.Now())
	w.cfg.Log.Info("worker started", "generation", w.gen, "pid", p.pid)
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// exited is called once for every process, after the reap and after its last line.
func (w *Worker) exited(facts exitFacts) {
	state := w.machine.state
	switch state {
	case Stopping:
		state = w.end.from
	case Suspect:
		state = w.machine.before
	}
	if facts.partial != "" {
		w.cfg.Log.Warn("the worker's last line was cut off", "generation", w.gen, "bytes", len(facts.partial))
	}
	w.guard.forget()
	w.process, w.power.paused = nil, false
	w.ended(death{facts: facts, state: state, fatal: w.end.fatal, bye: w.end.bye, wanted: w.end.wanted, sent: w.end.sent,
		why: w.end.why, peak: w.trace.peak(time.Now(), w.probe.Memory().Total)})
}

// ended judges the death and decides what comes next.
func (w *Worker) ended(d death) {
	w.step(sigExit)
	v := judge(d)
	cause := *v.err // a ladder's reason may have been told already, and whoever heard it holds it
	v.err = &cause
	w.ladder, w.modelDir = nil, ""
	open, heals := v.broken, false
	done := ""
	abnormal := !d.wanted && !v.broken && !w.closing
	wait := time.Duration(0)
	if abnormal {
		if !w.ready.IsZero() && time.Since(w.ready) >= w.limits.Warm {
			w.breaker.stood()
		}
		profile := ""
		if v.oom {
			profile = w.profile()
		}
		why := w.breaker.died(w.limits.rules(), time.Now(), !w.ready.IsZero(), profile)
		if open, heals = why != "", why != "" && v.heals; open {
			done = why
		}
		wait = pause(w.breaker.row, w.limits.Restart, w.cfg.Chance())
		w.clear()
	}
	phase := ""
	if w.attempt != nil && w.attempt.begun {
		phase = string(w.attempt.phase)
	}
	died := Died{Generation: w.gen, Err: v.err, Wanted: d.wanted, Footprint: w.trace.bytes()}
	if a := w.attempt; a != nil && (a.begun || open || w.closing) {
		died.Job, died.Attempt, died.Begun = a.plan.Job, a.plan.Attempt, a.begun
		w.drop()
	}
	w.cfg.Log.Info("worker ended", "generation", w.gen, "job", died.Job, "wanted", d.wanted, "err", v.err)
	defer func() { w.cfg.Emit(died) }()
	w.ready = time.Time{}
	if !d.wanted && !w.closing {
		// Before the event: whoever hears of it finds the report.
		defer func() {
			v.err.Report = w.report(d, v, phase)
			if w.reason != nil {
				w.reason.Report = v.err.Report
			}
			w.parts.report = v.err.Report
		}()
	}
	switch {
	case w.closing:
		w.step(sigRest)
	case open:
		w.open(v.err, done, heals)
	case d.wanted:
		w.backOff(0, nil)
	default:
		w.backOff(wait, v.err)
	}
}

// open stops starting. The queue waits and loses nothing; a cause that can heal gets a try now and then, any other
// waits for a person.
func (w *Worker) open(cause *job.Error, why string, heals bool) {
	reason := *cause
	if why != "" {
		reason.Message += "; " + why
	}
	if reason.Hint == hintLog {
		reason.Hint = hintBroken
	}
	if reason.Done = "the queue is paused and nothing is lost"; heals {
		reason.Done += ", the next try is in " + words(w.limits.HalfOpen)
	}
	w.reason, w.backoffAt = &reason, time.Time{}
	if heals {
		w.backoffAt = time.Now().Add(w.limits.HalfOpen)
	}
	w.step(sigBreak)
}

// backOff waits before the next start; also a wait of nothing goes through the loop, so that the death is told first.
func (w *Worker) backOff(wait time.Duration, why *job.Error) {
	w.reason = why
	if why != nil {
		reason := *why
		if reason.Done = "the worker is started again"; wait > 0 {
			reason.Done += " after a pause of " + words(wait)
		}
		w.reason = &reason
	}
	w.backoffAt = time.Now().Add(wait)
	w.step(sigBackoff)
}

// drop lets the attempt go. Its prompts stay hidden until the next one: stderr may still hold them.
func (w *Worker) drop() {
	w.attempt = nil
	w.maySleep()
}

// send writes one message; a worker that does not read is recycled by the message that follows from it.
func (w *Worker) send(a *attempt, msg any) bool {
	if w.process == nil {
		return false
	}
	w.seq++
	env := wire.Envelope{Seq: w.seq, Gen: w.gen, MS: time.Since(w.process.started).Milliseconds()}
	if a != nil {
		env.Job, env.Attempt = string(a.plan.Job), a.plan.Attempt
	}
	line, err := wire.Encode(env, msg)
	if err != nil {
		w.cfg.Log.Error("encode for the worker", "err", err)
		return false
	}
	if !w.process.send(line) {
		w.recycle(stoppedReading)
		return false
	}
	return true
}

// advance sends what the held plan needs next.
func (w *Worker) advance() {
	a := w.attempt
	if a == nil || a.canceling {
		return
	}
	switch w.machine.state {
	case Cold:
		if w.cleared.waits() {
			return // what the last process held is not back yet
		}
		if w.admitted(a) {
			w.load(a)
		}
	case Warm:
		if !w.admitted(a) {
			return
		}
		if w.modelDir != a.plan.ModelDir || w.loadedAs != profileOf(a.plan) {
			w.load(a)
			return
		}
		a.begun, a.sent = true, true
		w.stayAwake()
		w.pulse.expect(a.plan.Pace)
		w.step(sigGenerate)
		if !w.send(a, generateOf(a.plan)) && w.attempt == a && w.machine.state == Busy {
			w.step(sigWarm)
			w.fail(fault(job.CodeProtocol, "the job does not fit in one message to the worker", "shorten the prompt"))
		}
	}
}

func (w *Worker) load(a *attempt) {
	a.begun, a.phase = true, job.Loading
	w.stayAwake()
	w.modelDir = "" // whatever was there is on its way out
	w.step(sigLoad)
	w.send(a, loadOf(a.plan))
	w.cfg.Emit(Progress{Job: a.plan.Job, Attempt: a.plan.Attempt, Phase: job.Loading, Steps: a.plan.Steps})
}

// fail ends the attempt by a typed error of a worker that lives on.
func (w *Worker) fail(err *job.Error) {
	a := w.attempt
	w.drop()
	w.cfg.Emit(Failed{Job: a.plan.Job, Attempt: a.plan.Attempt, Err: err})
}

func (w *Worker) guardEnded(run int) {
	if w.closing && !w.machine.state.alive() {
		return
	}
	ok, err := w.guard.restart(run)
	if err != nil || !ok {
		w.cfg.Log.Error("the orphan guard does not stay alive", "err", err)
		w.guardAt = time.Now().Add(w.limits.Restart)
	}
}
