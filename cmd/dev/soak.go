package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

const (
	soakClients = 8
	// stuckAfter is how long an acknowledged job may go without an end once the killing is over, and without any change
	// before that.
	stuckAfter = 60 * time.Second
	// orphanLimit is how long a worker may outlive its supervisor.
	orphanLimit = 6 * time.Second
	startLimit  = 30 * time.Second

	// slopeMax is how many bytes of memory 1,000 jobs may cost once the ring of events is full. Until then each job
	// leaves some events in it.
	slopeMax, slopeWarming = 1e6, 25e6
	ringFull               = 5000
)

// soak runs the real program with the fake worker, by default under random kills, and tells whether it kept its word.
func soak(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	kills := f.Int("kills", 500, "how often something is killed")
	seed := f.Uint64("seed", uint64(time.Now().UnixNano()), "of the random choices")
	jobs := f.Int("jobs", 0, "instead of kills: so many jobs in a row, watching memory, goroutines and descriptors")
	cuts := f.Int("cuts", 0, "instead of kills: so often the power is cut, on file systems in files; needs root and loop devices")
	minutes := f.Float64("minutes", 0, "instead of kills: chaos for so long, of kills, stops, full disks, floods, pauses and moves")
	pulls := f.Int("pulls", 0, "instead of kills: so many kills of one download of 1 GB")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *cuts > 0 {
		return powerCuts(ctx, *cuts)
	}
	s, err := newSoak(ctx, *seed, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case *jobs > 0:
		return s.longRun(ctx, *jobs)
	case *minutes > 0:
		return s.chaos(ctx, time.Duration(*minutes*float64(time.Minute)))
	case *pulls > 0:
		return s.pulls(ctx, *pulls)
	}
	return s.run(ctx, *kills)
}

// powerCuts is the test of that name with more cuts. A machine that cannot do it says why.
func powerCuts(ctx context.Context, cuts int) error {
	cmd := exec.CommandContext(ctx, "go", "test", "./supervisor", "-run", "^TestPowerCut_LosesNothing$", "-count=1", "-v", "-timeout=60m")
	cmd.Env = append(os.Environ(), "CI=1", "QIE_POWER_CUTS="+strconv.Itoa(cuts)) // CI: it fails where it would be skipped
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("power cuts: %w", err)
	}
	return nil
}

// fate is what a client was told of a job. It is all that the oracle knows.
type fate struct {
	id      job.ID
	retried bool // since the end that was seen
	removed bool
	seen    *job.Job // an end
}

type soaker struct {
	seed   uint64
	say    func(format string, args ...any)
	dir    string // everything of this run
	binary string
	http   http.Client

	mu     sync.Mutex
	rnd    *rand.Rand
	url    string // empty while nothing serves
	fates  map[job.ID]*fate
	faults []error

	cmd    *exec.Cmd
	ended  chan struct{}
	starts int
	counts map[string]int
	watch  sync.WaitGroup
	worst  time.Duration // that a worker outlived its supervisor

	habits  habits
	working sync.WaitGroup // the clients
	mounted bool           // the data folder is a file system of its own

	pulledHave int64 // bytes that the journal of the download names
}

// habits of the clients.
type habits struct {
	harm bool          // some jobs hurt the worker, and the disk may be full
	pace time.Duration // the longest pause between two jobs of a client
	look time.Duration // between two looks at a job
}

// newSoak builds the program as setup.sh does, and lays the fake worker in its Python environment.
func newSoak(ctx context.Context, seed uint64, say func(string, ...any)) (*soaker, error) {
	dir, err := os.MkdirTemp("", "qie-soak-")
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	s := &soaker{seed: seed, say: say, dir: dir, binary: filepath.Join(dir, "qie"), rnd: rand.New(rand.NewPCG(seed, 1)),
		habits: habits{look: 15 * time.Millisecond}, fates: map[job.ID]*fate{}, counts: map[string]int{}, http: http.Client{Timeout: 20 * time.Second}}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", s.binary, "qie/cmd/qie")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build: %w\n%s", err, out), os.RemoveAll(dir))
	}
	exe, err := os.Executable()
	if err == nil {
		err = st.PythonEnv(filepath.Join(dir, "env"), exe, "step takes 2ms", dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *soaker) home() string { return filepath.Join(s.dir, "data") }

func (s *soaker) close() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.watch.Wait()
	s.unmount()
	_ = os.RemoveAll(s.dir)
}

