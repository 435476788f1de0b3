package worker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guardArg asks the program's own binary to be the guard.
const guardArg = "__guard"

const (
	guardTerm     = 5 * time.Second
	guardPoll     = 20 * time.Millisecond
	guardKillWait = 2 * time.Second
)

// GuardMain runs the guard and ends the process when this process was started as one. The first line of main.
//
// The guard reads "watch PID" and "forget PID" from its stdin. When the supervisor is gone, however it went, the kernel
// closes the pipe: the guard then ends every watched process group by TERM and, 5 s later, KILL. It is the only orphan
// guard that works while Python holds the interpreter lock or the worker is stopped.
func GuardMain() {
	if len(os.Args) != 2 || os.Args[1] != guardArg {
		return
	}
	// A terminal's Ctrl-C and a polite kill are for the supervisor; the guard ends with its pipe.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	watched := watch(os.Stdin)
	for pid := range watched {
		endGroup(pid)
	}
	os.Exit(0)
}

func watch(in io.Reader) map[int]bool {
	watched := map[int]bool{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		verb, number, _ := strings.Cut(lines.Text(), " ")
		pid, err := strconv.Atoi(number)
		if err != nil || pid <= 1 {
			continue
		}
		switch verb {
		case "watch":
			watched[pid] = true
		case "forget":
			delete(watched, pid)
		}
	}
	return watched
}

// endGroup uses the leader's pid as the group's: it was born so, and a dead leader cannot be asked. EPERM may only mean
// zombies on macOS, so only "no such group" ends the wait.
func endGroup(pid int) {
	signalGroup(pid, syscall.SIGTERM)
	for deadline := time.Now().Add(guardTerm); time.Now().Before(deadline); time.Sleep(guardPoll) {
		if groupGone(pid) {
			return
		}
	}
	signalGroup(pid, syscall.SIGKILL)
	for deadline := time.Now().Add(guardKillWait); time.Now().Before(deadline); time.Sleep(guardPoll) {
		if groupGone(pid) {
			return
		}
	}
}

func signalGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }

func groupGone(pid int) bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }

// guard is the supervisor's end. It belongs to the worker's loop.
type guard struct {
	command func() (*exec.Cmd, error)
	died    func(run int)

	cmd     *exec.Cmd
	pipe    *os.File
	run     int
	pid     int // watched now; 0 is none
	done    chan struct{}
	started time.Time
}

func ownBinaryAsGuard() (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	cmd := exec.Command(exe, guardArg)
	cmd.Env = []string{}
	return cmd, nil
}

func (g *guard) start() error {
	cmd, err := g.command()
	if err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe for the guard: %w", err)
	}
	cmd.Stdin = read
	cmd.Dir = "/"
	// A session of its own: what ends the supervisor's group must not end the guard.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		_ = write.Close()
		return fmt.Errorf("start the guard: %w", err)
	}
	g.run++
	g.cmd, g.pipe, g.started, g.done = cmd, write, time.Now(), make(chan struct{})
	run, done := g.run, g.done
	go func() {
		_ = cmd.Wait()
		close(done)
		g.died(run)
	}()
	if g.pid != 0 {
		g.say("watch", g.pid)
	}
	return nil
}

func (g *guard) watch(pid int) {
	g.pid = pid
	g.say("watch", pid)
}

func (g *guard) forget() {
	if g.pid != 0 {
		g.say("forget", g.pid)
	}
	g.pid = 0
}

// say ignores a broken pipe: the guard's death is noticed apart, and the new one is told again.
func (g *guard) say(verb string, pid int) {
	if g.pipe != nil {
		_ = g.pipe.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = fmt.Fprintf(g.pipe, "%s %d\n", verb, pid)
	}
}

// restart after the guard of that run died; false when it lived too short to try again at once.
func (g *guard) restart(run int) (bool, error) {
	if run != g.run || g.pipe == nil {
		return true, nil
	}
	_ = g.pipe.Close()
	g.pipe = nil
	if time.Since(g.started) < 100*time.Millisecond {
		return false, nil
	}
	return true, g.start()
}

// close ends the guard. Nothing is watched any more, so it kills nothing.
func (g *guard) close() {
	if g.pipe == nil {
		return
	}
	_ = g.pipe.Close()
	g.pipe = nil
	<-g.done
}
