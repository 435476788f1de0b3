package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"qie/supervisor/doctor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

// The names of these tests carry the numbers of the fault table in the design (supervision.md B).

func (r *rig) notice(n int, size int) {
	r.sup.Notice(job.Notice{Code: "test", Message: fmt.Sprintf("%d %s", n, strings.Repeat("x", size))})
}

func noticeNumber(e event.Event) (n int, ok bool) {
	if e.Type != event.TypeNotice || e.Notice.Code != "test" {
		return 0, false
	}
	_, err := fmt.Sscan(e.Notice.Message, &n)
	return n, err == nil
}

// A tab that stops reading: it is told to come back (4409), the other tab misses nothing, and the worker's lines are
// read all the time.
func TestFault47_StalledTabDelaysNobody(t *testing.T) {
	r := newRig(t, rigConfig{})
	small := websocket.Dialer{HandshakeTimeout: st.Patience, ReadBufferSize: 512, NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		}}
		return d.DialContext(ctx, network, addr)
	}}
	stalled, _, err := small.Dial("ws://"+r.host+"/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	good := r.dial(t, "/api/v1/live")
	good.event(t)
	j := r.submit(t, "fake: step takes 20ms")
	var slowest time.Duration
	const batches, batch = 60, 20
	number := 0
	var seen []event.Event
	for range batches {
		for range batch {
			number++
			begin := time.Now()
			r.notice(number, 16<<10)
			slowest = max(slowest, time.Since(begin))
		}
		seen = append(seen, good.until(t, func(e event.Event) bool { n, ok := noticeNumber(e); return ok && n == number })...)
	}
	want := 0
	for _, e := range seen {
		if n, ok := noticeNumber(e); ok {
			if want++; n != want {
				t.Fatalf("notice %d came where %d belongs", n, want)
			}
		}
	}
	if !slices.ContainsFunc(seen, ended(j.ID)) {
		good.until(t, ended(j.ID))
	}
	if end := st.WaitEnd(t, r.sup, j.ID); end.State != job.Succeeded {
		t.Errorf("the job ended as %s", end.State)
	}
	if slowest > time.Second {
		t.Errorf("to tell took %v: somebody was waited for", slowest)
	}
	t.Logf("%d events of 16 KiB, the slowest took %v to tell", number, slowest)
	// The tab wakes up: what was sent before, then the close.
	for {
		_ = stalled.SetReadDeadline(time.Now().Add(st.Patience))
		_, _, err := stalled.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		switch {
		case !errors.As(err, &closed), closed.Code == websocket.CloseAbnormalClosure:
			t.Logf("cut off: %v", err) // it slept longer than a write may take: no word goes through a full socket
		case closed.Code != closeLost:
			t.Errorf("closed with %d, want %d", closed.Code, closeLost)
		}
		break
	}
	if again := r.dial(t, "/api/v1/live").event(t); again.Type != event.TypeState || len(again.State.Jobs) != 1 {
		t.Errorf("it came back to %+v", again)
	}
}

// openFiles counts this process's descriptors; -1 where the system does not tell.
func openFiles() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if list, err := os.ReadDir(dir); err == nil {
			return len(list)
		}
	}
	return -1
}

// backTo waits until goroutines and descriptors are what they were.
func backTo(t *testing.T, goroutines, files int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(st.Patience)
	for {
		g, f := runtime.NumGoroutine(), openFiles()
		if g <= goroutines+2 && f <= files+2 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d goroutines and %d descriptors are left, before: %d and %d", g, f, goroutines, files)
		}
	}
}

