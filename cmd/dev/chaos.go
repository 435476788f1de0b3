package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/shirou/gopsutil/v3/process"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

const (
	chaosGap = 3 * time.Second // the longest pause between two blows
	// A round is half with deaths of the supervisor and half without: memory is watched in the second half.
	chaosRounds = 6
	chaosWarm   = 4 // of the second half, this fraction is the warm-up
	// diskRoom is how large the data folder's file system is between two full disks: more than qie wants free.
	diskRoom  = "8g"
	chaosTabs = 12
)

// harm is what a client writes into a prompt now and then: the fake worker does it while it works on that job.
var harm = []string{"at step 1: flood 4", "at step 1: garbage", "at step 1: glued", "at step 1: binary", "at step 1: half",
	"at step 1: huge 2", "at result: wronghash", "at result: missing", "at step 1: exit 0", "at step 2: kill",
	"at step 1: error oom_run fatal", "at step 1: stale", "at step 1: signal SEGV", "at step 1: print 17 %",
	"at accepted: grandchild; at step 2: kill", "at save: error input_bad", "at step 1: deafcancel"}

// blow is one thing that happens to the program, with its share.
type blow struct {
	name  string
	share int
	do    func(context.Context) error
	// deadly ones end the supervisor; they stay away while its memory is watched.
	deadly bool
}

func (s *soaker) blows() []blow {
	kill := func(ctx context.Context) error { return s.kill(ctx) }
	list := []blow{
		{"kill", 6, kill, true},
		{"stop and start in order", 1, s.again, true},
		{"worker killed", 5, s.killChild(false), false},
		{"guard killed", 3, s.killChild(true), false},
		{"worker stopped", 3, s.freezeWorker, false},
		{"supervisor stopped", 3, s.freezeSupervisor, false},
		{"queue paused", 4, s.pauseQueue, false},
		{"job moved", 8, s.move, false},
		{"worker restarted by a person", 2, s.press("/api/v1/worker/restart"), false},
		{"weights dropped by a person", 2, s.press("/api/v1/worker/unload"), false},
		{"tabs that read nothing", 2, s.tabs, false},
	}
	if s.mounted {
		list = append(list, blow{"disk full", 4, s.fullDisk, false})
	}
	return list
}

