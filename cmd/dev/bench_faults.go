package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"qie/api"
	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

const (
	noticedKills  = 100 // of a fake worker: what is measured is the supervisor
	helloKills    = 4   // of the real one; the fifth within ten minutes opens the breaker
	helloPatience = time.Minute
	insertKills   = 300
	insertSpan    = 60 * time.Millisecond
	listeners     = 200
	deafListeners = 20
	eventsFor     = 20 * time.Second
	eventEvery    = 20 * time.Millisecond
	eventBytes    = 280
	healthzEvery  = 20 * time.Millisecond
)

// bounds of the figures; a machine under load may miss them, and the bench says so.
const (
	noticedMax    = 20 * time.Millisecond
	helloMax      = time.Second
	eventMax      = 50 * time.Millisecond
	eventBytesMax = 64e6
	healthzMax    = 50 * time.Millisecond
	shareMax      = 0.02
)

// bound prints a figure beside what it must be.
func bound(name string, ok bool, format string, args ...any) {
	mark := ""
	if !ok {
		mark = "  MISSED"
	}
	line(name, "%s%s", fmt.Sprintf(format, args...), mark)
}

// quantile of sorted values.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// health asks for /healthz until stop, and gives the times.
type health struct {
	stop func()
	done chan []time.Duration
}

// askHealth asks whatever address serves now; an empty one is skipped.
func askHealth(ctx context.Context, address func() string) *health {
	ctx, stop := context.WithCancel(ctx)
	h := &health{stop, make(chan []time.Duration, 1)}
	go func() {
		var took []time.Duration
		client := http.Client{Timeout: 10 * time.Second}
		for ctx.Err() == nil {
			pause(ctx, healthzEvery)
			base := address()
			if base == "" {
				continue
			}
			begin := time.Now()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
			if err != nil {
				continue
			}
			res, err := client.Do(req)
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			took = append(took, time.Since(begin))
		}
		h.done <- took
	}()
	return h
}

func (h *health) report(during string) {
	h.stop()
	took := <-h.done
	slices.Sort(took)
	bound("GET /healthz "+during+", p99, worst of "+strconv.Itoa(len(took)), quantile(took, 1) <= healthzMax, "%.1f ms, %.1f ms",
		ms(quantile(took, 0.99)), ms(quantile(took, 1)))
}

