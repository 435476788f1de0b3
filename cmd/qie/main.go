// Command qie edits photos by saying what should change. It serves the page and the API, and is the client of both.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"qie/supervisor/worker"
)

// Exit codes, as contract: scripts rely on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReady    = 3
	exitJobFailed   = 4
	exitTimedOut    = 5
	exitInterrupted = 130
)

func main() {
	worker.GuardMain() // this binary is also the worker's guard
	syscall.Umask(0o077)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second Ctrl+C ends at once: the guard still ends the worker.
	context.AfterFunc(ctx, stop)
	a := &app{}
	err := a.root(args).ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && !isExit(err) {
		err = exit(exitInterrupted, errors.New("interrupted"))
	}
	return a.failed(err)
}
