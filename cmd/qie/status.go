package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"qie/api"
	"qie/supervisor/event"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say in words what worker and queue do, and what helps where something is wrong",
		Long: "Say in words what worker and queue do, and what helps where something is wrong.\nWithout a running server it tells what waits. What is wrong with this machine is for qie doctor.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				var state event.State
				if err := c.do(ctx, http.MethodGet, "/api/v1/state", "", nil, &state); err != nil {
					return err
				}
				if a.out.json {
					return a.out.value(state)
				}
				address := c.base
				if c.own != nil {
					address = ""
				}
				for _, line := range statusLines(state, address) {
					a.out.result("%s", line)
				}
				return nil
			})
		},
	}
}

// statusLines is the state as a person reads it. An empty address is that no server runs.
func statusLines(s event.State, address string) []string {
	active := 0
	for _, j := range s.Jobs {
		if j.State.Active() {
			active++
		}
	}
	var lines []string
	if address == "" {
		lines = append(lines, "qie does not run", "next: start it with ./start")
	} else {
		lines = append(lines, "qie runs at "+address)
		if s.Model.Name != "" {
			lines = append(lines, "model: "+s.Model.Name)
		}
		lines = append(lines, workerLines(s.Worker)...)
		if s.Worker.Reason == "" {
			for _, n := range s.Reasons {
				lines = append(lines, append([]string{"not ready: " + n.Message}, furtherWords("", n.Hint, "")...)...)
			}
		}
	}
	queue := fmt.Sprintf("queue: %d run, %d wait", active, len(s.Queue.Waiting))
	if !s.Queue.Paused {
		lines = append(lines, queue)
	} else {
		lines = append(lines, queue+"; paused: "+s.Queue.Reason)
		lines = append(lines, furtherWords(s.Queue.Done, s.Queue.Hint, "")...)
	}
	return append(lines, furtherWords("", "", s.Worker.Report)...)
}

func (a *app) worker() *cobra.Command {
	cmd := &cobra.Command{
		Use: "worker", Short: "Restart the worker of the running server, or free its model's memory",
		Long:    "Restart the worker of the running server, or free its model's memory.\nA restart also repairs a Python environment in which the worker does not start. No accepted edit is lost by it.",
		Example: "  qie worker restart\n  qie worker unload",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	verb := func(use, short, said string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, _ []string) error {
			if a.instance(cmd.Context()) == "" {
				return notReady("qie does not run, so there is no worker").WithHint("start it with ./start")
			}
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				if err := c.do(ctx, http.MethodPost, "/api/v1/worker/"+use, "", nil, nil); err != nil {
					return err
				}
				a.out.say("%s", said)
				return nil
			})
		}}
	}
	cmd.AddCommand(verb("restart", "Start the worker again", "the worker is started again; an edit that ran is started again too"),
		verb("unload", "Free the model's memory", "the model's memory is freed; the next edit loads it again"))
	return cmd
}

func (a *app) crashes() *cobra.Command {
	return &cobra.Command{
		Use: "crashes [NAME]", Short: "List the reports of the worker's crashes, newest first, or print one", Args: cobra.MaximumNArgs(1),
		Long: "List the reports of the worker's crashes, newest first, or print one.\nA report holds no prompt, no file name and no path, so that it may be sent to somebody who helps.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				if len(args) == 1 {
					var report json.RawMessage
					if err := c.do(ctx, http.MethodGet, "/api/v1/crashes/"+url.PathEscape(args[0]), "", nil, &report); err != nil {
						return err
					}
					return a.out.value(report)
				}
				var list api.CrashList
				if err := c.do(ctx, http.MethodGet, "/api/v1/crashes", "", nil, &list); err != nil {
					return err
				}
				if a.out.json {
					return a.out.value(list)
				}
				for _, crash := range list.Crashes {
					a.out.result("%s  %s\n    %s", crash.Name, ago(crash.Time), strings.Join([]string{crash.Cause, crash.Done}, "; "))
				}
				if len(list.Crashes) == 0 {
					a.out.say("no crashes")
				}
				return nil
			})
		},
	}
}