// chaos strikes for so long while clients work, and then looks whether the word was kept.
func (s *soaker) chaos(ctx context.Context, lasting time.Duration) error {
	begin := time.Now()
	s.say("chaos: %v, seed %d, %s", lasting, s.seed, begin.UTC().Format(time.DateTime))
	s.habits = habits{harm: true, pace: 1500 * time.Millisecond, look: 50 * time.Millisecond}
	if err := s.mount(); err != nil {
		s.say("chaos: no full disks: %v", err)
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	stop, enough := context.WithCancel(ctx)
	defer enough()
	for n := range uint64(soakClients) {
		s.working.Go(func() { s.client(ctx, stop, n) })
	}
	done := map[string]int{}
	var memory drift
	var err error
	told := begin
	for err == nil && ctx.Err() == nil && time.Since(begin) < lasting {
		round := lasting / chaosRounds
		inside := time.Since(begin) % round
		calm := inside > round/2
		pause(ctx, time.Duration(s.random(int(chaosGap))))
		b := s.choose(calm)
		done[b.name]++
		if err = b.do(ctx); err != nil {
			err = fmt.Errorf("%s: %w", b.name, err)
		}
		if err == nil {
			err = s.gone()
		}
		if s.repair(ctx) {
			done["broken worker restarted by a person"]++
		}
		if calm && inside > round/2+round/2/chaosWarm {
			memory.add(int(time.Since(begin)/round), time.Since(begin), s.rss())
		}
		if time.Since(told) > lasting/12 {
			told = time.Now()
			s.say("  %4.0f s: %d jobs, %d faults, %.0f MB", time.Since(begin).Seconds(), s.known(), s.faulty(), s.rss()/1e6)
		}
	}
	enough()
	if err == nil {
		_, _ = s.ask(ctx, http.MethodPost, "/api/v1/queue/resume", "", nil, nil)
	}
	mending, mended := context.WithCancel(ctx)
	go func() { // whoever waits for an end also needs a worker
		for mending.Err() == nil {
			s.repair(mending)
			pause(mending, time.Second)
		}
	}()
	s.working.Wait()
	s.watch.Wait()
	if err == nil {
		err = s.verify(ctx)
	}
	mended()
	s.report(begin, done, memory)
	if len(s.faults) > 0 || err != nil {
		return fmt.Errorf("seed %d: %w", s.seed, errors.Join(append(s.faults, err)...))
	}
	s.say("chaos: lost 0, double 0, stuck 0, integrity ok")
	return nil
}

func (s *soaker) choose(calm bool) blow {
	list := s.blows()
	if calm {
		list = slices.DeleteFunc(list, func(b blow) bool { return b.deadly })
	}
	all := 0
	for _, b := range list {
		all += b.share
	}
	pick := s.random(all)
	for _, b := range list {
		if pick -= b.share; pick < 0 {
			return b
		}
	}
	return list[0]
}

func (s *soaker) report(begin time.Time, done map[string]int, memory drift) {
	ends, codes := map[job.State]int{}, map[job.Code]int{}
	for _, f := range s.fates {
		switch {
		case f.removed:
			ends["removed"]++
		case f.seen != nil:
			ends[f.seen.State]++
			if f.seen.Error != nil {
				codes[f.seen.Error.Code]++
			}
		}
	}
	s.say("chaos: seed %d, %.0f s, %d jobs acknowledged, ended as %v, failed by %v", s.seed, time.Since(begin).Seconds(),
		len(s.fates), ends, codes)
	for _, name := range slices.Sorted(maps.Keys(done)) {
		s.say("  %4d x %s", done[name], name)
	}
	s.say("  of the kills %v; %d starts; a worker outlived its supervisor by at most %v", s.counts, s.starts,
		s.worst.Round(time.Millisecond))
	s.say("  supervisor's memory: %s", memory)
}

// gone tells that the program ended though nobody ended it.
func (s *soaker) gone() error {
	select {
	case <-s.ended:
		return fmt.Errorf("qie ended by itself (%s): %s", s.cmd.ProcessState, s.cmd.Stderr)
	default:
		return nil
	}
}

func (s *soaker) known() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fates)
}

func (s *soaker) faulty() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults)
}

// again ends the program in order and starts it.
func (s *soaker) again(ctx context.Context) error {
	_ = s.cmd.Process.Signal(os.Interrupt)
	s.mark(func() { s.url = "" })
	select {
	case <-s.ended:
	case <-time.After(startLimit):
		return errors.New("qie does not end")
	}
	return s.start(ctx)
}

func (s *soaker) killChild(guard bool) func(context.Context) error {
	return func(context.Context) error {
		pid, worker := s.children(s.cmd.Process.Pid)
		if !guard {
			pid = worker
		}
		if pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return nil
	}
}

// freezeWorker stops the worker; one time in four for longer than the supervisor's patience, which then continues it.
func (s *soaker) freezeWorker(ctx context.Context) error {
	_, worker := s.children(s.cmd.Process.Pid)
	if worker == 0 {
		return nil
	}
	wait := time.Duration(s.random(2000)) * time.Millisecond
	if s.random(4) == 0 {
		wait = 12 * time.Second
	}
	_ = syscall.Kill(worker, syscall.SIGSTOP)
	pause(ctx, wait)
	_ = syscall.Kill(worker, syscall.SIGCONT)
	return nil
}

func (s *soaker) freezeSupervisor(ctx context.Context) error {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	pause(ctx, time.Duration(s.random(3000))*time.Millisecond)
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	return nil
}

