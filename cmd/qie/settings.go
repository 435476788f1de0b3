package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"qie/supervisor/config"
	"qie/supervisor/job"
	"qie/supervisor/watch"
)

// settingsCommand prints what this command would use. `config` is its name in the contract.
func (a *app) settingsCommand() *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use: "settings", Aliases: []string{"config"}, Short: "Print the settings, and where each came from",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.out.json {
				return a.out.value(a.cfg.Values)
			}
			for _, v := range a.cfg.Values {
				switch {
				case cmd.CalledAs() == "config" && !origin:
					a.out.result("%s=%s", v.Key, v.Value)
				case v.Note != "":
					a.out.result("%s=%s  (%s; %s)", v.Key, v.Value, v.Place(), v.Note)
				default:
					a.out.result("%s=%s  (%s)", v.Key, v.Value, v.Place())
				}
			}
			return a.tellRunning(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&origin, "show-origin", false, "also where each value came from; settings always does")
	return cmd
}

// tellRunning tells where a running qie uses other values than are written.
func (a *app) tellRunning(ctx context.Context) error {
	base := a.instance(ctx)
	if base == "" {
		return nil
	}
	c := &client{base: base, token: a.cfg.Token}
	var v config.View
	if err := c.do(ctx, "GET", "/api/v1/settings", "", nil, &v); err != nil {
		return err
	}
	if v.Problem != "" {
		a.out.say("the running qie keeps what it had: %s", v.Problem)
	}
	for _, s := range v.Settings {
		if s.Next != "" {
			a.out.say("the running qie uses %s=%s until it is started anew", s.Key, s.Value)
		}
	}
	return nil
}

// watchSettings puts changed settings in force where that is possible, and tells where it is not.
func (a *app) watchSettings(ctx context.Context, l *local) {
	folders := []string{a.cfg.Home}
	if dir := a.sources.Checkout; dir != "" && filepath.Clean(dir) != filepath.Clean(a.cfg.Home) {
		folders = append(folders, dir)
	}
	changes := make(chan struct{}, 1)
	look := func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	}
	for _, dir := range folders {
		err := watch.Folder(ctx, dir, slog.New(slog.DiscardHandler), look, config.TOMLFile, config.DotenvFile) // the database lies in the same folder and changes all the time
		if err != nil {
			a.out.say("note: changes of the settings are not noticed: %v", err)
		}
	}
	look() // what was written since the start, before anybody watched
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changes:
				a.reload(l)
			}
		}
	}()
}

// reload is called by one goroutine.
func (a *app) reload(l *local) {
	change := l.settings.Reload()
	message := change.String()
	if message == a.toldSettings {
		return // a file was saved and says the same
	}
	a.toldSettings = message
	if len(change.Applied) > 0 {
		cfg := l.settings.Config()
		l.sup.SetUpkeep(upkeep(cfg))
		if cfg.InputFolder != l.input.Dir() {
			l.input.Watch(cfg.InputFolder)
		}
		a.toldSettings = "" // the same key may change again
	}
	if message == "" {
		l.sup.Withdraw("settings_changed")
		return
	}
	l.sup.Notice(job.Notice{Code: "settings_changed", Message: message})
}
