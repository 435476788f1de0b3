package event

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"qie/supervisor/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func changed(id string, state job.State) Event {
	return Event{Type: TypeJobChanged, Job: &job.Job{ID: job.ID(id), State: state}}
}

func progress(id string, step int) Event {
	return Event{Type: TypeJobProgress, Progress: &Progress{Job: job.ID(id), Step: step}}
}

func state() State { return State{Version: "snapshot"} }

func next(t *testing.T, s *Subscription) []Event {
	t.Helper()
	<-s.C()
	events, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func shape(events []Event) string {
	text := ""
	for _, e := range events {
		text += fmt.Sprintf("%d:%s ", e.Seq, e.Type)
	}
	return text
}

func TestHub_SnapshotThenEvents(t *testing.T) {
	h := New("boot")
	h.Publish(changed("a", job.Queued))
	s := h.Subscribe("", 0, state)
	defer s.Close()
	first := next(t, s)
	if shape(first) != "1:state " || first[0].State.Version != "snapshot" || first[0].State.Epoch != "boot" {
		t.Fatalf("first frames %s", shape(first))
	}
	h.Publish(changed("a", job.Running))
	if got := shape(next(t, s)); got != "2:job.changed " {
		t.Errorf("then %s", got)
	}
}

func TestHub_ReconnectLosesNothing(t *testing.T) {
	h := New("boot")
	for range 5 {
		h.Publish(changed("a", job.Running))
	}
	h.Publish(progress("a", 1))
	h.Publish(progress("a", 2))
	s := h.Subscribe("boot", 3, state)
	defer s.Close()
	if got := shape(next(t, s)); got != "4:job.changed 5:job.changed 7:job.progress " {
		t.Errorf("replay %s", got)
	}
	tests := []struct {
		name  string
		epoch string
		seq   int64
	}{
		{"another boot", "old", 3},
		{"a seq from the future", "boot", 99},
		{"no epoch", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := h.Subscribe(tt.epoch, tt.seq, state)
			defer s.Close()
			if got := shape(next(t, s)); got != "7:state " {
				t.Errorf("got %s", got)
			}
		})
	}
	same := h.Subscribe("boot", 7, state)
	defer same.Close()
	if events, err := same.Next(); err != nil || len(events) != 0 {
		t.Errorf("a client that has everything got %s, %v", shape(events), err)
	}
}

func TestHub_RingForgetsTheOldest(t *testing.T) {
	h := New("boot")
	for range RingSize + 10 {
		h.Publish(changed("a", job.Running))
	}
	for seq, want := range map[int64]int{10: RingSize, 9: 1} {
		s := h.Subscribe("boot", seq, state)
		if events := next(t, s); len(events) != want {
			t.Errorf("from seq %d came %d events, want %d", seq, len(events), want)
		}
		s.Close()
	}
}

func TestHub_ProgressIsLatestWins(t *testing.T) {
	h := New("boot")
	s := h.Subscribe("boot", 0, state)
	defer s.Close()
	for step := range 1000 {
		h.Publish(progress("a", step))
		h.Publish(progress("b", step))
	}
	events := next(t, s)
	if len(events) != 2 || events[0].Progress.Step != 999 || events[1].Progress.Step != 999 {
		t.Errorf("got %s", shape(events))
	}
}

func TestHub_NoProgressAfterTheEnd(t *testing.T) {
	h := New("boot")
	s := h.Subscribe("boot", 0, state)
	defer s.Close()
	h.Publish(progress("a", 1))
	h.Publish(changed("a", job.Succeeded))
	if got := shape(next(t, s)); got != "2:job.changed " {
		t.Errorf("got %s", got)
	}
	late := h.Subscribe("boot", 0, state)
	defer late.Close()
	if got := shape(next(t, late)); got != "2:job.changed " {
		t.Errorf("a late client got %s", got)
	}
}

