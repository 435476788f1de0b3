package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/disk"

	"qie/supervisor/event"
	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/sched"
	"qie/supervisor/store"
	"qie/supervisor/worker"
)

// recheckEvery is how often a pause that heals by itself is looked at.
const recheckEvery = 2 * time.Second

// reasonMax bounds what a person may say about a pause, in characters.
const reasonMax = 200

// pauseKey is the setting that keeps a person's pause over a restart.
const pauseKey = "queue_pause"

// noticeStore is the notice of what the disk did not take; it stands until all of it is written.
const noticeStore = "store_failed"

// hintResume is the way on from a person's pause.
const hintResume = "resume the queue: qie jobs resume"

// pause is why nothing starts.
type pause struct {
	Reason string `json:"reason"`
	Done   string `json:"-"`
	Hint   string `json:"-"`
}

const (
	donePerson = "nothing more starts; what runs goes on, and what waits stays in its place"
	doneDisk   = "nothing more starts, and nothing is lost; the queue goes on by itself when there is space"
)

// pauseOf is the pause that a worker asks for that does not start; nil in every other state.
func pauseOf(w event.Worker) *pause {
	if worker.State(w.State) != worker.Broken {
		return nil
	}
	resume := "; then resume the queue (qie jobs resume)"
	if w.RetryInS > 0 { // a try that succeeds ends the pause
		resume = "; resuming the queue (qie jobs resume) tries at once"
	}
	return &pause{Reason: w.Reason, Done: w.Done, Hint: w.Hint + resume}
}

// queue is what the loop knows of the line besides its jobs.
type queue struct {
	person *pause // until it is resumed
	disk   *pause // until there is space
	worker *pause // while it does not start
	// late holds what could not be written when it happened. Nothing starts while there is any.
	late   map[job.ID]*late
	unsave *pause // why there is any
	told   event.Queue

	storeTold int // so many of the store's notices
}

// late is a job whose row on the disk is older than the one in memory.
type late struct {
	row      *entry
	attempts []store.Attempt
}

func newQueue() queue { return queue{late: map[job.ID]*late{}} }

// paused gives why nothing starts, the cause that a person can act on first.
func (q *queue) paused() (by string, why *pause) {
	switch {
	case q.unsave != nil:
		return "disk", q.unsave
	case q.disk != nil:
		return "disk", q.disk
	case q.worker != nil:
		return "worker", q.worker
	case q.person != nil:
		return "person", q.person
	}
	return "", nil
}

// held tells whether nothing may start now.
func (s *Supervisor) held() bool {
	_, why := s.queue.paused()
	return why != nil
}

// waiting gives the line, next first.
func (s *Supervisor) waiting() []job.ID {
	items := make([]sched.Item, 0, len(s.rows))
	for id, row := range s.rows {
		items = append(items, sched.Item{ID: id, Order: row.Order, State: row.Job.State})
	}
	ids := make([]job.ID, 0, len(items))
	for _, i := range sched.Waiting(items) {
		ids = append(ids, i.ID)
	}
	return ids
}

// queueView copies the line as a page sees it. The caller holds mu.
func (s *Supervisor) queueView() event.Queue {
	q := s.view.queue
	q.Waiting = append([]job.ID{}, q.Waiting...)
	return q
}

// tellQueue publishes the line when it is another one than was told last.
func (s *Supervisor) tellQueue() {
	q := event.Queue{Waiting: s.waiting()}
	if by, why := s.queue.paused(); why != nil {
		q.Paused, q.By, q.Reason, q.Done, q.Hint = true, by, why.Reason, why.Done, why.Hint
	}
	told := s.queue.told
	if q.Paused == told.Paused && q.By == told.By && q.Reason == told.Reason && q.Done == told.Done && slices.Equal(q.Waiting, told.Waiting) {
		return
	}
	s.queue.told = q
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.queue = q
	sent := s.queueView()
	s.hub.Publish(event.Event{Type: event.TypeQueueChanged, Queue: &sent})
}

// Queue gives the line now.
func (s *Supervisor) Queue() event.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queueView()
}

// Pause keeps everything that waits from starting, also over a restart. What runs goes on.
func (s *Supervisor) Pause(ctx context.Context, reason string) (event.Queue, error) {
	if n := len([]rune(reason)); n > reasonMax {
		return event.Queue{}, job.Errorf(job.CodeOutOfRange, "the reason has %d characters, the limit is %d", n, reasonMax)
	}
	if reason == "" {
		reason = "somebody paused it"
	}
	return s.setPause(ctx, &pause{Reason: reason, Done: donePerson, Hint: hintResume})
}

// Resume lets the line go on, and gives a worker that does not start one more try. A pause that the disk asked for stays
// until there is space.
func (s *Supervisor) Resume(ctx context.Context) (event.Queue, error) {
	q, err := s.setPause(ctx, nil)
	if err != nil || q.By != "worker" {
		return q, err
	}
	if err := s.RestartWorker(ctx); err != nil {
		return q, err
	}
	// The worker told its new state before it answered, and the loop takes that before the next question.
	err = s.ask(ctx, s.tellQueue)
	return s.Queue(), err
}

func (s *Supervisor) setPause(ctx context.Context, p *pause) (event.Queue, error) {
	text := ""
	if p != nil {
		data, err := json.Marshal(p)
		if err != nil {
			return event.Queue{}, fmt.Errorf("encode the pause: %w", err)
		}
		text = string(data)
	}
	var refused error
	err := s.ask(ctx, func() {
		if refused = s.store.SetSetting(ctx, pauseKey, text); refused != nil {
			return
		}
		s.queue.person = p
		s.tellQueue()
	})
	if err := errors.Join(err, refused); err != nil {
		return event.Queue{}, err
	}
	return s.Queue(), nil
}

// recoverPause reads a pause back, and shows the line before the loop runs.
func (s *Supervisor) recoverPause(ctx context.Context) error {
	text, err := s.store.Setting(ctx, pauseKey)
	if err != nil {
		return fmt.Errorf("read the pause: %w", err)
	}
	if text != "" {
		p := &pause{Done: donePerson, Hint: hintResume}
		if err := json.Unmarshal([]byte(text), p); err != nil {
			return fmt.Errorf("stored pause: %w", err)
		}
		s.queue.person = p
	}
	s.tellQueue()
	return nil
}

// Move puts a waiting job in front of another one; an empty before is the front of the line.
func (s *Supervisor) Move(ctx context.Context, id, before job.ID) (job.Job, error) {
	var refused error
	err := s.ask(ctx, func() { refused = s.move(ctx, id, before) })
	if err := errors.Join(err, refused); err != nil {
		return job.Job{}, err
	}
	return s.Job(ctx, id)
}

func (s *Supervisor) move(ctx context.Context, id, before job.ID) error {
	line := s.waiting()
	for _, of := range []job.ID{id, before} {
		if of == "" || slices.Contains(line, of) {
			continue
		}
		j, err := s.Job(ctx, of)
		if err != nil {
			return err
		}
		return job.Errorf(job.CodeConflict, "job %s is %s and does not wait; only a queued job has a place in the line", of, j.State)
	}
	if id == before {
		return nil
	}
	orders := make([]int64, len(line))
	for i, of := range line {
		orders[i] = s.rows[of].Order
	}
	line = slices.DeleteFunc(line, func(of job.ID) bool { return of == id })
	line = slices.Insert(line, max(0, slices.Index(line, before)), id)
	// The line keeps its places and only the jobs change them: what runs stays in front of all.
	changed := map[job.ID]int64{}
	for i, of := range line {
		if s.rows[of].Order != orders[i] {
			changed[of] = orders[i]
		}
	}
	if err := s.store.Reorder(ctx, changed); err != nil {
		return err
	}
	for of, order := range changed {
		s.rows[of].Order = order
	}
	s.tellQueue()
	s.publish(s.rows[id])
	return nil
}

// Duplicate queues a new job with the recipe, the untouched pictures and the parent of another one, which may have
// ended. With another seed it is a variation.
func (s *Supervisor) Duplicate(ctx context.Context, id job.ID, otherSeed bool) (job.Job, error) {
	of, err := s.Job(ctx, id)
	if err != nil {
		return job.Job{}, err
	}
	sub := Submission{Recipe: of.Recipe, Parent: of.Parent}
	if otherSeed {
		sub.Recipe.Seed = nil // drawn anew
	}
	take := func(file, name string) (Upload, error) {
		f, err := s.store.OpenFile(id, file)
		if err != nil {
			return Upload{}, err
		}
		defer func() { _ = f.Close() }()
		return s.NewUpload(ctx, name, f)
	}
	for n, image := range of.Images {
		u, err := take(originalFile(n+1), image.Name)
		if err != nil {
			discardAll(sub)
			return job.Job{}, err
		}
		sub.Uploads = append(sub.Uploads, u)
	}
	if u, err := take(originalMask, store.MaskFile); err == nil {
		sub.Mask = &u
	} else if job.AsError(err).Code != job.CodeNotFound {
		discardAll(sub)
		return job.Job{}, err
	}
	return s.Submit(ctx, sub)
}

// unsaved keeps what the disk did not take, and holds the line until it did.
func (s *Supervisor) unsaved(row *entry, attempt *store.Attempt, why *job.Error) {
	l := s.queue.late[row.Job.ID]
	if l == nil {
		l = &late{}
		s.queue.late[row.Job.ID] = l
	}
	l.row = row
	if attempt != nil {
		l.attempts = append(l.attempts, *attempt)
	}
	s.queue.unsave = &pause{Reason: "what happened to a job cannot be written: " + why.Message, Done: doneDisk, Hint: why.Failure().Hint}
	s.Notice(job.Notice{Code: noticeStore, Message: "the state of a job could not be written: " + why.Message +
		"; it goes on in memory and is written when that is possible"})
}

// writeLate writes what the disk did not take before.
func (s *Supervisor) writeLate() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), recordTimeout)
	defer cancel()
	for id, l := range s.queue.late {
		for len(l.attempts) > 0 {
			if !recorded(s.store.Record(ctx, l.row.Row, &l.attempts[0])) {
				return
			}
			l.attempts = l.attempts[1:]
		}
		if !recorded(s.store.Record(ctx, l.row.Row, nil)) {
			return
		}
		delete(s.queue.late, id)
	}
	s.queue.unsave = nil
	s.Withdraw(noticeStore)
}

// recorded tells whether nothing is left to write; a job whose row is gone was removed.
func recorded(err error) bool { return err == nil || job.AsError(err).Code == job.CodeNotFound }

// written refuses what needs the row of a job while the disk holds an older one.
func (s *Supervisor) written(id job.ID) error {
	if s.queue.late[id] != nil {
		s.writeLate()
	}
	if s.queue.late[id] == nil {
		return nil
	}
	return job.Errorf(job.CodeDiskFull, "%s", s.queue.unsave.Reason).WithHint(s.queue.unsave.Hint)
}

// recheck looks whether a pause that heals by itself is over.
func (s *Supervisor) recheck() {
	s.tellStore()
	if s.queue.unsave != nil {
		s.writeLate()
	}
	if s.queue.disk != nil {
		s.roomToStart()
	}
}

// tellStore looks after the database's file, and tells what happened to it.
func (s *Supervisor) tellStore() {
	if err := s.store.Rescue(s.ctx); err != nil && s.ctx.Err() == nil {
		s.log.Error("the database", "err", err)
	}
	all := s.store.Notices() // it only grows
	for _, n := range all[s.queue.storeTold:] {
		s.Notice(n)
	}
	s.queue.storeTold = len(all)
}

// roomToStart tells whether the disk has the space that a job needs, and holds the line while it has not.
func (s *Supervisor) roomToStart() bool {
	free, err := s.cfg.DiskFree()
	if err != nil || s.cfg.DiskFloor < 0 || free >= s.cfg.DiskFloor {
		s.queue.disk = nil // a system that does not tell must not stop the queue
		return true
	}
	s.queue.disk = &pause{Reason: fmt.Sprintf("the disk has %s free and an edit needs %s: %s are missing", host.Gigabytes(free),
		host.Gigabytes(s.cfg.DiskFloor), host.Gigabytes(s.cfg.DiskFloor-free)), Done: doneDisk, Hint: "free some space, or run: qie cleanup --list"}
	return false
}

func diskFree(dir string) (int64, error) {
	d, err := disk.Usage(dir)
	if err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	return int64(d.Free), nil
}
