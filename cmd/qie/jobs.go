package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

func (a *app) jobs() *cobra.Command {
	var state string
	var limit int
	list := func(ctx context.Context, c *client) error {
		jobs, err := c.allJobs(ctx, state, limit)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(jobs)
		}
		var state event.State
		if err := c.do(ctx, http.MethodGet, "/api/v1/state", "", nil, &state); err != nil {
			return err
		}
		a.sayQueue(state.Queue)
		for _, j := range jobs {
			a.out.result("%s  %-9s  %-11s  %s", j.ID, j.State, ago(j.CreatedAt), oneLine(j.Recipe.Prompt, 60))
			if j.Error != nil {
				a.out.result("    %s", j.Error.Code.Words().What)
			}
		}
		if len(jobs) == 0 {
			a.out.say("no jobs")
		}
		return nil
	}
	cmd := &cobra.Command{
		Use: "jobs", Short: "List jobs, newest first; show, cancel, retry, move or remove one; pause the queue",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.with(cmd.Context(), list) },
	}
	cmd.Flags().StringVar(&state, "state", "", "queued, running, succeeded, failed or canceled")
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "how many; 0 is all")
	verb := func(use, short, method, suffix string) *cobra.Command {
		return &cobra.Command{
			Use: use + " ID", Short: short, Args: exactID,
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
					path := "/api/v1/jobs/" + args[0] + suffix
					if method == http.MethodDelete {
						return c.do(ctx, method, path, "", nil, nil)
					}
					var j job.Job
					if err := c.do(ctx, method, path, "", nil, &j); err != nil {
						return err
					}
					return a.showJob(j)
				})
			},
		}
	}
	cmd.AddCommand(verb("show", "Show a job", http.MethodGet, ""), verb("cancel", "Cancel a job", http.MethodPost, "/cancel"),
		verb("retry", "Queue an ended job again", http.MethodPost, "/retry"),
		verb("duplicate", "Queue a new job with the recipe and pictures of another", http.MethodPost, "/duplicate"),
		a.moveJob(), a.pauseQueue(), a.resumeQueue(), verb("rm", "Remove a job with its files", http.MethodDelete, ""))
	return cmd
}

func (a *app) moveJob() *cobra.Command {
	var before string
	cmd := &cobra.Command{
		Use: "move ID", Short: "Put a waiting job at the front of the line, or before another", Args: exactID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				var j job.Job
				if err := c.post(ctx, "/api/v1/jobs/"+args[0]+"/move", map[string]string{"before": before}, &j); err != nil {
					return err
				}
				return a.showJob(j)
			})
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "id of the waiting job to stand in front of")
	return cmd
}

func (a *app) pauseQueue() *cobra.Command {
	return &cobra.Command{
		Use: "pause [REASON]", Short: "Start no job until the queue is resumed; what runs goes on", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setQueue(cmd.Context(), "pause", map[string]string{"reason": strings.Join(args, "")})
		},
	}
}

func (a *app) resumeQueue() *cobra.Command {
	return &cobra.Command{
		Use: "resume", Short: "Let the queue go on",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.setQueue(cmd.Context(), "resume", nil) },
	}
}

func (a *app) setQueue(ctx context.Context, verb string, body map[string]string) error {
	return a.with(ctx, func(ctx context.Context, c *client) error {
		var q event.Queue
		if err := c.post(ctx, "/api/v1/queue/"+verb, body, &q); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(q)
		}
		a.sayQueue(q)
		if !q.Paused {
			a.out.say("the queue goes on; %d wait", len(q.Waiting))
		}
		return nil
	})
}

// sayQueue tells why nothing starts.
func (a *app) sayQueue(q event.Queue) {
	if !q.Paused {
		return
	}
	a.out.say("the queue is paused: %s", q.Reason)
	for _, line := range furtherWords(q.Done, q.Hint, "") {
		a.out.say("%s", line)
	}
}

func exactID(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || !job.ID(args[0]).Valid() {
		return usagef("a job id is needed, for example: %s 1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b", cmd.CommandPath())
	}
	return nil
}

// with runs a read or a removal on the running server, else on the data folder without a worker.
func (a *app) with(ctx context.Context, do func(context.Context, *client) error) error {
	c, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, c), c.close(ctx))
}

func (a *app) showJob(j job.Job) error {
	if a.out.json {
		return a.out.value(j)
	}
	a.out.result("%s  %s  attempt %d\n  %s", j.ID, j.State, j.Attempt, oneLine(j.Recipe.Prompt, 200))
	for _, n := range j.Notices {
		a.out.result("  note: %s", n.Message)
		for _, line := range furtherWords("", n.Hint, n.Report) {
			a.out.result("  %s", line)
		}
	}
	if j.Error != nil {
		f := j.Error.Error().Failure() // a job of an older version has no words of its own
		a.out.result("  %s %s (%s)", f.Code.Words().What, f.Message, f.Code)
		for _, line := range furtherWords(f.Done, f.Hint, f.Report) {
			a.out.result("  %s", line)
		}
	}
	if j.Result != nil {
		a.out.result("  %d x %d, seed %d, model %s", j.Result.Width, j.Result.Height, j.Result.Seed, j.Result.Model)
	}
	return nil
}
