package worker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/wire"
)

// process is one generation: a child in a process group of its own, over pipes that we own. Its goroutines hand
// everything to the loop through out, which never waits.
type process struct {
	gen     int64
	nonce   string
	pid     int
	started time.Time
	stdin   *os.File
	writes  chan []byte
	oomBase int64
	born    time.Time // by the time of day

	probe  host.Probe
	limits Limits
	out    func(message)
	tail   *tail
	log    *rotatedLog
	secret func(string) string
	halt   sync.Once
	halted chan struct{}
}

// message is what a process tells the loop. The last of a generation is its exit.
type message struct {
	gen      int64
	frame    *wire.Frame
	oversize bool
	eof      bool          // stdout was closed
	stuck    bool          // stdin took no line in time
	reads    bool          // it took the line after all
	look     *host.Process // what a silent process does
	battery  *host.Battery
	exit     *exitFacts
}

// exitFacts is how a process ended, gathered after the reap.
type exitFacts struct {
	code     int // -1 for a signal
	signal   syscall.Signal
	oomKills int64 // since the start; 0 also when it cannot be told
	pressure int   // of memory at the exit, as macOS counts; 0 when it cannot be told
	jetsam   bool  // the memory killer has written a report since the start
	partial  string
	counts   wire.Counts
	stderr   []string
}

type pipes struct{ childIn, in, out, childOut, err, childErr *os.File }

func openPipes() (p pipes, err error) {
	for _, ends := range [][2]**os.File{{&p.childIn, &p.in}, {&p.out, &p.childOut}, {&p.err, &p.childErr}} {
		if *ends[0], *ends[1], err = os.Pipe(); err != nil {
			p.close()
			return p, fmt.Errorf("pipe for the worker: %w", err)
		}
	}
	return p, nil
}

func (p pipes) close() {
	for _, f := range []*os.File{p.childIn, p.in, p.out, p.childOut, p.err, p.childErr} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// spawn starts cmd. It returns once the child exists or could not be made.
func spawn(cmd *exec.Cmd, p *process) error {
	ends, err := openPipes()
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = ends.childIn, ends.childOut, ends.childErr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// Its own group: a terminal's Ctrl-C does not reach it, and its children go with it.
	cmd.SysProcAttr.Setpgid = true
	// Not TERM, which a living supervisor sends too: at this moment its other threads may still hold the pipes and be the
	// parent, and the worker could not tell that it must take its children along. The Go runtime closes the race with a
	// parent that died before the request.
	host.DieWithParent(cmd.SysProcAttr, syscall.SIGHUP)
	p.oomBase, p.born = p.probe.OOMKills(), p.probe.Wall()

	started := make(chan error)
	reaped := make(chan struct{})
	go func() {
		// The parent-death signal belongs to the thread that starts the child, so this thread must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(reaped)
		}
	}()
	if err := <-started; err != nil {
		ends.close()
		return err
	}
	_ = ends.childIn.Close()
	_ = ends.childOut.Close()
	_ = ends.childErr.Close()
	p.pid, p.started, p.stdin = cmd.Process.Pid, time.Now(), ends.in
	p.writes, p.halted = make(chan []byte, 64), make(chan struct{})
	offerToOOMKiller(p.pid)

	var facts exitFacts
	var readers, writer sync.WaitGroup
	readers.Go(func() {
		facts.partial, facts.counts = p.readEvents(ends.out)
		p.out(message{gen: p.gen, eof: true})
	})
	readers.Go(func() { p.readStderr(ends.err) })
	writer.Go(p.write)
	go func() {
		<-reaped
		// What the worker left in its group goes with it; a child elsewhere that holds the pipes is not waited for.
		signalGroup(p.pid, syscall.SIGKILL)
		deadline := time.Now().Add(p.limits.Drain)
		_ = ends.out.SetReadDeadline(deadline)
		_ = ends.err.SetReadDeadline(deadline)
		readers.Wait()
		_ = ends.out.Close()
		_ = ends.err.Close()
		p.hangUp()
		_ = p.stdin.Close() // ends a write that waits
		writer.Wait()
		state, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		facts.code = cmd.ProcessState.ExitCode()
		if state.Signaled() {
			facts.signal = state.Signal()
		}
		if after := p.probe.OOMKills(); p.oomBase >= 0 && after > p.oomBase {
			facts.oomKills = after - p.oomBase
		}
		if facts.signal == syscall.SIGKILL {
			facts.pressure, facts.jetsam = p.probe.Pressure(), p.probe.Jetsam(p.born)
		}
		facts.stderr = p.tail.lines()
		p.out(message{gen: p.gen, exit: &facts})
	}()
	return nil
}

// readEvents reads to the end of the stream and waits for nobody.
func (p *process) readEvents(in *os.File) (partial string, counts wire.Counts) {
	r := wire.NewReader(in, wire.EventLineMax, wire.Events)
	r.Mute = p.log.drops
	for {
		line, err := r.Next()
		if err != nil {
			return partial, r.Counts()
		}
		if line.Text != "" {
			text := p.secret(line.Text)
			p.log.line(p.gen, "stdout", text)
			if line.Partial {
				partial = text
			}
		}
		if line.SkippedBytes > 0 {
			p.log.line(p.gen, "stdout", fmt.Sprintf("[a line of %d bytes was skipped]", line.SkippedBytes))
			p.out(message{gen: p.gen, oversize: true})
		}
		if line.Frame != nil {
			p.out(message{gen: p.gen, frame: line.Frame})
		}
	}
}

func (p *process) readStderr(in *os.File) {
	eachLine(in, p.log.full, func(n int) { p.log.lost.Add(int64(n)) }, func(data []byte) {
		text := p.secret(wire.Escape(data))
		p.tail.add(text)
		p.log.line(p.gen, "stderr", text)
	})
}

// send queues a line for stdin; false when the worker has stopped reading.
func (p *process) send(line []byte) bool {
	select {
	case p.writes <- line:
		return true
	default:
		return false
	}
}

func (p *process) write() {
	defer func() { _ = p.stdin.Close() }()
	for {
		select {
		case line := <-p.writes:
			p.writeLine(line)
			continue
		case <-p.halted:
		}
		// Closing: what was queued before still goes out.
		for {
			select {
			case line := <-p.writes:
				p.writeLine(line)
			default:
				return
			}
		}
	}
}

// writeLine tells when the worker does not take the line in time, and goes on with the rest of it: one that was only
// stopped finds its stream whole.
func (p *process) writeLine(line []byte) {
	for late := false; ; late = true {
		_ = p.stdin.SetWriteDeadline(time.Now().Add(p.limits.Write))
		n, err := p.stdin.Write(line)
		line = line[n:]
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			if late && err == nil {
				p.out(message{gen: p.gen, reads: true})
			}
			return
		}
		select {
		case <-p.halted:
			return // it is being ended anyway
		default:
		}
		if !late {
			p.out(message{gen: p.gen, stuck: true})
		}
	}
}

// hangUp closes stdin once the queued lines are written.
func (p *process) hangUp() { p.halt.Do(func() { close(p.halted) }) }
