package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qie/supervisor/doctor"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
)

// steps is how set-up is counted. setup.sh does three of them before.
const steps = 5

type setupFlags struct {
	log         string
	yes, inside bool
}

func (a *app) setup() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use: "setup", Short: "Build the Python environment and edit a picture as a self-test",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSetup(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.yes, "yes", false, "ask nothing")
	flags.StringVar(&f.log, "log", "", "file that takes the details (default: logs/setup.log in the data folder)")
	flags.BoolVar(&f.inside, "inside", false, "")
	_ = flags.MarkHidden("inside") // setup.sh says so: it has asked, and counts its own steps before these
	return cmd
}

func (a *app) runSetup(ctx context.Context, f setupFlags) error {
	start := time.Now()
	o := a.looking()
	o.NetworkLimit = doctor.PatientAsk
	facts := doctor.Gather(ctx, o)
	d, err := a.diagnosis(facts, preflight.Setup...)
	if err != nil {
		return err
	}
	if d.Worst == preflight.Error {
		return a.report(d, false)
	}
	for _, finding := range d.Findings {
		if finding.Level == preflight.Warning {
			a.out.say("note: %s: %s", finding.Title, finding.Cause)
		}
	}
	if err := a.announce(facts, f); err != nil {
		return err
	}
	log, err := a.setupLog(f.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	first := 1
	if f.inside {
		first = steps - 1
	}
	name := func(n int, what string) string { return fmt.Sprintf("[%d/%d] %s", n, first+1, what) }
	env := a.environment(a.environmentProgress(log))
	if err := a.buildStep(ctx, env, name(first, "Python environment"), facts.Env.Err != nil); err != nil {
		return err
	}
	if err := a.selfTest(ctx, env, name(first+1, "Self-test")); err != nil {
		return err
	}
	a.summary(ctx, facts, time.Since(start))
	return nil
}

// announce says what will be fetched before anything is, and asks where somebody can answer.
func (a *app) announce(f preflight.Facts, flags setupFlags) error {
	if len(f.Fetch) == 0 {
		return nil
	}
	if !flags.inside {
		for _, i := range f.Fetch {
			a.out.say("to be fetched: %s, %s (%s on disk) into %s", i.Name, bytesText(i.Download), bytesText(i.Disk), a.cfg.Home)
		}
	}
	if flags.yes || flags.inside || !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	fmt.Fprint(os.Stderr, "Go on? [Y/n] ")
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "" && answer != "y" && answer != "yes" {
		return exit(exitInterrupted, errors.New("nothing was changed"))
	}
	return nil
}

func (a *app) setupLog(path string) (*os.File, error) {
	if path == "" {
		path = filepath.Join(a.cfg.Home, "logs", "setup.log")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("set-up log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("set-up log: %w", err)
	}
	return file, nil
}

// environmentProgress folds uv's lines into one that moves; all of them go to the log.
func (a *app) environmentProgress(log io.Writer) func(string) {
	var p python.Progress
	return func(line string) {
		if log != nil {
			_, _ = fmt.Fprintln(log, line)
		}
		if text := p.Line(line); text != "" {
			topic, _, _ := strings.Cut(text, ",")
			a.out.progress(topic, "      "+oneLine(text, 72))
		}
	}
}

func (a *app) buildStep(ctx context.Context, env python.Env, name string, build bool) error {
	if !build {
		a.out.say("%s: here already", name)
		return env.Build(ctx) // the worker's source may be newer
	}
	a.out.say("%s: building", name)
	start := time.Now()
	if err := env.Repair(ctx); err != nil {
		return err
	}
	a.out.say("%s: ready (%.0f s)", name, time.Since(start).Seconds())
	return nil
}

// summary ends set-up: what is here, and what a person does next.
func (a *app) summary(ctx context.Context, before preflight.Facts, took time.Duration) {
	findings, err := preflight.Run(before, "memory")
	if err == nil {
		a.out.say("memory: %s", findings[0].Title)
	}
	name := "demo"
	if dir, err := a.modelDir(ctx); err == nil {
		if spec, err := model.Load(dir); err == nil {
			name = spec.Name
		}
	}
	a.out.say("model:  %s", name)
	a.out.say("data:   %s", a.cfg.Home)
	a.out.say("set-up took %s; nothing that you edit leaves this machine", took.Round(time.Second))
}
