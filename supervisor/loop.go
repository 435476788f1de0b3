package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/plan"
	"qie/supervisor/sched"
	"qie/supervisor/store"
	"qie/supervisor/worker"
)

// recordTimeout bounds one commit; the store's disk may be slow, never silent.
const recordTimeout = 30 * time.Second

// entry is a job that has not ended, as the loop knows it.
type entry struct {
	store.Row
	attempt  *store.Attempt
	estimate plan.Estimate
	key      string // of the pace
	base     string // of the pace, whatever the memory profile
	size     string // of the plan, whatever the device: one is known only once a worker was ready
	model    string // id of the model of the attempt
	phase    job.Phase
	phaseAt  time.Time
	ready    time.Time // since when it could have started, but for the worker
	spent    time.Duration
	result   *worker.Finished // stated by the worker, being verified
	profile  string           // memory profile of this attempt, and where the choice for the next one begins; empty is the first
	choice   plan.Choice      // what was predicted of this attempt
}

// request is a question to the loop.
type request struct {
	do    func()
	reply chan struct{}
}

// ask runs do in the loop. Everything that changes a job after its insert goes through here.
func (s *Supervisor) ask(ctx context.Context, do func()) error {
	r := request{do, make(chan struct{})}
	select {
	case s.requests <- r:
		<-r.reply
		return nil
	case <-s.ctx.Done():
		return job.Errorf(job.CodeNotReady, "qie is shutting down")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// inbox takes what the parts tell the loop without making them wait.
type inbox struct {
	mu      sync.Mutex
	waiting []any
	wake    chan struct{}
}

func (b *inbox) put(v any) {
	b.mu.Lock()
	b.waiting = append(b.waiting, v)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.waiting
	b.waiting = nil
	return taken
}

// loop is the one writer of job state.
func (s *Supervisor) loop() {
	defer s.parts.Done()
	defer s.writeLate()
	recheck := time.NewTicker(s.cfg.RecheckEvery)
	defer recheck.Stop()
	for {
		s.dispatch()
		s.tellQueue()
		select {
		case <-recheck.C:
			s.recheck()
		case r := <-s.requests:
			// What was told before the question was asked comes first: a job that Submit has answered is known here.
			over := s.takeAll()
			r.do()
			close(r.reply)
			if over {
				return
			}
		case <-s.inbox.wake:
			if s.takeAll() {
				return
			}
		}
	}
}

// takeAll handles what waits; true is the end of the loop.
func (s *Supervisor) takeAll() (over bool) {
	for _, v := range s.inbox.take() {
		if v == nil {
			return true
		}
		s.take(v)
	}
	return false
}

func (s *Supervisor) take(v any) {
	switch e := v.(type) {
	case func():
		e()
	case worker.StatusChanged:
		s.workerChanged(e.Status)
	case worker.Accepted:
		if row := s.current(e.Job, e.Attempt); row != nil && row.Job.State == job.Dispatched {
			s.step(row, job.StepAccept, nil)
		}
	case worker.Planned:
		if row := s.current(e.Job, e.Attempt); row != nil {
			s.planned(row, e.Choice)
		}
	case worker.Progress:
		if row := s.current(e.Job, e.Attempt); row != nil {
			s.progress(row, e)
		}
	case worker.Resumed:
		if row := s.current(e.Job, e.Attempt); row != nil {
			s.resumed(row, e.Step)
		}
	case worker.Preview:
		if row := s.current(e.Job, e.Attempt); row != nil {
			row.Job.Preview = fmt.Sprintf("/api/v1/jobs/%s/preview?attempt=%d&step=%d", e.Job, e.Attempt, e.Step)
			s.publishProgress(row)
		}
	case worker.Finished:
		if row := s.current(e.Job, e.Attempt); row != nil && row.result == nil {
			row.result = &e
			s.verify(e, row.Job.Mask != nil)
		}
	case verified:
		if row := s.current(e.Job, e.Attempt); row != nil && row.result != nil {
			s.finish(row, e)
		}
	case worker.Failed:
		if row := s.current(e.Job, e.Attempt); row != nil && row.result == nil {
			if e.Err.Code == job.CodeNaNOutput { // what led there must not lead there again
				s.store.RemoveFile(e.Job, store.CheckpointFile)
			}
			why := row.numbered(e.Err)
			s.settle(row, sched.AfterError(row.Job.State, row.record(), why, row.lower()), why)
		}
	case worker.Canceled:
		if row := s.current(e.Job, e.Attempt); row != nil && row.result == nil {
			s.stopped(row)
		}
	case worker.Died:
		s.died(e)
	case worker.Noticed:
		s.Tell(e.Notice)
	case worker.Began:
		s.Notice(e.Notice)
	case worker.Over:
		s.Withdraw(e.Code)
	}
}

// current gives the job of an event when it is about the attempt that runs; anything else is late or a duplicate.
func (s *Supervisor) current(id job.ID, attempt int) *entry {
	row := s.rows[id]
	if row == nil || !row.Job.State.Active() || row.Job.Attempt != attempt {
		s.log.Debug("stale worker event dropped", "job", id, "attempt", attempt)
		return nil
	}
	return row
}

func (e *entry) record() sched.Record { return sched.Record{Deaths: e.Deaths, Errors: e.Errors} }

// lower is the memory profile that a lack of memory goes to; empty without one.
func (e *entry) lower() string {
	if e.choice.Profile == "" { // it ended before its plan was chosen
		lower, _ := plan.Lower(e.profile)
		return lower
	}
	return e.choice.Lower(e.phase)
}

// numbered adds to a lack of memory at the end of the ladder what was needed and what there was.
func (e *entry) numbered(why *job.Error) *job.Error {
	if !sched.Memory(why) || e.lower() != "" || e.choice.Profile == "" || e.choice.Refused { // a refusal says them itself
		return why
	}
	told := *why
	told.Message += "; " + e.choice.Numbers()
	return &told
}

// planned takes the memory plan that the worker has chosen by what is free now.
func (s *Supervisor) planned(row *entry, c plan.Choice) {
	row.profile, row.choice = c.Profile, c
	row.Job.Memory = &job.Memory{Plan: c.Profile, Words: plan.Word(c.Profile), Peak: c.Peak(), Total: c.Room.Total, Free: c.Room.Free}
	slower := c.Profile != plan.ProfileResident && !c.Refused
	if slower && !slices.ContainsFunc(row.Job.Notices, func(n job.Notice) bool { return n.Code == noticeLess }) {
		row.Job.Notices = replaced(row.Job.Notices, noticeMemoryPlan(c))
	}
	if slower { // it has a pace of its own, with the loads in it
		row.key = row.base + " " + c.Profile
		row.estimate = plan.NewEstimate(s.paces[row.key], row.Job.Steps, row.estimate.Loads())
	}
	s.publish(row)
}

// dispatch starts what comes next.
func (s *Supervisor) dispatch() {
	w := s.worker.Load()
	if w == nil || s.ctx.Err() != nil || s.held() {
		return
	}
	state := worker.State(w.Status().State)
	v := sched.View{Ready: state != worker.Broken && state != worker.Stopping && s.Model().ID != ""}
	for id, row := range s.rows {
		_, here := s.specFor(row.Job.Recipe)
		v.Items = append(v.Items, sched.Item{ID: id, Order: row.Order, State: row.Job.State, Attempt: row.Job.Attempt, Held: !here})
	}
	for _, a := range sched.Next(v) {
		if !s.roomToStart() {
			return
		}
		s.start(w, s.rows[a.Start], a.Attempt)
	}
}

// start hands one attempt to the worker.
func (s *Supervisor) start(w *worker.Worker, row *entry, attempt int) {
	begin := time.Now()
	spec, _ := s.specFor(row.Job.Recipe)
	row.Job.Notices = slices.DeleteFunc(row.Job.Notices, func(n job.Notice) bool { return n.Code == noticeWaits })
	p, err := planOf(row.Job, spec, row.Seed)
	if err != nil {
		// The model changed since the job was accepted.
		row.attempt = nil
		s.end(row, job.StepFail, job.AsError(err))
		return
	}
	id := row.Job.ID
	p.Job, p.Attempt = id, attempt
	dir := s.store.Dir(id)
	for n := range row.Job.Images {
		p.Images = append(p.Images, dir+"/"+store.InputFile(n+1))
	}
	p.ResultPath, p.PreviewPath = dir+"/"+attemptFile(attempt), dir+"/"+store.PreviewFile
	p.CheckpointPath = dir + "/" + store.CheckpointFile
	status := w.Status()
	now := s.cfg.Now()
	row.model = spec.ID
	row.size = p.Key()
	row.base = status.Device + " " + row.size
	row.key = row.base
	p.Profile = cmp.Or(row.profile, s.lowered[row.size])
	row.profile, row.choice = p.Profile, plan.Choice{}
	p.Pace = s.paces[row.key]
	row.estimate = plan.NewEstimate(p.Pace, p.Steps, status.Model != spec.ID || !loaded(status.State))
	row.phase, row.phaseAt, row.result, row.spent = job.Loading, begin, nil, 0
	row.attempt = &store.Attempt{Attempt: attempt, Generation: status.Generation, Started: now}
	j := &row.Job
	j.Attempt, j.Phase, j.Step, j.Steps, j.Percent, j.ETA, j.Preview = attempt, job.Loading, 0, p.Steps, 0, nil, ""
	if j.StartedAt == nil {
		j.StartedAt = &now
		j.Timings["wait"] = seconds(now.Sub(j.CreatedAt))
	}
	s.store.RemoveFile(id, store.PreviewFile)
	for _, n := range p.Notices {
		j.Notices = noticed(j.Notices, n)
	}
	if !s.step(row, job.StepDispatch, row.attempt) {
		return
	}
	if err := w.Start(s.ctx, p); err != nil {
		s.log.Warn("the worker did not take the job", "job", id, "err", err)
		s.requeue(row, job.AsError(err))
		return
	}
	from := begin
	if row.ready.After(s.free) && row.ready.Before(begin) {
		from = row.ready // nothing but this program was in the way since then
	}
	row.spent = time.Since(from)
}

// loaded tells whether a worker in this state may hold weights.
func loaded(state string) bool {
	s := worker.State(state)
	return s == worker.Warm || s == worker.Busy
}

func attemptFile(attempt int) string { return fmt.Sprintf("%s%d.png", store.AttemptPrefix, attempt) }

// noticed adds a notice once.
func noticed(have []job.Notice, n job.Notice) []job.Notice {
	for _, h := range have {
		if h.Code == n.Code {
			return have
		}
	}
	return append(have, n)
}

// replaced puts the notice in the place of an older one of its code.
func replaced(have []job.Notice, n job.Notice) []job.Notice {
	kept := slices.DeleteFunc(slices.Clone(have), func(h job.Notice) bool { return h.Code == n.Code })
	return append(kept, n)
}

// step moves a job, makes it durable and tells everybody. It is the only place where a state changes after Insert.
func (s *Supervisor) step(row *entry, step job.Step, attempt *store.Attempt) bool {
	to, err := job.Next(row.Job.State, step)
	if err != nil {
		s.log.Error("refused transition", "job", row.Job.ID, "err", err)
		return false
	}
	row.Job.State = to
	if attempt != nil {
		attempt.State = to
	}
	s.record(row, attempt)
	s.publish(row)
	return true
}

func (s *Supervisor) record(row *entry, attempt *store.Attempt) {
	// Not the parts' context: what happened has to be written also while they end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), recordTimeout)
	defer cancel()
	if err := s.store.Record(ctx, row.Row, attempt); err != nil {
		// The truth in memory goes on, and is written as soon as that is possible again.
		s.log.Error("record job", "job", row.Job.ID, "err", err)
		s.unsaved(row, attempt, job.AsError(err))
	}
}

// publish copies the job into the view and tells everybody.
func (s *Supervisor) publish(row *entry) {
	j := row.Job
	j.Timings = cloned(j.Timings)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.view.jobs[j.ID]
	s.view.jobs[j.ID] = j
	if j.State.Terminal() && known {
		s.view.ended = append(s.view.ended, j.ID)
		for len(s.view.ended) > endedShown {
			delete(s.view.jobs, s.view.ended[0])
			s.view.ended = s.view.ended[1:]
		}
	}
	s.view.queue.Waiting = s.waiting()
	j = s.positioned(j)
	s.hub.Publish(event.Event{Type: event.TypeJobChanged, Job: &j})
}

func cloned(m map[string]float64) map[string]float64 {
	c := make(map[string]float64, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// end gives a job its one end.
func (s *Supervisor) end(row *entry, step job.Step, why *job.Error) {
	now := s.cfg.Now()
	j := &row.Job
	j.FinishedAt, j.ETA = &now, nil
	if why != nil {
		failure := why.Failure()
		j.Error = &failure
	}
	if row.attempt != nil {
		row.attempt.Ended = now
		if why != nil {
			row.attempt.Code = why.Code
		}
	}
	s.store.RemoveFile(j.ID, store.CheckpointFile)
	s.step(row, step, row.attempt)
	s.forget(row)
	s.tidy()
}

// resumed tells that an attempt goes on where an earlier one broke off.
func (s *Supervisor) resumed(row *entry, step int) {
	row.Job.Notices = replaced(row.Job.Notices, noticeResumed(step, row.Job.Steps))
	row.Job.Step = max(row.Job.Step, step)
	s.publish(row)
}

func (s *Supervisor) forget(row *entry) {
	delete(s.rows, row.Job.ID)
	s.pending.Add(-1)
	s.free = time.Now()
}

// stopped ends a job that was canceled. A worker that stopped unasked interrupted it.
func (s *Supervisor) stopped(row *entry) {
	if row.Job.State != job.Canceling {
		s.requeue(row, job.Errorf(job.CodeInternal, "the worker stopped the job unasked"))
		return
	}
	s.discardAttempt(row)
	s.end(row, job.StepStopped, nil)
}

func (s *Supervisor) discardAttempt(row *entry) {
	s.store.RemoveAttempts(row.Job.ID)
}

// requeue ends the attempt and puts the job back at its place, which is the head.
func (s *Supervisor) requeue(row *entry, why *job.Error) {
	s.discardAttempt(row)
	if row.Job.State == job.Canceling {
		s.end(row, job.StepInterrupt, nil)
		return
	}
	if row.attempt != nil {
		row.attempt.Ended, row.attempt.Code = s.cfg.Now(), why.Code
	}
	j := &row.Job
	j.Phase, j.Percent, j.Step, j.ETA, j.Preview = "", 0, 0, nil, ""
	row.ready, s.free = time.Now(), time.Now()
	if s.step(row, job.StepInterrupt, row.attempt) {
		row.attempt = nil
		s.step(row, job.StepRequeue, nil)
	}
}

// settle does what the policy says after an attempt without a result.
func (s *Supervisor) settle(row *entry, v sched.Verdict, why *job.Error) {
	row.Deaths, row.Errors = v.Record.Deaths, v.Record.Errors
	row.result = nil
	s.log.Info("attempt ended", "job", row.Job.ID, "attempt", row.Job.Attempt, "requeue", v.Requeue, "err", why)
	switch {
	case v.Requeue && v.Profile != "":
		row.profile = v.Profile
		s.lowered[row.size] = v.Profile // the next of its kind would run out as well
		row.Job.Notices = replaced(row.Job.Notices, noticeLessMemory(why, v.Profile))
		s.requeue(row, why)
	case v.Requeue:
		row.Job.Notices = replaced(row.Job.Notices, noticeRetried(why))
		s.requeue(row, why)
	case v.Failure == nil:
		s.requeue(row, why) // canceling: the interrupt is the cancel
	default:
		s.discardAttempt(row)
		s.end(row, job.StepFail, v.Failure)
	}
}

// died handles the end of a worker process.
func (s *Supervisor) died(e worker.Died) {
	s.instance.workerGone()
	if e.Job == "" {
		return
	}
	row := s.current(e.Job, e.Attempt)
	if row == nil || row.result != nil {
		return // the result is on the disk and being verified; the death came after the work
	}
	why := e.Err
	if why == nil {
		why = job.Errorf(job.CodeWorkerDied, "the worker ended")
	}
	if s.ctx.Err() != nil || e.Wanted || !e.Begun {
		// We ended it (a restart by a person, or the end of this program), or it had not begun. Not the job's fault.
		switch {
		case !e.Begun:
		case s.ctx.Err() != nil:
			row.Job.Notices = replaced(row.Job.Notices, noticeInterrupted)
		case row.Job.State != job.Canceling:
			row.Job.Notices = replaced(row.Job.Notices, noticeRestarted)
		}
		s.requeue(row, why)
		return
	}
	why = row.numbered(why)
	s.settle(row, sched.AfterDeath(row.Job.State, row.record(), why, row.lower()), why)
}

func (s *Supervisor) workerChanged(status event.Worker) {
	s.instance.workerSeen(status.PID, status.Generation)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !loaded(s.view.worker.State) && loaded(status.State) {
		s.free = time.Now()
	}
	s.queue.worker = pauseOf(status)
	s.view.worker = status
	s.hub.Publish(event.Event{Type: event.TypeWorkerChanged, Worker: &status})
}

// progress moves the numbers of a running attempt. It is never written to the disk.
func (s *Supervisor) progress(row *entry, e worker.Progress) {
	if e.Phase != row.phase {
		s.phaseEnded(row)
		row.phase, row.phaseAt = e.Phase, time.Now()
	}
	j := &row.Job
	row.estimate.Step(e.StepS)
	j.Phase = e.Phase
	j.Step = max(j.Step, e.Step)
	if e.Steps > 0 {
		j.Steps = e.Steps
	}
	j.Percent, j.ETA = row.estimate.At(plan.Point{Phase: e.Phase, Step: e.Step, Done: e.Fraction})
	s.publishProgress(row)
}

// phaseEnded keeps how long the phase took.
func (s *Supervisor) phaseEnded(row *entry) {
	took := seconds(time.Since(row.phaseAt))
	row.Job.Timings[string(row.phase)] = took
	switch row.phase {
	case job.Denoise:
		s.paces[row.key] = s.paces[row.key].Learn(job.Denoise, row.estimate.StepMean())
	case job.Loading:
		// A warm worker says nothing about a load: it only merges LoRAs, or does nothing.
		if took > 0.1 && row.estimate.Loads() {
			s.paces[row.key] = s.paces[row.key].Learn(job.Loading, took)
		}
	default:
		s.paces[row.key] = s.paces[row.key].Learn(row.phase, took)
	}
}

func (s *Supervisor) publishProgress(row *entry) {
	j := row.Job
	j.Timings = cloned(j.Timings)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.jobs[j.ID] = j
	s.hub.Publish(event.Event{Type: event.TypeJobProgress, Progress: &event.Progress{Job: j.ID, Attempt: j.Attempt,
		Phase: j.Phase, Step: j.Step, Steps: j.Steps, Percent: j.Percent, ETA: j.ETA, Preview: j.Preview}})
}

// Notice tells everybody something that belongs to no job and stands until Withdraw; a newer one of the same code takes
// the place of the older. What is over when it is said is for Tell.
func (s *Supervisor) Notice(n job.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.notices = replaced(s.view.notices, n)
	s.hub.Publish(event.Event{Type: event.TypeNotice, Notice: &n})
}

// Withdraw takes a notice back, where it stands. The event has its code and no words: there is nothing to say.
func (s *Supervisor) Withdraw(code string) {
	s.mu.Lock()
	before := len(s.view.notices)
	s.view.notices = slices.DeleteFunc(slices.Clone(s.view.notices), func(n job.Notice) bool { return n.Code == code })
	stood := len(s.view.notices) < before
	s.mu.Unlock()
	if stood {
		s.Tell(job.Notice{Code: code})
	}
}

// Tell says something to whoever looks now; nobody reads it later.
func (s *Supervisor) Tell(n job.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.Publish(event.Event{Type: event.TypeNotice, Notice: &n})
}

// savePaces keeps what was learned, behind the end of a job.
func (s *Supervisor) savePaces() {
	s.mu.Lock()
	s.view.paces = maps.Clone(s.paces)
	s.mu.Unlock()
	text, err := json.Marshal(s.paces)
	if err == nil {
		err = s.store.SetSetting(context.WithoutCancel(s.ctx), pacesKey, string(text))
	}
	if err != nil {
		s.log.Warn("keep the learned paces", "err", err)
	}
}

// recover reads the queue back. What was active when the program died is queued again at its place.
func (s *Supervisor) recover(ctx context.Context) error {
	rows, err := s.store.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("read the queue: %w", err)
	}
	now := s.cfg.Now()
	for _, r := range rows {
		e := &entry{Row: r, ready: time.Now()}
		j := &e.Job
		if j.Timings == nil {
			j.Timings = map[string]float64{}
		}
		if j.State != job.Queued {
			attempts, err := s.store.Attempts(ctx, j.ID)
			if err != nil {
				return fmt.Errorf("read attempts: %w", err)
			}
			var last *store.Attempt
			if n := len(attempts); n > 0 {
				last = &attempts[n-1]
				last.State, last.Code, last.Ended = job.Interrupted, job.CodeWorkerDied, now
			}
			s.store.RemoveAttempts(j.ID)
			if sched.AfterRestart(j.State) {
				j.State = job.Queued
				j.Phase, j.Percent, j.Step, j.ETA, j.Preview = "", 0, 0, nil, ""
				j.Notices = replaced(j.Notices, noticeInterrupted)
			} else {
				j.State, j.FinishedAt = job.Canceled, &now
			}
			if err := s.store.Record(ctx, e.Row, last); err != nil {
				return err
			}
		}
		s.view.jobs[j.ID] = *j
		if j.State.Terminal() {
			s.view.ended = append(s.view.ended, j.ID)
			continue
		}
		s.rows[j.ID] = e
		s.pending.Add(1)
	}
	page, err := s.store.Query(ctx, store.Query{Limit: endedShown})
	for i := len(page.Jobs) - 1; i >= 0; i-- {
		if j := page.Jobs[i]; j.State.Terminal() {
			if _, known := s.view.jobs[j.ID]; !known {
				s.view.jobs[j.ID] = j
				s.view.ended = append(s.view.ended, j.ID)
			}
		}
	}
	return errors.Join(err, s.loadPaces(ctx))
}

func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }
