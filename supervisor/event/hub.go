package event

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"qie/supervisor/job"
)

// RingSize is how many lifecycle events a reconnecting client may have missed.
const RingSize = 4096

// queueMax is how many lifecycle events one slow client may be behind before it has to start again.
const queueMax = 256

// ErrResync tells a client that it lost events: close it with 4409, it comes back and gets a snapshot.
var ErrResync = errors.New("the client was too slow and has to take a new snapshot")

// ErrClosed ends a subscription in order.
var ErrClosed = errors.New("the subscription is closed")

// Hub gives every event its place in the order and hands it to the subscribers. Publish never waits for one.
type Hub struct {
	epoch string

	mu     sync.Mutex
	seq    int64
	ring   []Event // lifecycle events, oldest first
	lost   int64   // highest seq that the ring no longer holds
	latest map[slot]Event
	subs   map[*Subscription]struct{}
	closed bool
}

// slot is where the newest event of a kind replaces the one before.
type slot struct {
	kind Type
	key  string
}

// New makes a hub for one boot.
func New(epoch string) *Hub {
	return &Hub{epoch: epoch, latest: map[slot]Event{}, subs: map[*Subscription]struct{}{}}
}

// Epoch is the boot id of this hub.
func (h *Hub) Epoch() string { return h.epoch }

// Seq is the number of the newest event.
func (h *Hub) Seq() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seq
}

// Subscribers tells how many listen now.
func (h *Hub) Subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// slotOf names the slot of an event that the next of its kind replaces; false for lifecycle events.
func slotOf(e Event) (slot, bool) {
	switch e.Type {
	case TypeJobProgress:
		return slot{e.Type, string(e.Progress.Job)}, true
	case TypeModelProgress:
		return slot{e.Type, e.Model.ID}, true
	case TypeSystemGauges, TypeQueueChanged:
		return slot{kind: e.Type}, true
	}
	return slot{}, false
}

// Publish numbers the event and offers it to everybody. The caller holds the lock of the state that the event is
// about, so that a snapshot taken under the same lock is never older or newer than its seq.
func (h *Hub) Publish(e Event) Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return e
	}
	h.seq++
	e.Epoch, e.Seq = h.epoch, h.seq
	kept := e // what waits for a later client holds no frame: the ring would double
	e.once = &frame{}
	if s, ok := slotOf(e); ok {
		h.latest[s] = kept
		for sub := range h.subs {
			sub.slots[s] = e
			sub.signal()
		}
		return kept
	}
	h.forget(e)
	h.ring = append(h.ring, kept)
	if over := len(h.ring) - RingSize; over > 0 {
		h.lost = h.ring[over-1].Seq
		h.ring = slices.Delete(h.ring, 0, over)
	}
	for sub := range h.subs {
		sub.push(e)
	}
	return kept
}

// forget drops the progress of a job that no longer runs, so that no client sees it after the end.
func (h *Hub) forget(e Event) {
	var id job.ID
	switch {
	case e.Type == TypeJobRemoved:
		id = e.ID
	case e.Type == TypeJobChanged && !e.Job.State.Active():
		id = e.Job.ID
	default:
		return
	}
	s := slot{TypeJobProgress, string(id)}
	delete(h.latest, s)
	for sub := range h.subs {
		delete(sub.slots, s)
	}
}

// Subscribe begins after seq of epoch when the ring covers that, else with one state frame. The caller holds the lock
// that Publish is called under; snapshot must not take it.
func (h *Hub) Subscribe(epoch string, seq int64, snapshot func() State) *Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	sub := &Subscription{hub: h, wake: make(chan struct{}, 1), slots: map[slot]Event{}}
	if h.closed {
		sub.err = ErrClosed
		sub.signal()
		return sub
	}
	covered := epoch == h.epoch && seq >= h.lost && seq <= h.seq
	if covered {
		from, _ := slices.BinarySearchFunc(h.ring, seq+1, func(e Event, s int64) int { return cmp.Compare(e.Seq, s) })
		sub.queue = slices.Clone(h.ring[from:])
		for s, e := range h.latest {
			if e.Seq > seq {
				sub.slots[s] = e
			}
		}
	} else {
		state := snapshot()
		state.Epoch, state.Seq = h.epoch, h.seq
		sub.queue = []Event{{Type: TypeState, Epoch: h.epoch, Seq: h.seq, State: &state}}
	}
	sub.allowed = len(sub.queue) + queueMax
	if len(sub.queue)+len(sub.slots) > 0 {
		sub.signal()
	}
	h.subs[sub] = struct{}{}
	return sub
}

// Close ends every subscription.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for sub := range h.subs {
		sub.end(ErrClosed)
	}
}

// Subscription is one client's place in the stream.
type Subscription struct {
	hub  *Hub
	wake chan struct{}

	// guarded by hub.mu
	queue   []Event
	slots   map[slot]Event
	allowed int
	err     error
}

// C wakes the reader: something waits in Next, or the subscription ended.
func (s *Subscription) C() <-chan struct{} { return s.wake }

// Next gives what waits, in order of seq; nothing waiting is an empty answer. After an error the subscription is over.
func (s *Subscription) Next() ([]Event, error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	events := s.queue
	for _, e := range s.slots {
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	s.queue, s.allowed = nil, queueMax
	clear(s.slots)
	return events, nil
}

// Close ends the subscription; twice is once.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.end(ErrClosed)
}

func (s *Subscription) push(e Event) {
	if len(s.queue) >= s.allowed {
		s.end(ErrResync)
		return
	}
	s.queue = append(s.queue, e)
	s.signal()
}

func (s *Subscription) end(err error) {
	if s.err != nil {
		return
	}
	s.err, s.queue = err, nil
	clear(s.slots)
	delete(s.hub.subs, s)
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
