package fakeworker

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"qie/supervisor/wire"
)

// at performs every action that the script has for this point.
func (a *attempt) at(point string) {
	for _, r := range a.script.rules {
		if r.point == point && (r.gen == 0 || r.gen == a.gen) {
			a.do(r)
		}
	}
}

func (a *attempt) do(r rule) {
	switch r.do {
	case "kill":
		a.die()
	case "signal":
		// A shell in this process's place: Go's runtime keeps such signals to itself.
		_ = syscall.Exec("/bin/sh", []string{"sh", "-c", "ulimit -c 0; kill -" + r.arg(0) + " $$"}, os.Environ())
	case "stop":
		_ = syscall.Kill(a.pid, syscall.SIGSTOP)
	case "exit":
		os.Exit(r.num(0))
	case "error":
		a.send(a.env, wire.Error{Code: r.arg(0), Message: "scripted " + r.arg(0), FatalProcess: r.arg(1) == "fatal"})
		a.ended = true
		if r.arg(1) == "fatal" {
			os.Exit(wire.ExitInternal)
		}
	case "fatal":
		a.send(wire.Envelope{}, wire.Fatal{Code: r.arg(0), Message: "scripted " + r.arg(0), Exit: r.num(1)})
		os.Exit(r.num(1))
	case "garbage":
		a.raw("100%|#####| 3/3 [00:01]\n{\"not\": \"ours\"}\n\n{\"qie\":1,broken\n")
	case "glued":
		a.mu.Lock()
		a.prefix = "print without newline "
		a.mu.Unlock()
	case "binary":
		a.raw("\x00\x01\xff\xfe\x1b[2J\xc3\x28\n")
	case "half":
		a.raw(`{"qie":1,"t":"result","seq":99,"gen":` + fmt.Sprint(a.gen) + `,"job":"` + a.env.Job + `","pa`)
		a.die()
	case "huge":
		a.mu.Lock()
		piece := strings.Repeat("x", 1<<20)
		for range r.num(0) {
			_, _ = os.Stdout.WriteString(piece)
		}
		_, _ = os.Stdout.WriteString("\n")
		a.mu.Unlock()
	case "wronghash":
		a.wrong = true
	case "missing":
		a.noFile = true
	case "hang":
		a.quiet.Store(true)
		select {}
	case "stall":
		select {}
	case "quiet":
		a.quiet.Store(true)
	case "deafcancel":
		a.cancelMu.Lock()
		a.deaf = true
		a.cancelMu.Unlock()
	case "deafflag":
		a.cancelMu.Lock()
		a.deafFlag = true
		a.cancelMu.Unlock()
	case "grandchild":
		holder(false)
	case "daemon":
		holder(true)
	case "stale":
		a.stale()
	case "flood":
		flood(os.Stderr, strings.Repeat("f", 127), r.num(0))
	case "printflood":
		a.mu.Lock()
		flood(os.Stdout, strings.Repeat("p", 127), r.num(0))
		a.mu.Unlock()
	case "newsflood":
		a.mu.Lock()
		flood(os.Stdout, `{"qie":1,"t":"news_from_the_future","seq":0,"gen":`+fmt.Sprint(a.gen)+`,"ms":0,"x":1}`, r.num(0))
		a.mu.Unlock()
	case "say":
		fmt.Fprintln(os.Stderr, strings.Join(r.args, " "))
	case "print":
		a.raw(strings.Join(r.args, " ") + "\n")
	case "touch":
		_ = os.WriteFile(r.arg(0), nil, 0o600)
	case "wait":
		a.wait(r.arg(0))
	case "gpu":
		a.free.Store(int64(r.num(0)) << 30)
	case "holds":
		a.holds.Store(int64(r.num(0)) << 20)
		a.send(wire.Envelope{}, wire.Beat{Tick: a.tick.Load(), Bytes: a.holds.Load()})
	case "unknown":
		a.raw(`{"qie":1,"t":"news_from_the_future","seq":0,"gen":` + fmt.Sprint(a.gen) + `,"ms":0,"x":1}` + "\n")
	case "deafterm", "deafstdin":
		// asked by has
	default:
		fmt.Fprintf(os.Stderr, "unknown action %q\n", r.do)
		os.Exit(wire.ExitConfig)
	}
}

// flood writes so many MiB of the line.
func flood(out *os.File, line string, mib int) {
	piece := strings.Repeat(line+"\n", 1<<20/(len(line)+1))
	for range mib {
		_, _ = out.WriteString(piece)
	}
}

func (a *attempt) die() {
	_ = syscall.Kill(a.pid, syscall.SIGKILL)
	select {} // the signal is on its way
}

func (a *attempt) stale() {
	old := a.env
	old.Attempt--
	a.send(old, wire.Progress{Phase: "denoise", Step: 77, Steps: 77})
	a.send(old, wire.Result{Path: "/stale", SHA256: "stale"})
	strange := a.env
	strange.Job = "11111111-1111-4111-8111-111111111111"
	a.send(strange, wire.Canceled{Phase: "denoise"})
	strange = a.env
	strange.Gen = a.gen + 7
	a.send(strange, wire.Error{Code: "internal", Message: "of another generation"})
}

// wait holds the work until the file exists or the request is canceled.
func (a *attempt) wait(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-a.stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}
