package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"qie/supervisor/config"
	"qie/supervisor/job"
	"qie/supervisor/watch"
)

// watchSettings tells the page when config.toml or .env in the data folder says something else than what is in force:
// settings are read at the start, and a person who edits them must not believe otherwise.
func (a *app) watchSettings(ctx context.Context, l *local) {
	inForce := a.cfg
	err := watch.Folder(ctx, a.cfg.Home, slog.New(slog.DiscardHandler), func() {
		now, err := config.Load(a.sources)
		message := ""
		switch keys := differ(inForce, now); {
		case err != nil:
			message = "the settings cannot be used at the next start: " + err.Error()
		case len(keys) > 0:
			message = "changed settings take effect at the next start of qie: " + strings.Join(keys, ", ")
		}
		if message != a.toldSettings {
			a.toldSettings = message
			if message == "" {
				message = "the settings are those in force again"
			}
			l.sup.Notice(job.Notice{Code: "settings_changed", Message: message})
		}
	}, "config.toml", ".env") // the database lies in the same folder and changes all the time
	if err != nil {
		a.out.say("note: changes of the settings are not noticed: %v", err)
	}
}

// differ names the settings that two configurations disagree on.
func differ(a, b config.Config) []string {
	was := map[string]string{}
	for _, v := range a.Values {
		was[v.Key] = v.Value
	}
	var keys []string
	for _, v := range b.Values {
		if was[v.Key] != v.Value {
			keys = append(keys, v.Key)
		}
	}
	slices.Sort(keys)
	return keys
}
