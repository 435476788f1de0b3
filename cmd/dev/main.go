// Command dev is the developers' tool: it checks, generates, runs and measures. It is not shipped.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"qie/supervisor/worker"
	"qie/supervisor/worker/fakeworker"
)

const usage = `usage: go run ./cmd/dev COMMAND
  check [PART...]  everything that CI checks, one line a part; check --list names the parts
  gen              write what follows from other files: wire.py, openapi.json, the TypeScript client
  run              the program and the page with reload, on http://localhost:5173
  fresh            in a fresh clone what README says, killed after each step of the set-up
  demo-eval        the demo model on held-out photos and sentences, in pictures and in words
  bench [faults]   the figures of README, with the machine that they were measured on; or only those of deaths and events
  soak             the real program with the fake worker: --kills 500 --seed N, --jobs 10000, --cuts 200
                   (power cuts), --pulls 200 (kills of a download) or --minutes 60 (chaos)
  samples          the before-and-after pictures of the first screen, made by the demo model; after every change of it`

func main() {
	worker.GuardMain()
	fakeworker.MainIfAsked() // soak lays this binary where the program looks for Python
	benchRole()
	os.Exit(dev(os.Args[1:]))
}

func dev(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if tools, err := filepath.Abs(".qie/tools/bin"); err == nil {
		_ = os.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH")) // what setup.sh fetched
	}
	commands := map[string]func(context.Context, []string) error{"check": check, "gen": gen, "run": run, "fresh": fresh,
		"demo-eval": demoEval, "samples": samples, "soak": soak, "bench": bench}
	if len(args) < 1 || commands[args[0]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		return 2
	}
	if err := commands[args[0]](ctx, args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		return 1
	}
	return 0
}