func (s *soaker) pauseQueue(ctx context.Context) error {
	_, _ = s.ask(ctx, http.MethodPost, "/api/v1/queue/pause", "application/json", strings.NewReader(`{"reason":"chaos"}`), nil)
	pause(ctx, time.Duration(s.random(2000))*time.Millisecond)
	for ctx.Err() == nil && s.gone() == nil {
		if status, err := s.ask(ctx, http.MethodPost, "/api/v1/queue/resume", "", nil, nil); err == nil && status == http.StatusOK {
			return nil
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

func (s *soaker) move(ctx context.Context) error {
	var state event.State
	_, _ = s.ask(ctx, http.MethodGet, "/api/v1/state", "", nil, &state) // where nothing serves, nothing waits
	line := state.Queue.Waiting
	if len(line) < 2 {
		return nil
	}
	id, before := line[s.random(len(line))], line[s.random(len(line))]
	_, _ = s.ask(ctx, http.MethodPost, "/api/v1/jobs/"+string(id)+"/move", "application/json",
		strings.NewReader(`{"before":"`+string(before)+`"}`), nil) // it may have started meanwhile
	return nil
}

func (s *soaker) press(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _ = s.ask(ctx, http.MethodPost, path, "", nil, nil) // refused while a job uses the model
		return nil
	}
}

// repair does what the page says when the breaker is open: it presses the button.
func (s *soaker) repair(ctx context.Context) bool {
	var state event.State
	if _, err := s.ask(ctx, http.MethodGet, "/api/v1/state", "", nil, &state); err != nil || state.Worker.State != "broken" {
		return false
	}
	status, err := s.ask(ctx, http.MethodPost, "/api/v1/worker/restart", "", nil, nil)
	return err == nil && status == http.StatusNoContent
}

// tabs opens pages that read nothing and vanish.
func (s *soaker) tabs(ctx context.Context) error {
	var open []*websocket.Conn
	for range chaosTabs {
		conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(s.address(), "http")+"/api/v1/live", nil)
		if err != nil {
			break
		}
		_ = res.Body.Close()
		open = append(open, conn)
	}
	pause(ctx, time.Duration(s.random(1500))*time.Millisecond)
	for _, conn := range open {
		_ = conn.Close()
	}
	return nil
}

// rss is the supervisor's memory now; 0 while there is none.
func (s *soaker) rss() float64 {
	p, err := process.NewProcess(int32(s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	m, err := p.MemoryInfo()
	if err != nil {
		return 0
	}
	return float64(m.RSS)
}

// drift is the memory in the second halves of the rounds, each of one life of the supervisor.
type drift struct {
	xs, ys  map[int][]float64
	highest float64
}

func (d *drift) add(round int, at time.Duration, rss float64) {
	if rss == 0 {
		return
	}
	if d.xs == nil {
		d.xs, d.ys = map[int][]float64{}, map[int][]float64{}
	}
	d.xs[round] = append(d.xs[round], at.Hours())
	d.ys[round] = append(d.ys[round], rss/1e6)
	d.highest = max(d.highest, rss/1e6)
}

func (d drift) String() string {
	var text []string
	for _, round := range slices.Sorted(maps.Keys(d.xs)) {
		if ys := d.ys[round]; len(ys) > 2 {
			sum := 0.0
			for _, y := range ys {
				sum += y
			}
			text = append(text, fmt.Sprintf("%.1f MB (%+.1f MB/h)", sum/float64(len(ys)), slope(d.xs[round], ys)))
		}
	}
	return fmt.Sprintf("mean and slope in each life that was let live: %s; highest %.1f MB", strings.Join(text, ", "), d.highest)
}

// prompt of the next job.
func (s *soaker) prompt(rnd *rand.Rand) string {
	if s.habits.harm && rnd.IntN(8) == 0 {
		return "fake: " + harm[rnd.IntN(len(harm))]
	}
	return "make it sepia"
}