func TestHub_SlowClientHasToResync(t *testing.T) {
	h := New("boot")
	slow, fast := h.Subscribe("boot", 0, state), h.Subscribe("boot", 0, state)
	defer fast.Close()
	for range queueMax + 1 {
		h.Publish(changed("a", job.Running))
		next(t, fast)
	}
	<-slow.C()
	if _, err := slow.Next(); !errors.Is(err, ErrResync) {
		t.Errorf("the slow client got %v", err)
	}
	if n := h.Subscribers(); n != 1 {
		t.Errorf("%d subscribers are left, want 1", n)
	}
}

func TestHub_CloseEndsEverybody(t *testing.T) {
	h := New("boot")
	s := h.Subscribe("", 0, state)
	h.Close()
	<-s.C()
	if _, err := s.Next(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	s.Close()
	late := h.Subscribe("", 0, state)
	<-late.C()
	if _, err := late.Next(); !errors.Is(err, ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
	h.Publish(changed("a", job.Queued))
}

func TestHub_FiftyClientsInAStorm(t *testing.T) {
	h := New("boot")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			s := h.Subscribe("", 0, state)
			defer s.Close()
			var seq int64
			for seq < 500 {
				<-s.C()
				events, err := s.Next()
				if err != nil {
					return // resync: the storm was faster
				}
				for _, e := range events {
					if e.Seq < seq {
						t.Errorf("seq %d after %d", e.Seq, seq)
					}
					seq = e.Seq
				}
			}
		})
	}
	for range 250 {
		h.Publish(changed("a", job.Running))
		h.Publish(progress("a", 1))
	}
	h.Close()
	all.Wait()
	if n := h.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestHub_TheLineIsLatestWins(t *testing.T) {
	h := New("boot")
	s := h.Subscribe("boot", 0, state)
	defer s.Close()
	for range 3 {
		h.Publish(Event{Type: TypeQueueChanged, Queue: &Queue{Paused: true}})
	}
	if got := shape(next(t, s)); got != "3:queue.changed " {
		t.Errorf("got %s", got)
	}
}

// A snapshot and the events behind it fit together whatever is published meanwhile: nothing is missing, nothing comes
// twice. Publish and Subscribe happen under the lock of the state, as the facade does it.
func TestHub_SnapshotAndEventsHaveNoGap(t *testing.T) {
	h := New("boot")
	var mu sync.Mutex
	count := 0
	const all = 2000
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for at := 0; at < all; {
				mu.Lock()
				s := h.Subscribe("", 0, func() State { return State{Version: fmt.Sprint(count)} })
				mu.Unlock()
				for range 5 { // a few looks, then it comes back as a page that was reloaded
					<-s.C()
					events, err := s.Next()
					if err != nil {
						break
					}
					for _, e := range events {
						switch e.Type {
						case TypeState:
							if _, err := fmt.Sscan(e.State.Version, &at); err != nil {
								t.Error(err)
							}
						case TypeJobChanged:
							if e.Job.Step != at+1 {
								t.Errorf("event %d came behind %d", e.Job.Step, at)
							}
							at = e.Job.Step
						}
					}
					if at == all {
						break
					}
				}
				s.Close()
			}
		})
	}
	for range all {
		mu.Lock()
		count++
		e := changed("a", job.Running)
		e.Job.Step = count
		h.Publish(e)
		mu.Unlock()
	}
	clients.Wait()
}

func TestEvent_OneFrameForAll(t *testing.T) {
	h := New("boot")
	a, b := h.Subscribe("boot", 0, state), h.Subscribe("boot", 0, state)
	defer a.Close()
	defer b.Close()
	h.Publish(changed("a", job.Running))
	one, err := next(t, a)[0].Frame()
	if err != nil {
		t.Fatal(err)
	}
	two, err := next(t, b)[0].Frame()
	if err != nil || &one[0] != &two[0] {
		t.Errorf("two clients, two frames (%v)", err)
	}
	late := h.Subscribe("boot", 0, state)
	defer late.Close()
	if again, err := next(t, late)[0].Frame(); err != nil || string(again) != string(one) {
		t.Errorf("replayed as %s, %v", again, err)
	}
}
