// Package fakeworker is a worker process for tests: the test binary re-executed, which speaks the real protocol over
// the real pipes, writes real pictures, and misbehaves where its script says so. It computes no edit, and nothing of
// it is in the product.
package fakeworker

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

const (
	envRole   = "QIE_FAKE_ROLE"
	envScript = "QIE_FAKE_SCRIPT"
	envNonce  = "QIE_NONCE"
	envGen    = "QIE_GENERATION"

	roleWorker = "worker"
	roleHolder = "holder"
)

// Model is the model id that the fake worker claims to load; any other works as well.
const Model = "fake"

// Command gives what worker.Config.Command wants: this very binary as a worker that plays the script.
func Command(script string) func(gen int64, nonce string) (*exec.Cmd, error) {
	return func(gen int64, nonce string) (*exec.Cmd, error) {
		if _, err := parse(script); err != nil {
			return nil, err
		}
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find own binary: %w", err)
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), envRole+"="+roleWorker, envScript+"="+script, envNonce+"="+nonce,
			envGen+"="+strconv.FormatInt(gen, 10), raceQuick)
		return cmd, nil
	}
}

// raceQuick lets a process go at once: the race detector keeps every one a second longer at its exit, and a worker that
// dies often has no such second.
const raceQuick = "GORACE=atexit_sleep_ms=0"

// Guard gives what worker.Config.Guard wants: this very binary, without the race detector's second at its exit.
func Guard() (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	cmd := exec.Command(exe, "__guard")
	cmd.Env = []string{raceQuick}
	return cmd, nil
}

// MainIfAsked runs the fake worker and ends the process when this process was started as one. TestMain calls it first.
func MainIfAsked() {
	switch os.Getenv(envRole) {
	case roleWorker:
		script, err := parse(os.Getenv(envScript))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(65)
		}
		gen, _ := strconv.ParseInt(os.Getenv(envGen), 10, 64)
		newFake(script, gen).main()
	case roleHolder:
		// Holds whatever it inherited until it is killed; two minutes bound a test that lost it.
		time.Sleep(2 * time.Minute)
		os.Exit(0)
	}
}
