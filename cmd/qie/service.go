package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"qie/supervisor/job"
	"qie/supervisor/service"
)

func (a *app) service() *cobra.Command {
	cmd := &cobra.Command{
		Use: "service", Short: "Start qie with your session, without a terminal",
		Example: "  qie service install\n  qie service status\n  qie service remove",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("choose one of: qie service install, status, remove")
		},
	}
	for _, verb := range []struct {
		name, short string
		run         func(context.Context) error
	}{
		{"install", "Start qie now and at each login", a.serviceInstall},
		{"status", "Tell whether it is installed and runs", a.serviceStatus},
		{"remove", "Stop it and start it no more; the data stays", a.serviceRemove},
	} {
		cmd.AddCommand(&cobra.Command{Use: verb.name, Short: verb.short, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return verb.run(cmd.Context()) }})
	}
	return cmd
}

// serviceSystem is this machine, with what the service runs on it.
func (a *app) serviceSystem() (service.System, service.Spec, error) {
	m := service.System{OS: runtime.GOOS, HomeDir: a.sources.HomeDir, ConfigHome: os.Getenv("XDG_CONFIG_HOME"), UID: os.Getuid(),
		Run: service.Command}
	program, err := os.Executable()
	if err != nil {
		return m, service.Spec{}, err
	}
	if m.HomeDir == "" {
		return m, service.Spec{}, notReady("no home folder is known, so there is no place for a service")
	}
	return m, service.Spec{Program: program, Args: []string{"serve", "--quiet", "--data", a.cfg.Home}, LogFile: serviceLog(a.cfg.Home)}, nil
}

func (a *app) serviceInstall(ctx context.Context) error {
	m, spec, err := a.serviceSystem()
	if err != nil {
		return err
	}
	status, err := m.Status(ctx, spec)
	if err != nil {
		return err
	}
	if address := a.instance(ctx); address != "" && !status.Running {
		return job.Errorf(job.CodeConflict, "qie runs already at %s, started by hand", address).
			WithHint("end it with Ctrl+C, then run: qie service install")
	}
	if err := os.MkdirAll(filepath.Dir(spec.LogFile), 0o700); err != nil {
		return err
	}
	a.out.say("writing %s", m.File())
	if err := m.Install(ctx, spec); err != nil {
		return err
	}
	var shell []string
	for _, v := range a.cfg.Values {
		if v.From == "environment" && v.Note == "" && v.Key != "QIE_HOME" {
			shell = append(shell, v.Key)
		}
	}
	if len(shell) > 0 {
		a.out.say("note: the service does not see %s of this terminal; write it into %s", strings.Join(shell, ", "),
			filepath.Join(a.cfg.Home, ".env"))
	}
	if a.out.json {
		return a.serviceStatus(ctx)
	}
	a.out.result("qie starts now and at each login; look: qie service status, open the page: qie open")
	return nil
}

func (a *app) serviceRemove(ctx context.Context) error {
	m, _, err := a.serviceSystem()
	if err != nil {
		return err
	}
	was, err := m.Remove(ctx)
	switch {
	case err != nil:
		return err
	case a.out.json:
		return a.out.value(map[string]any{"removed": was, "file": m.File()})
	case was:
		a.out.result("the service is removed; your data stays in %s", a.cfg.Home)
	default:
		a.out.result("there is no service to remove")
	}
	return nil
}

// serviceStatus ends with 3 when the service does not run, so that scripts can ask.
func (a *app) serviceStatus(ctx context.Context) error {
	m, spec, err := a.serviceSystem()
	if err != nil {
		return err
	}
	status, err := m.Status(ctx, spec)
	if err != nil {
		return err
	}
	address := a.instance(ctx)
	switch {
	case a.out.json:
		err = a.out.value(map[string]any{"service": status, "url": address})
	case !status.Installed:
		a.out.result("not installed; install it with: qie service install")
	case !status.Running:
		a.out.result("installed but not running; its words are in %s", a.serviceWords(m))
	case address == "":
		a.out.result("running as process %d; the page is not there yet", status.PID)
	default:
		a.out.result("running as process %d at %s", status.PID, address)
	}
	if err == nil && status.Installed && !status.Current {
		a.out.say("note: %s was written by another qie or for another data folder; run: qie service install", status.File)
	}
	if err == nil && !status.Running {
		return exitSilent(exitNotReady)
	}
	return err
}

// serviceWords is where the service's messages are.
func (a *app) serviceWords(m service.System) string {
	if m.OS == "darwin" {
		return serviceLog(a.cfg.Home)
	}
	return "the journal: journalctl --user -u qie"
}
