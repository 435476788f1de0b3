package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qie/api"
	"qie/supervisor"
	"qie/supervisor/job"
)

// cleanupFlags are the original program's clean-up script, with a dry run, a question and care for originals.
type cleanupFlags struct {
	status, list, yes bool
	byStatus          string
	request           api.CleanupRequest
}

func (a *app) cleanup() *cobra.Command {
	var f cleanupFlags
	cmd := &cobra.Command{
		Use: "cleanup", Short: "Show what jobs take on disk, and remove ended ones",
		Example: "  qie cleanup --status\n  qie cleanup --hours 24 --dry-run\n  qie cleanup --by-status failed --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := func(names ...string) (n int) {
				for _, name := range names {
					if cmd.Flags().Changed(name) {
						n++
					}
				}
				return n
			}
			looks, removes := given("status", "list"), given("hours", "job", "by-status", "all")
			if removes > 1 || (looks == 0) == (removes == 0) {
				return usagef("choose one of --hours, --job, --by-status and --all to remove jobs, or --status and --list to look")
			}
			if err := f.understand(removes > 0); err != nil {
				return err
			}
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				if looks > 0 {
					return a.storage(ctx, c, f)
				}
				return a.runCleanup(ctx, c, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.status, "status", false, "count jobs and bytes by state")
	flags.BoolVar(&f.list, "list", false, "list jobs with their sizes")
	flags.Float64Var(&f.request.Hours, "hours", 0, "remove jobs that ended more than this many hours ago")
	flags.StringVar((*string)(&f.request.Job), "job", "", "remove this job")
	flags.StringVar(&f.byStatus, "by-status", "", "remove jobs that are succeeded, failed or canceled")
	flags.BoolVar(&f.request.All, "all", false, "remove every ended job")
	flags.BoolVar(&f.request.Originals, "originals", false, "remove their original photos too; else they are kept in the jobs folder")
	flags.BoolVar(&f.request.DryRun, "dry-run", false, "only show what would be removed")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	return cmd
}

// oldStates are the original program's words.
var oldStates = map[string]job.State{"complete": job.Succeeded, "completed": job.Succeeded, "error": job.Failed}

// understand turns the words of the flags into a request; --hours 0 is every ended job, as it was.
func (f *cleanupFlags) understand(removes bool) error {
	f.request.State = job.State(f.byStatus)
	if s, ok := oldStates[f.byStatus]; ok {
		f.request.State = s
	}
	if f.byStatus != "" && !f.request.State.Terminal() {
		return usagef("--by-status %s: only succeeded, failed and canceled jobs can be removed", f.byStatus)
	}
	if f.request.Hours < 0 {
		return usagef("--hours %g: must not be negative", f.request.Hours)
	}
	if r := f.request; removes && r.Hours == 0 && r.Job == "" && r.State == "" {
		f.request.All = true
	}
	return nil
}

func (a *app) runCleanup(ctx context.Context, c *client, f cleanupFlags) error {
	send := func(dry bool) (report supervisor.CleanupReport, err error) {
		r := f.request
		r.DryRun = dry
		data, err := json.Marshal(r)
		if err != nil {
			return report, fmt.Errorf("request: %w", err)
		}
		return report, c.do(ctx, http.MethodPost, "/api/v1/cleanup", "application/json", bytes.NewReader(data), &report)
	}
	report, err := send(true)
	if err == nil && !f.request.DryRun && len(report.Jobs)+report.Originals > 0 {
		question := fmt.Sprintf("remove %d jobs with their pictures (%s)?", len(report.Jobs), bytesText(report.Bytes))
		// What was named can go unasked where nobody sits, as it could before; everything needs a yes.
		if term.IsTerminal(int(os.Stdin.Fd())) || f.request.All {
			err = a.confirm(f.yes, question)
		}
		if err == nil {
			report, err = send(false)
		}
	}
	if err != nil {
		return err
	}
	report.DryRun = f.request.DryRun
	if a.out.json {
		return a.out.value(report)
	}
	verb := "removed"
	if f.request.DryRun {
		verb = "would remove"
		for _, j := range report.Jobs {
			a.out.result("%s  %-9s  %9s  %s", j.ID, j.State, bytesText(j.Bytes), oneLine(j.Prompt, 60))
		}
	}
	a.out.result("%s %d jobs, %s", verb, len(report.Jobs), bytesText(report.Bytes))
	switch {
	case report.Originals > 0:
		a.out.result("%s %d original photos with them", verb, report.Originals)
	case len(report.Jobs) > 0:
		a.out.say("their original photos are kept; see: qie cleanup --status")
	}
	return nil
}

// storage shows what jobs take.
func (a *app) storage(ctx context.Context, c *client, f cleanupFlags) error {
	var v supervisor.Storage
	if err := c.do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/storage?each=%t", f.list), "", nil, &v); err != nil {
		return err
	}
	if a.out.json {
		return a.out.value(v)
	}
	for _, j := range v.Jobs {
		a.out.result("%s  %-9s  %9s  %-11s  %s", j.ID, j.State, bytesText(j.Bytes), ago(j.CreatedAt), oneLine(j.Prompt, 50))
	}
	if !f.status {
		return nil
	}
	count := 0
	for _, s := range v.States {
		a.out.result("%-11s %5d  %s", s.State, s.Jobs, bytesText(s.Bytes))
		count += s.Jobs
	}
	if v.Originals.Files > 0 {
		a.out.result("%-11s %5d  %s in %s", "originals", v.Originals.Files, bytesText(v.Originals.Bytes), v.Originals.Folder)
	}
	a.out.result("%-11s %5d  %s in %s", "all", count, bytesText(v.Bytes), v.Folder)
	if v.Earlier != nil {
		a.out.result("%-11s %5d  %s of the program that came before; qie never changes them", "earlier", v.Earlier.Jobs, bytesText(v.Earlier.Bytes))
	}
	a.out.say("kept by themselves: the newest %s jobs, up to %s (QIE_KEEP_JOBS, QIE_KEEP_GB)", orAll(v.KeepJobs), orAny(v.KeepBytes))
	return nil
}

func orAll(n int) string {
	if n == 0 {
		return "of all"
	}
	return fmt.Sprint(n)
}

func orAny(n int64) string {
	if n == 0 {
		return "any size"
	}
	return bytesText(n)
}

// confirm asks on a terminal; elsewhere --yes is needed.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usagef("%s Say --yes, or --dry-run to look first", question)
	}
	fmt.Fprintf(os.Stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); word != "y" && word != "yes" {
		return exit(exitFailed, fmt.Errorf("nothing was removed"))
	}
	return nil
}
