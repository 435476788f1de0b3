package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qie/api"
	"qie/supervisor/catalog"
	"qie/supervisor/download"
	"qie/supervisor/event"
	"qie/supervisor/job"
)

// asksFrom is from how many bytes on a terminal is asked before anything is fetched.
const asksFrom = 1e9

// hub is what fetches models with these settings. also are further folders to look for the same files in.
func (a *app) hub(also ...string) (*download.Downloader, error) {
	return download.New(download.Options{Endpoint: a.cfg.HFEndpoint, Token: a.cfg.HFToken, Cache: a.cfg.HubCache,
		Pins: filepath.Join(a.cfg.Home, "pins"), Also: append(also, a.otherPrograms()...)})
}

// otherPrograms are the folders in which programs of this machine keep the same files.
func (a *app) otherPrograms() []string {
	var dirs []string
	for _, dir := range []string{".cache/huggingface/hub", "ComfyUI/models", "Documents/ComfyUI/models", "Library/Caches/mflux"} {
		if dir = filepath.Join(a.sources.HomeDir, dir); a.sources.HomeDir != "" && dir != a.cfg.HubCache && exists(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (a *app) pull() *cobra.Command {
	var yes bool
	var from string
	cmd := &cobra.Command{
		Use: "pull [name]", Short: "Fetch a model, or go on where a fetch stopped",
		Long: "Fetch a model of `qie list`; without a name " + catalog.DefaultID + ". Ctrl+C pauses, and the same command goes on.\n" +
			"Every file is checked by its hash before it counts. Files that other programs have fetched are used, not fetched again.",
		Example: "  qie pull\n  qie pull lightning-2511-4\n  qie pull --from /Volumes/Old/models",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := catalog.DefaultID
			if len(args) > 0 {
				name = args[0]
			}
			return a.runPull(cmd.Context(), name, from, yes)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before a large fetch")
	cmd.Flags().StringVar(&from, "from", "", "a `folder` that may hold the same files: they are taken from there, by their hash")
	return cmd
}

func (a *app) runPull(ctx context.Context, name, from string, yes bool) error {
	entry, ok := catalog.Find(name)
	if from != "" {
		if info, err := os.Stat(from); err != nil || !info.IsDir() {
			return usagef("--from %s is no folder", from)
		}
	}
	return a.with(ctx, func(ctx context.Context, c *client) error {
		if !ok { // the demo, a person's own, or unknown: the server says which
			var p event.ModelProgress
			if err := c.do(ctx, http.MethodPost, "/api/v1/models/"+escape(name)+"/pull", "", nil, &p); err != nil {
				return err
			}
			return a.pulled(p)
		}
		listed, err := c.catalogued(ctx, entry.ID)
		if err != nil {
			return err
		}
		if !listed.Complete && !a.out.json {
			a.describe(listed)
		}
		if begun := listed.Progress.State != "absent"; !begun && !yes && !a.out.json && entry.Bytes >= asksFrom && asksHere() {
			if !confirm("fetch it?") {
				return errors.New("nothing was fetched")
			}
		}
		if from != "" {
			if err := a.adopt(ctx, entry, from); err != nil {
				return err
			}
		}
		return a.followPull(ctx, c, entry.ID)
	})
}

// describe says what is about to come, and under which licence.
func (a *app) describe(e api.CatalogueEntry) {
	a.out.say("%s: %s, %s", e.Name, bytesText(e.Bytes), e.Note)
	a.out.say("licence: %s", e.Licence)
	a.out.say("from:    %s%s", e.Repository, at(e.Commit))
	a.out.say("to:      %s", a.cfg.HubCache)
	if !e.Fit.OK {
		a.out.say("note:    %s", e.Fit.Reason)
	}
	if !e.Known {
		a.out.say("note:    qie does not know the hashes of these files itself; what the hub says now is pinned and holds from now on")
	}
}

func at(commit string) string {
	if commit == "" {
		return ""
	}
	return " at " + commit[:min(12, len(commit))]
}

// adopt takes files out of a folder that the person named. No path goes over HTTP, so it happens in this process.
func (a *app) adopt(ctx context.Context, e catalog.Entry, from string) error {
	d, err := a.hub(from)
	if err != nil {
		return err
	}
	defer d.Close()
	taken, err := d.Adopt(ctx, e, func(p download.Progress) {
		if p.State == download.StateChecking {
			a.out.progress("adopting", "looking in "+from)
		}
	})
	if err != nil {
		return err
	}
	a.out.say("taken from %s: %s", from, bytesText(taken))
	return nil
}

// followPull starts the download and shows it to its end. When ctx ends it is paused.
func (a *app) followPull(ctx context.Context, c *client, id string) error {
	var last event.ModelProgress
	told := time.Time{}
	err := c.watchPull(ctx, id, func(p event.ModelProgress) {
		fresh := p.State != last.State || time.Since(told) >= time.Second
		if last = p; a.out.json && fresh {
			told = time.Now()
			_ = json.NewEncoder(os.Stdout).Encode(p)
		} else if !a.out.json {
			a.out.progress(fmt.Sprint(p.State, p.Why, percentOf(p)/10), pullLine(p))
		}
	})
	if ctx.Err() != nil {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		paused := c.do(short, http.MethodDelete, "/api/v1/models/"+escape(id)+"/pull", "", nil, nil)
		if paused == nil || job.AsError(paused).Code == job.CodeConflict {
			a.out.say("paused at %d %%; to go on: qie pull %s", percentOf(last), id)
		}
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if last.Error != nil {
		return &job.Error{Code: last.Error.Code, Message: last.Error.Message, Hint: last.Error.Hint}
	}
	if last.State == string(download.StatePaused) {
		return fmt.Errorf("somebody paused it; to go on: qie pull %s", id)
	}
	return a.pulled(last)
}

func (a *app) pulled(p event.ModelProgress) error {
	a.out.clear()
	if !a.out.json {
		a.out.result("%s is here", p.ID)
	}
	return nil
}

func percentOf(p event.ModelProgress) int {
	if p.BytesTotal == 0 {
		return 0
	}
	return int(p.BytesDone * 100 / p.BytesTotal)
}

// pullLine is a download in one line: checked bytes, the speed of the last 30 s, and a range for the rest.
func pullLine(p event.ModelProgress) string {
	line := fmt.Sprintf("%3d %%  %s of %s", percentOf(p), bytesText(p.BytesDone), bytesText(p.BytesTotal))
	switch download.State(p.State) {
	case download.StateDownloading:
	case download.StateChecking:
		return line + "  checking what is here"
	case download.StateWaiting:
		return line + "  waiting: " + p.Why
	default:
		return line + "  " + p.State
	}
	if p.BytesPerS > 0 {
		line += fmt.Sprintf("  %s/s", bytesText(int64(p.BytesPerS)))
	}
	if len(p.ETA) == 2 {
		line += "  " + span(p.ETA[0], p.ETA[1]) + " left"
	}
	return line
}

// span says a range of seconds in one unit, and one number when both ends are the same in it.
func span(low, high float64) string {
	unit, name := 1.0, "s"
	if high >= 120 {
		unit, name = 60, "min"
	}
	if high >= 5400 {
		unit, name = 3600, "h"
	}
	a, b := fmt.Sprintf("%.0f", low/unit), fmt.Sprintf("%.0f", high/unit)
	if name == "h" {
		a, b = fmt.Sprintf("%.1f", low/unit), fmt.Sprintf("%.1f", high/unit)
	}
	if a == b {
		return b + " " + name
	}
	return a + " to " + b + " " + name
}

func (c *client) catalogued(ctx context.Context, id string) (api.CatalogueEntry, error) {
	var list api.ModelList
	if err := c.do(ctx, http.MethodGet, "/api/v1/models", "", nil, &list); err != nil {
		return api.CatalogueEntry{}, err
	}
	for _, e := range list.Catalogue {
		if e.ID == id {
			return e, nil
		}
	}
	return api.CatalogueEntry{}, job.Errorf(job.CodeUnknownModel, "the server knows no model %q", id).WithHint("see: qie list")
}

// watchPull starts a download and tells of it until it does not run any more.
func (c *client) watchPull(ctx context.Context, id string, seen func(event.ModelProgress)) error {
	header := http.Header{}
	c.authorize(header)
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(c.base, "http")+"/api/v1/live", header)
	if err != nil {
		return fmt.Errorf("live events: %w", err)
	}
	_ = res.Body.Close() // gorilla has read it
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	// Behind the subscription, so that no change falls between.
	var p event.ModelProgress
	if err := c.do(ctx, http.MethodPost, "/api/v1/models/"+escape(id)+"/pull", "", nil, &p); err != nil {
		return err
	}
	began := false
	for {
		seen(p)
		switch download.State(p.State) {
		case download.StateComplete, download.StateFailed, download.StatePaused:
			// The first frame may still hold the end of an earlier pull.
			if began {
				return nil
			}
		}
		for changed := false; !changed; {
			var e event.Event
			if err := conn.ReadJSON(&e); err != nil {
				return notReady("the connection to %s is lost: %v", c.base, err).WithHint("to go on: qie pull " + id)
			}
			if e.Model != nil && e.Model.ID == id {
				p, changed, began = *e.Model, true, true
			}
		}
	}
}

// asksHere tells whether a person sits at both ends of the terminal.
func asksHere() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
}

func confirm(question string) bool {
	fmt.Fprintf(os.Stderr, "%s [Y/n] ", question)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	line = strings.ToLower(strings.TrimSpace(line))
	return err == nil && (line == "" || line == "y" || line == "yes")
}
