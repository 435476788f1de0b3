package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qie/supervisor/job"
)

// cleanupFlags are the original program's clean-up script, with a dry run and a question.
type cleanupFlags struct {
	status, list, all, dry, yes bool
	hours                       float64
	job, byStatus               string
}

func (a *app) cleanup() *cobra.Command {
	var f cleanupFlags
	cmd := &cobra.Command{
		Use: "cleanup", Short: "Show what jobs take on disk, and remove ended ones",
		Example: "  qie cleanup --status\n  qie cleanup --hours 24 --dry-run\n  qie cleanup --by-status failed --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen := 0
			for _, name := range []string{"status", "list", "hours", "job", "by-status", "all"} {
				if cmd.Flags().Changed(name) {
					chosen++
				}
			}
			if chosen != 1 {
				return usagef("choose one of --status, --list, --hours, --job, --by-status and --all")
			}
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error { return a.runCleanup(ctx, c, f) })
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.status, "status", false, "count jobs and bytes by state")
	flags.BoolVar(&f.list, "list", false, "list jobs with their sizes")
	flags.Float64Var(&f.hours, "hours", 0, "remove jobs that ended more than this many hours ago")
	flags.StringVar(&f.job, "job", "", "remove this job")
	flags.StringVar(&f.byStatus, "by-status", "", "remove jobs that are succeeded, failed or canceled")
	flags.BoolVar(&f.all, "all", false, "remove every ended job")
	flags.BoolVar(&f.dry, "dry-run", false, "only show what would be removed")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	return cmd
}

// oldStates are the original program's words.
var oldStates = map[string]job.State{"complete": job.Succeeded, "completed": job.Succeeded, "error": job.Failed}

func (a *app) runCleanup(ctx context.Context, c *client, f cleanupFlags) error {
	jobs, err := c.allJobs(ctx, "", 0)
	if err != nil {
		return err
	}
	switch {
	case f.status:
		return a.cleanupStatus(jobs)
	case f.list:
		return a.cleanupList(jobs)
	}
	chosen, err := f.choose(jobs, time.Now())
	if err != nil {
		return err
	}
	var total int64
	ids := []job.ID{}
	for _, j := range chosen {
		ids, total = append(ids, j.ID), total+a.jobBytes(j.ID)
	}
	if !f.dry && len(chosen) > 0 {
		if err := a.confirm(f.yes, fmt.Sprintf("remove %d jobs with their pictures (%s)?", len(ids), bytesText(total))); err != nil {
			return err
		}
		for _, id := range ids {
			if err := c.do(ctx, http.MethodDelete, "/api/v1/jobs/"+string(id), "", nil, nil); err != nil {
				return err
			}
		}
	}
	if a.out.json {
		return a.out.value(map[string]any{"jobs": ids, "bytes": total, "dry_run": f.dry})
	}
	verb := "removed"
	if f.dry {
		verb = "would remove"
		for _, j := range chosen {
			a.out.result("%s  %-9s  %s", j.ID, j.State, oneLine(j.Recipe.Prompt, 60))
		}
	}
	a.out.result("%s %d jobs, %s", verb, len(ids), bytesText(total))
	return nil
}

func (f cleanupFlags) choose(jobs []job.Job, now time.Time) ([]job.Job, error) {
	state := job.State(f.byStatus)
	if s, ok := oldStates[f.byStatus]; ok {
		state = s
	}
	if state != "" && !state.Terminal() {
		return nil, usagef("--by-status %s: only succeeded, failed and canceled jobs can be removed", f.byStatus)
	}
	if f.hours < 0 {
		return nil, usagef("--hours %g: must not be negative", f.hours)
	}
	var chosen []job.Job
	for _, j := range jobs {
		ended := j.State.Terminal()
		switch {
		case f.job != "":
			if string(j.ID) != f.job {
				continue
			}
			if !ended {
				return nil, job.Errorf(job.CodeConflict, "job %s is %s; cancel it first: qie jobs cancel %s", j.ID, j.State, j.ID)
			}
		case !ended, state != "" && j.State != state:
			continue
		case state == "" && !f.all && (j.FinishedAt == nil || now.Sub(*j.FinishedAt) < time.Duration(f.hours*float64(time.Hour))):
			continue
		}
		chosen = append(chosen, j)
	}
	if f.job != "" && len(chosen) == 0 {
		return nil, job.Errorf(job.CodeNotFound, "there is no job %s", f.job)
	}
	return chosen, nil
}

func (a *app) cleanupStatus(jobs []job.Job) error {
	count, size := map[job.State]int{}, map[job.State]int64{}
	var total int64
	for _, j := range jobs {
		n := a.jobBytes(j.ID)
		count[j.State]++
		size[j.State] += n
		total += n
	}
	if a.out.json {
		return a.out.value(map[string]any{"folder": a.cfg.JobsDir, "count": count, "bytes": size, "total_bytes": total})
	}
	for _, s := range job.States {
		if count[s] > 0 {
			a.out.result("%-11s %5d  %s", s, count[s], bytesText(size[s]))
		}
	}
	a.out.result("%-11s %5d  %s in %s", "all", len(jobs), bytesText(total), a.cfg.JobsDir)
	return nil
}

func (a *app) cleanupList(jobs []job.Job) error {
	type row struct {
		ID    job.ID    `json:"id"`
		State job.State `json:"state"`
		Bytes int64     `json:"bytes"`
	}
	rows := []row{}
	for _, j := range jobs {
		r := row{j.ID, j.State, a.jobBytes(j.ID)}
		rows = append(rows, r)
		if !a.out.json {
			a.out.result("%s  %-9s  %9s  %-11s  %s", j.ID, j.State, bytesText(r.Bytes), ago(j.CreatedAt), oneLine(j.Recipe.Prompt, 50))
		}
	}
	if a.out.json {
		return a.out.value(rows)
	}
	return nil
}

// jobBytes is what a job takes on disk.
func (a *app) jobBytes(id job.ID) int64 {
	var total int64
	_ = filepath.WalkDir(filepath.Join(a.cfg.JobsDir, string(id)), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() { // it may be removed meanwhile
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
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
	if strings.ToLower(strings.TrimSpace(answer)) != "y" {
		return exit(exitFailed, fmt.Errorf("nothing was removed"))
	}
	return nil
}