// benchDeaths kills a fake worker and hears of it on the live stream.
func benchDeaths(ctx context.Context) error {
	s, err := newSoak(ctx, 1, func(string, ...any) {})
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.start(ctx); err != nil {
		return err
	}
	frames, hangUp, err := listen(ctx, s.address())
	if err != nil {
		return err
	}
	defer hangUp()
	h := askHealth(ctx, s.address)
	var told []time.Duration
	var killed time.Time
	dying, last := 0, 0 // pids: of whose death nothing is known yet, and of the last that was killed
	for len(told) < noticedKills {
		f, open := <-frames
		if !open {
			return errors.New("the live events ended")
		}
		w := f.Worker
		if w == nil && f.State != nil {
			w = &f.State.Worker
		}
		if w == nil {
			continue
		}
		if dying != 0 && w.PID != dying {
			told, dying = append(told, f.at.Sub(killed)), 0
		}
		if w.State == "broken" { // the breaker does what it is for, and a person presses the button
			if _, err := s.ask(ctx, http.MethodPost, "/api/v1/worker/restart", "", nil, nil); err != nil {
				return err
			}
		}
		if w.State == "cold" && w.PID != last {
			if _, now := s.children(s.cmd.Process.Pid); now != w.PID {
				continue // an old event: its pid may be anybody's by now
			}
			dying, last, killed = w.PID, w.PID, time.Now()
			if err := syscall.Kill(dying, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	slices.Sort(told)
	bound(fmt.Sprintf("kill -9 of the worker until the page knows, p50, worst of %d", len(told)), quantile(told, 1) <= noticedMax,
		"%.1f ms, %.1f ms", ms(quantile(told, 0.5)), ms(quantile(told, 1)))
	h.report("under these kills")
	return nil
}

// listen reads the live events of a server.
func listen(ctx context.Context, base string) (<-chan frame, func(), error) {
	live, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/api/v1/live", nil)
	if err != nil {
		return nil, nil, fmt.Errorf("live events: %w", err)
	}
	_ = res.Body.Close()
	frames := make(chan frame, 1024)
	go func() {
		defer close(frames)
		for {
			var e event.Event
			if live.ReadJSON(&e) != nil {
				return
			}
			frames <- frame{e, time.Now()}
		}
	}()
	return frames, func() { _ = live.Close() }, nil
}

// hellos kills the real worker while it is idle: hello, imports and the load are told apart.
func (b *benchmark) hellos(ctx context.Context, frames <-chan frame) error {
	var hello, imports []time.Duration
	for range helloKills {
		state, err := b.state(ctx)
		if err != nil {
			return err
		}
		killed := time.Now()
		if err := syscall.Kill(state.Worker.PID, syscall.SIGKILL); err != nil {
			return err
		}
		var said time.Time
		stuck := time.After(helloPatience)
		for cold := false; !cold; {
			var f frame
			select {
			case f = <-frames:
			case <-stuck:
				now, err := b.state(ctx)
				return errors.Join(fmt.Errorf("no worker %s after a kill: %+v", helloPatience, now.Worker), err)
			}
			if f.Worker == nil || f.Worker.Generation == state.Worker.Generation {
				continue
			}
			if f.Worker.State == "probing" && said.IsZero() {
				said = f.at
			}
			if f.Worker.State == "cold" {
				hello, imports, cold = append(hello, said.Sub(killed)), append(imports, f.at.Sub(said)), true
			}
		}
		// A finished job ends the row of deaths, so that the next restart comes at once as well.
		if _, err := b.edit(ctx, frames, "edit after the kill, loading included", 4); err != nil {
			return err
		}
	}
	slices.Sort(hello)
	slices.Sort(imports)
	bound(fmt.Sprintf("kill -9 until hello of the next worker, median, worst of %d", len(hello)), quantile(hello, 1) <= helloMax,
		"%.2f s, %.2f s", quantile(hello, 0.5).Seconds(), quantile(hello, 1).Seconds())
	line("  from there until it has imported torch, median", "%.1f s", quantile(imports, 0.5).Seconds())
	return nil
}

const (
	insertRole = "QIE_BENCH_INSERTS" // the data folder
	eventRole  = "QIE_BENCH_EVENTS"  // the data folder
)

// benchRole runs one of the bench's own processes, and never returns, when this process was started as one.
func benchRole() {
	var err error
	switch {
	case os.Getenv(insertRole) != "":
		err = insertForever(os.Getenv(insertRole))
	case os.Getenv(eventRole) != "":
		err = tellForever(os.Getenv(eventRole))
	default:
		return
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// insertForever puts rows into the store and says each id behind its commit.
func insertForever(home string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, home, filepath.Join(home, "jobs"))
	if err != nil {
		return err
	}
	for {
		row := store.Row{Job: job.Job{ID: job.NewID(), State: job.Queued, Recipe: job.Recipe{Prompt: "x"}, CreatedAt: time.Now().UTC()}}
		if err := s.Insert(ctx, &row); err != nil {
			return err
		}
		fmt.Println(row.Job.ID)
	}
}

// benchInserts kills a writer of SQLite rows at random instants and looks for what it had acknowledged.
func benchInserts(ctx context.Context, dir string) error {
	home := filepath.Join(dir, "inserts")
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("own binary: %w", err)
	}
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var acked []job.ID
	for range insertKills {
		cmd := exec.CommandContext(ctx, exe)
		cmd.Env = append(os.Environ(), insertRole+"="+home)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return fmt.Errorf("start the writer: %w", err)
		}
		var once sync.Once
		for lines := bufio.NewScanner(out); lines.Scan(); {
			acked = append(acked, job.ID(lines.Text()))
			once.Do(func() { // from its first row on
				time.AfterFunc(time.Duration(rnd.Int64N(int64(insertSpan))), func() { _ = cmd.Process.Kill() })
			})
		}
		_ = cmd.Wait()
	}
	s, err := store.Open(ctx, home, filepath.Join(home, "jobs")) // it checks the whole database
	if err != nil {
		return err
	}
	lost := 0
	for _, id := range acked {
		if _, err := s.Row(ctx, id); err != nil {
			lost++
		}
	}
	bound(fmt.Sprintf("lost of %d acknowledged inserts over %d kills", len(acked), insertKills), lost == 0 && len(s.Notices()) == 0,
		"%d, %d repairs", lost, len(s.Notices()))
	return s.Close()
}

// tellForever serves a supervisor that tells a notice with the time in it, again and again, and says its address.
func tellForever(home string) error {
	ctx := context.Background()
	model := filepath.Join(home, "none")
	cfg := supervisor.Config{Home: home, Version: "bench", Device: "cpu", DiskFloor: -1}
	st.Fake(&cfg, model)
	s, err := supervisor.Open(ctx, cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	go func() {
		padding := strings.Repeat("x", eventBytes)
		for range time.Tick(eventEvery) {
			s.Notice(job.Notice{Code: "bench", Message: strconv.FormatInt(time.Now().UnixNano(), 10) + " " + padding})
		}
	}()
	return api.NewServer(ctx, api.New(api.Config{Supervisor: s, Host: "127.0.0.1", Version: "bench"})).Serve(listener)
}

// benchEvents measures how long an event takes to 200 listeners, of whom 20 never read.
func benchEvents(ctx context.Context, dir string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("own binary: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), eventRole+"="+filepath.Join(dir, "events"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start the teller: %w", err)
	}
	defer func() { end(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	lines.Scan()
	base := lines.Text()
	pause(ctx, 2*time.Second)
	before := rssOf(cmd.Process.Pid)
	h := askHealth(ctx, func() string { return base })
	var readers sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	deadline := time.Now().Add(eventsFor)
	for n := range listeners {
		conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/api/v1/live", nil)
		if err != nil {
			return fmt.Errorf("listener %d: %w", n, err)
		}
		_ = res.Body.Close()
		defer func() { _ = conn.Close() }()
		if n < deafListeners {
			continue
		}
		readers.Go(func() {
			var own []time.Duration
			_ = conn.SetReadDeadline(deadline)
			for {
				_, data, err := conn.ReadMessage()
				if err != nil {
					break
				}
				if sent, ok := stamp(data); ok {
					own = append(own, time.Since(sent))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	worst := 0.0
	for time.Now().Before(deadline) {
		worst = max(worst, rssOf(cmd.Process.Pid))
		pause(ctx, 200*time.Millisecond)
	}
	readers.Wait()
	slices.Sort(took)
	bound(fmt.Sprintf("event to a page, %d pages of which %d never read, p50, p99", listeners, deafListeners),
		quantile(took, 0.99) <= eventMax && len(took) > listeners, "%.1f ms, %.1f ms (%d events)", ms(quantile(took, 0.5)), ms(quantile(took, 0.99)), len(took))
	bound("  the memory that they cost", worst-before < eventBytesMax, "%.0f MB", (worst-before)/1e6)
	h.report("meanwhile")
	return nil
}

// stamp reads the time out of a notice of tellForever without decoding the frame: 200 listeners share the cores.
func stamp(data []byte) (time.Time, bool) {
	if !bytes.HasPrefix(data, []byte(`{"type":"notice"`)) {
		return time.Time{}, false // the first frame is a state
	}
	_, rest, ok := strings.Cut(string(data), `"code":"bench","message":"`)
	number, _, _ := strings.Cut(rest, " ")
	at, err := strconv.ParseInt(number, 10, 64)
	return time.Unix(0, at), ok && err == nil
}

func rssOf(pid int) float64 {
	s := soaker{cmd: &exec.Cmd{Process: &os.Process{Pid: pid}}}
	return s.rss()
}