func (s *soaker) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := fmt.Errorf(format, args...)
	s.faults = append(s.faults, err)
	s.say("  fault at %s: %v", time.Now().UTC().Format(time.TimeOnly), err)
}

// random gives a number below n; all choices of the killer come from the one seed.
func (s *soaker) random(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rnd.IntN(n)
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// start runs the program and waits for its address.
func (s *soaker) start(ctx context.Context) error {
	cmd := exec.Command(s.binary, "--json", "serve")
	cmd.Env = []string{"HOME=" + s.dir, "QIE_HOME=" + s.home(), "QIE_PYTHON_ENV=" + filepath.Join(s.dir, "env"), "PORT=0",
		"HOST=127.0.0.1", "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start qie: %w", err)
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	s.starts++
	address := make(chan string, 1)
	ended := s.ended
	go func() {
		var line struct{ URL string }
		_ = json.NewDecoder(out).Decode(&line) // no address is its end, seen below
		address <- line.URL
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case url := <-address:
		if url == "" {
			<-ended
			return fmt.Errorf("qie did not start: %s", stderr.String())
		}
		s.mu.Lock()
		s.url = url
		s.mu.Unlock()
		return nil
	case <-time.After(startLimit):
		return fmt.Errorf("qie does not start: %s", stderr.String())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *soaker) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// ask sends one request. An error means that nobody knows whether it happened.
func (s *soaker) ask(ctx context.Context, method, path, kind string, body io.Reader, v any) (int, error) {
	base := s.address()
	if base == "" {
		return 0, errors.New("nothing serves")
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return 0, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	switch {
	case res.StatusCode == http.StatusInternalServerError:
		s.fault("%s %s was answered %s: %s", method, path, res.Status, data)
	case v != nil && res.StatusCode < 300:
		err = json.Unmarshal(data, v)
	}
	return res.StatusCode, err
}

var soakPicture = st.Picture(48, 32)

func (s *soaker) submit(ctx context.Context, prompt string) (job.ID, int) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("image", "p.png") // a buffer takes everything
	_, _ = part.Write(soakPicture)
	_ = w.WriteField("recipe", fmt.Sprintf(`{"prompt":%q,"steps":2}`, prompt))
	_ = w.Close()
	var j job.Job
	status, err := s.ask(ctx, http.MethodPost, "/api/v1/jobs", w.FormDataContentType(), &b, &j)
	if err != nil {
		return "", 0
	}
	return j.ID, status
}

// client submits, looks, cancels, retries and removes until stop ends; then it waits for the ends of what it was
// promised.
func (s *soaker) client(ctx, stop context.Context, n uint64) {
	rnd := rand.New(rand.NewPCG(s.seed, 100+n))
	for stop.Err() == nil && ctx.Err() == nil {
		if s.habits.pace > 0 {
			pause(stop, time.Duration(rnd.Int64N(int64(s.habits.pace))))
		}
		id, status := s.submit(ctx, s.prompt(rnd))
		switch {
		case status == http.StatusAccepted && id.Valid():
		case status == http.StatusInsufficientStorage && s.mounted: // the disk is full: refused, nothing was promised
			pause(ctx, time.Duration(100+rnd.IntN(100))*time.Millisecond)
			continue
		case status >= 500 && status != http.StatusServiceUnavailable:
			s.fault("a submit was answered %d", status)
			continue
		default:
			pause(ctx, time.Duration(1+rnd.IntN(10))*time.Millisecond)
			continue
		}
		f := &fate{id: id}
		s.mu.Lock()
		s.fates[id] = f
		s.mu.Unlock()
		if rnd.IntN(4) == 0 {
			pause(ctx, time.Duration(rnd.IntN(30))*time.Millisecond)
			_, _ = s.ask(ctx, http.MethodPost, "/api/v1/jobs/"+string(id)+"/cancel", "", nil, nil)
		}
		s.follow(ctx, f)
		if f.seen == nil {
			continue
		}
		path := "/api/v1/jobs/" + string(id)
		switch pick := rnd.IntN(10); {
		case pick < 3 && f.seen.State != job.Succeeded:
			s.mark(func() { f.retried = true })
			if status, err := s.ask(ctx, http.MethodPost, path+"/retry", "", nil, nil); err == nil && status == http.StatusOK {
				s.mark(func() { f.seen = nil })
				s.follow(ctx, f)
			}
		case pick == 3:
			if status, err := s.ask(ctx, http.MethodDelete, path, "", nil, nil); err == nil && status == http.StatusNoContent {
				s.mark(func() { f.removed = true })
			} else {
				s.mark(func() { f.removed = f.removed || err != nil; f.seen = nil }) // nobody knows
			}
		}
	}
}

func (s *soaker) mark(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// follow waits for the end of a job.
func (s *soaker) follow(ctx context.Context, f *fate) {
	last, changed := job.Job{}, time.Now()
	for ctx.Err() == nil {
		var j job.Job
		status, err := s.ask(ctx, http.MethodGet, "/api/v1/jobs/"+string(f.id), "", nil, &j)
		switch {
		case err != nil || status == http.StatusServiceUnavailable:
		case status == http.StatusNotFound:
			s.fault("acknowledged job %s is not known any more", f.id)
			return
		case status != http.StatusOK:
			s.fault("job %s was answered %d", f.id, status)
			return
		case j.State.Terminal():
			s.mark(func() { f.seen, f.retried = &j, false })
			return
		}
		if j.State != last.State || j.Attempt != last.Attempt || j.Step != last.Step || j.Position != last.Position || err != nil {
			last, changed = j, time.Now()
		}
		if time.Since(changed) > stuckAfter {
			s.fault("job %s is stuck: %s, attempt %d, place %d", f.id, j.State, j.Attempt, j.Position)
			return
		}
		pause(ctx, s.habits.look)
	}
}

// run kills until it is enough, lets everything end, and then looks whether the word was kept.
func (s *soaker) run(ctx context.Context, kills int) error {
	begin := time.Now()
	s.say("soak: %d kills, seed %d", kills, s.seed)
	if err := s.start(ctx); err != nil {
		return err
	}
	stop, enough := context.WithCancel(ctx)
	defer enough()
	for n := range uint64(soakClients) {
		s.working.Go(func() { s.client(ctx, stop, n) })
	}
	var err error
	for k := 0; k < kills && err == nil && ctx.Err() == nil; k++ {
		pause(ctx, time.Duration(s.random(400))*time.Millisecond)
		err = s.kill(ctx)
	}
	enough()
	s.working.Wait()
	s.watch.Wait()
	if err == nil {
		err = s.verify(ctx)
	}
	if len(s.faults) > 0 || err != nil {
		return fmt.Errorf("seed %d: %w", s.seed, errors.Join(append(s.faults, err)...))
	}
	s.say("soak: %d jobs acknowledged, %v; %d starts; a worker outlived its supervisor by at most %v; %.1f s: nothing was lost",
		len(s.fates), s.counts, s.starts, s.worst.Round(time.Millisecond), time.Since(begin).Seconds())
	return nil
}

// kill ends something by SIGKILL. A supervisor is started again at once.
func (s *soaker) kill(ctx context.Context) error {
	supervisor := s.cmd.Process.Pid
	guard, worker := s.children(supervisor)
	victims, what := []int{supervisor}, "supervisor"
	switch pick := s.random(20); {
	case pick < 6 && worker != 0:
		victims, what = []int{worker}, "worker"
	case pick < 9 && guard != 0:
		victims, what = []int{guard}, "guard"
	case pick < 11 && worker != 0:
		victims, what = []int{supervisor, worker}, "supervisor and worker"
	case pick < 13 && guard != 0:
		victims, what = []int{guard, supervisor}, "guard and supervisor"
	}
	s.counts[what]++
	for _, pid := range victims {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one that has just ended is as good
	}
	if what == "worker" || what == "guard" {
		return nil
	}
	died := time.Now()
	s.mu.Lock()
	s.url = ""
	s.mu.Unlock()
	<-s.ended
	if worker != 0 {
		s.watch.Go(func() { s.orphan(worker, died) })
	}
	return s.start(ctx)
}

// children finds guard and worker of a supervisor; 0 is one that is not there now.
func (s *soaker) children(supervisor int) (guard, worker int) {
	p, err := process.NewProcess(int32(supervisor))
	if err != nil {
		return 0, 0
	}
	children, err := p.Children()
	if err != nil {
		return 0, 0
	}
	for _, c := range children {
		line, err := c.CmdlineSlice()
		if err != nil || len(line) == 0 {
			continue
		}
		if line[len(line)-1] == "__guard" {
			guard = int(c.Pid)
		} else {
			worker = int(c.Pid)
		}
	}
	return guard, worker
}

// orphan waits until the worker of a dead supervisor is gone.
func (s *soaker) orphan(pid int, since time.Time) {
	born, err := createTime(pid)
	for err == nil && time.Since(since) < orphanLimit+2*time.Second {
		pause(context.Background(), 10*time.Millisecond)
		now, gone := createTime(pid)
		if gone != nil || now != born {
			break
		}
	}
	took := time.Since(since)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worst = max(s.worst, took)
	if took > orphanLimit {
		s.faults = append(s.faults, fmt.Errorf("worker %d outlived its supervisor by %v", pid, took))
	}
}

// createTime tells when a process was born; an error is one that is gone.
func createTime(pid int) (int64, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0, err
	}
	if status, err := p.Status(); err == nil && len(status) > 0 && status[0] == process.Zombie {
		return 0, os.ErrProcessDone
	}
	return p.CreateTime()
}

// verify compares what was promised with what is there.
func (s *soaker) verify(ctx context.Context) error {
	for id, f := range s.fates {
		var j job.Job
		status, err := s.ask(ctx, http.MethodGet, "/api/v1/jobs/"+string(id), "", nil, &j)
		switch {
		case f.removed && status == http.StatusNotFound:
			continue
		case err != nil || status != http.StatusOK:
			s.fault("job %s at the end: %d, %v", id, status, err)
			continue
		case !j.State.Terminal() && len(s.faults) > 0:
			s.fault("job %s has no end: %s", id, j.State)
			continue
		case !j.State.Terminal():
			s.follow(ctx, f)
			if f.seen == nil {
				continue
			}
			j = *f.seen
		}
		if f.seen != nil && !f.retried && (j.State != f.seen.State || j.Attempt != f.seen.Attempt) {
			s.fault("job %s ended twice: %s in attempt %d, then %s in attempt %d", id, f.seen.State, f.seen.Attempt, j.State, j.Attempt)
		}
		if j.State == job.Failed && (j.Error == nil || j.Error.Code == "") {
			s.fault("job %s failed without a cause", id)
		}
		if (j.State == job.Succeeded) != (j.Result != nil) {
			s.fault("job %s is %s with result %v", id, j.State, j.Result)
		}
		if j.Result != nil {
			data, err := os.ReadFile(filepath.Join(s.home(), "jobs", string(id), "result.png"))
			if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != j.Result.SHA256 {
				s.fault("the result of job %s is not what was stated (%v)", id, err)
			}
		}
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.checkDatabase(ctx)
}

// stop ends the program in order and looks for what it left.
func (s *soaker) stop(ctx context.Context) error {
	_ = s.cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.ended:
	case <-time.After(startLimit):
		return errors.New("qie does not end")
	}
	since := time.Now()
	for {
		left := s.left()
		if len(left) == 0 {
			return nil
		}
		if time.Since(since) > orphanLimit {
			return fmt.Errorf("%v after the end there are still: %s", orphanLimit, strings.Join(left, "; "))
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// left names the processes of this run: those with its marker in their environment and those of its binary.
func (s *soaker) left() []string {
	all, err := process.Processes()
	if err != nil {
		return nil
	}
	var left []string
	for _, p := range all {
		if int(p.Pid) == os.Getpid() {
			continue
		}
		if status, err := p.Status(); err == nil && len(status) > 0 && status[0] == process.Zombie {
			continue
		}
		env, _ := p.Environ() // of another user, or gone
		exe, _ := p.Exe()
		if exe == s.binary || strings.Contains(strings.Join(env, "\n"), "QIE_TEST_MARKER="+s.dir) {
			line, _ := p.Cmdline()
			left = append(left, strconv.Itoa(int(p.Pid))+" "+line)
		}
	}
	return left
}

func (s *soaker) checkDatabase(ctx context.Context) error {
	db, err := sql.Open("sqlite", filepath.Join(s.home(), "qie.db"))
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer); err != nil || answer != "ok" {
		return fmt.Errorf("integrity of the database: %s, %w", answer, err)
	}
	var double, open int
	if err := db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM (SELECT job FROM attempts WHERE state = 'succeeded' GROUP BY job HAVING count(*) > 1)),
		(SELECT count(*) FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'canceled'))`).Scan(&double, &open); err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	if double > 0 || open > 0 {
		return fmt.Errorf("%d jobs have two results, %d have no end", double, open)
	}
	return nil
}

// leak is what a long run measured.
type leak struct {
	slope                  float64 // bytes of memory per 1,000 jobs, after the warm-up
	goroutines, files      int     // more than after the warm-up
	jobsPerSecond, restart float64
}

// longRun sends jobs one behind the other and watches the supervisor.
func (s *soaker) longRun(ctx context.Context, jobs int) error {
	s.say("soak: %d jobs", jobs)
	if err := s.start(ctx); err != nil {
		return err
	}
	begin := time.Now()
	warm := jobs / 4
	var xs, ys []float64
	var first, last reading
	for done := 0; done < jobs; {
		n := min(jobs-done, max(jobs/40, 1))
		var clients sync.WaitGroup
		for c := range soakClients {
			share := n / soakClients
			if c < n%soakClients {
				share++
			}
			clients.Go(func() {
				for range share {
					id, status := s.submit(ctx, "make it sepia")
					if status != http.StatusAccepted {
						s.fault("a submit was answered %d", status)
						return
					}
					f := &fate{id: id}
					s.follow(ctx, f)
					if f.seen != nil && f.seen.State != job.Succeeded {
						s.fault("job %s ended as %s", id, f.seen.State)
					}
				}
			})
		}
		clients.Wait()
		if err := errors.Join(s.faults...); err != nil {
			return err
		}
		done += n
		now, err := s.read(ctx)
		if err != nil {
			return err
		}
		if done >= warm {
			if first.rss == 0 {
				first = now
			}
			last = now
			xs, ys = append(xs, float64(done)), append(ys, now.rss)
		}
		if jobs >= 5000 && done%(jobs/10) < n {
			s.say("  %5d jobs, %.1f MB, %d goroutines, %d descriptors", done, now.rss/1e6, now.goroutines, now.files)
		}
	}
	l := leak{slope: slope(xs, ys) * 1000, goroutines: last.goroutines - first.goroutines, files: last.files - first.files,
		jobsPerSecond: float64(jobs) / time.Since(begin).Seconds()}
	if err := s.stop(ctx); err != nil {
		return err
	}
	again := time.Now()
	if err := s.start(ctx); err != nil {
		return err
	}
	l.restart = time.Since(again).Seconds()
	s.say("soak: %d jobs, %.1f a second; %+.2f MB per 1,000 jobs, %+d goroutines, %+d descriptors; start with that history %.2f s; %s",
		jobs, l.jobsPerSecond, l.slope/1e6, l.goroutines, l.files, l.restart, runtime.GOOS+"/"+runtime.GOARCH)
	limit := slopeMax
	if jobs < ringFull {
		limit = slopeWarming
	}
	if l.slope > limit || l.goroutines > 2 || l.files > 2 {
		return fmt.Errorf("it leaks: %+v", l)
	}
	return s.stop(ctx)
}

type reading struct {
	rss               float64
	goroutines, files int
}

func (s *soaker) read(ctx context.Context) (reading, error) {
	s.http.CloseIdleConnections() // they are the clients', not the program's
	var system struct {
		Gauges struct {
			RSS float64 `json:"supervisor_rss_bytes"`
		}
	}
	if _, err := s.ask(ctx, http.MethodGet, "/api/v1/system", "", nil, &system); err != nil {
		return reading{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address()+"/metrics", nil)
	if err != nil {
		return reading{}, err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return reading{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reading{}, err
	}
	now := reading{rss: system.Gauges.RSS}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "qie_goroutines "); ok {
			now.goroutines, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	if p, err := process.NewProcess(int32(s.cmd.Process.Pid)); err == nil {
		if n, err := p.NumFDs(); err == nil {
			now.files = int(n)
		}
	}
	return now, nil
}

// slope is that of the straight line that fits best.
func slope(xs, ys []float64) float64 {
	n := float64(len(xs))
	var sx, sy, sxx, sxy float64
	for i, x := range xs {
		sx, sy, sxx, sxy = sx+x, sy+ys[i], sxx+x*x, sxy+x*ys[i]
	}
	if d := n*sxx - sx*sx; d != 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}