// Fifty tabs open and close in a storm, then a thousand listen at once: everybody gets everything, nothing leaks.
func TestFault49_TabsStorm(t *testing.T) {
	r := newRig(t, rigConfig{})
	warm := r.dial(t, "/api/v1/live")
	warm.event(t)
	_ = warm.Close()
	st.Until(t, r.sup, "a worker", func() bool { return r.sup.State().Worker.State == "cold" })
	r.client.CloseIdleConnections()
	goroutines, descriptors := runtime.NumGoroutine(), openFiles()

	for range 4 {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				conn, _, err := r.tryDial("/api/v1/live")
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 { // half of them go without a word, in the middle of the first frame
					_, _, _ = conn.ReadMessage()
				}
				_ = conn.Close()
			})
		}
		all.Wait()
	}
	backTo(t, goroutines, descriptors)

	const sockets, events = 1000, 5
	conns := make([]*websocket.Conn, sockets)
	var dials sync.WaitGroup
	next := make(chan int)
	for range 16 {
		dials.Go(func() {
			for i := range next {
				conn, _, err := r.tryDial("/api/v1/live")
				if err != nil {
					t.Error(err)
					continue
				}
				conns[i] = conn
			}
		})
	}
	for i := range conns {
		next <- i
	}
	close(next)
	dials.Wait()
	if t.Failed() {
		t.FailNow()
	}
	st.Until(t, r.sup, "a thousand listeners", func() bool { return r.sup.System().Listeners >= sockets })
	var sent [events]atomic.Int64
	took := make([][]time.Duration, sockets)
	var readers sync.WaitGroup
	for i, conn := range conns {
		readers.Go(func() {
			s := socket{conn}
			for {
				var e event.Event
				_ = s.SetReadDeadline(time.Now().Add(st.Patience))
				if err := s.ReadJSON(&e); err != nil {
					t.Errorf("socket %d: %v", i, err)
					return
				}
				if n, ok := noticeNumber(e); ok {
					took[i] = append(took[i], time.Since(time.Unix(0, sent[n].Load())))
					if n == events-1 {
						return
					}
				}
			}
		})
	}
	for n := range events {
		sent[n].Store(time.Now().UnixNano())
		r.notice(n, 200)
	}
	readers.Wait()
	var all []time.Duration
	for i, list := range took {
		if len(list) != events {
			t.Errorf("socket %d got %d of %d events", i, len(list), events)
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	if len(all) > 0 {
		t.Logf("1,000 sockets: event to client p50 %v, p99 %v (clients in the same process)", all[len(all)/2], all[len(all)*99/100])
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	backTo(t, goroutines, descriptors)
}

// A page that comes back in mid-job sees the step in its first frame.
func TestFault48_RefreshShowsTheStep(t *testing.T) {
	r := newRig(t, rigConfig{})
	j := r.held(t)
	begin := time.Now()
	first := r.dial(t, "/api/v1/live").event(t)
	took := time.Since(begin)
	if first.Type != event.TypeState || len(first.State.Jobs) != 1 || first.State.Jobs[0].Step != 1 || first.State.Jobs[0].Phase != job.Denoise {
		t.Errorf("first frame %+v", first)
	}
	t.Logf("dial and first frame took %v", took)
	r.cancel(t, j.ID)
}

// A handler that panics: 500 with no text of the inside, and the worker does not notice.
func TestFault52_PanicInAHandler(t *testing.T) {
	r := newRig(t, rigConfig{api: Config{Doctor: func(context.Context) doctor.Diagnosis { panic("secret inside") }}})
	j := r.held(t)
	worker := r.sup.State().Worker
	for range 3 {
		a := r.get(t, "/api/v1/doctor")
		if a.status != http.StatusInternalServerError || a.code(t) != string(job.CodeInternal) || strings.Contains(string(a.body), "secret") {
			t.Errorf("panic: %d %s", a.status, a.body)
		}
	}
	if now := r.sup.State().Worker; now.PID != worker.PID || now.Generation != worker.Generation || now.State != "busy" {
		t.Errorf("the worker is %+v, before %+v", now, worker)
	}
	if a := r.get(t, "/healthz"); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
	r.cancel(t, j.ID)
	r.submit(t, "make it sepia")
}
