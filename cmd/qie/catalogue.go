package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"qie/api"
	"qie/supervisor/catalog"
	"qie/supervisor/download"
	"qie/supervisor/job"
)

func escape(id string) string { return url.PathEscape(id) }

func (a *app) list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the models that can be fetched, and what is here of them",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				var list api.ModelList
				if err := c.do(ctx, http.MethodGet, "/api/v1/models", "", nil, &list); err != nil {
					return err
				}
				if a.out.json {
					return a.out.value(list)
				}
				for _, m := range list.Models {
					if _, ok := catalog.Find(m.ID); !ok {
						a.out.result("%-24s %9s  %-12s %-9s %s", m.ID, bytesText(m.Bytes), m.Licence, "here", m.Name)
					}
				}
				for _, e := range list.Catalogue {
					a.out.result("%-24s %9s  %-12s %-9s %s", e.ID, bytesText(e.Bytes), e.Licence, stateOf(e), e.Name)
				}
				for _, m := range list.Models {
					if m.Next {
						a.out.say("%s is here, and the next start of qie serves it; to do so now: qie worker restart", m.ID)
					}
				}
				return nil
			})
		},
	}
}

// stateOf says in a word what is here of an entry.
func stateOf(e api.CatalogueEntry) string {
	switch state := download.State(e.Progress.State); {
	case e.Complete:
		return "here"
	case state == "absent":
		return "-"
	case state == download.StatePaused, state == download.StateFailed, state == download.StateDownloading:
		return bytesText(e.Progress.BytesDone)
	}
	return e.Progress.State
}

func (a *app) show() *cobra.Command {
	return &cobra.Command{
		Use: "show name", Short: "Show what is known of a model: licence, size, source, whether it fits, what is here",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, ok := catalog.Find(args[0])
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				if !ok {
					return a.showOwn(ctx, c, args[0])
				}
				e, err := c.catalogued(ctx, entry.ID)
				if err != nil {
					return err
				}
				if a.out.json {
					return a.out.value(e)
				}
				known := "the hub's word at the first pull, pinned from then on"
				if e.Known {
					known = "commit and sha256 of every weight file, in this program"
				}
				for _, row := range [][2]string{{"name", e.Name}, {"kind", e.Kind}, {"note", e.Note}, {"licence", e.Licence}, {"size", bytesText(e.Bytes)},
					{"source", e.Repository + at(e.Commit)}, {"checked by", known}, {"belongs to", e.Base}, {"this machine", e.Fit.Reason},
					{"here", here(e)}, {"folder", a.cfg.HubCache}} {
					a.row(row[0], row[1])
				}
				a.plans(e.Fit)
				return nil
			})
		},
	}
}

// showOwn shows a model that is here and in no catalogue: the demo, or a person's own.
func (a *app) showOwn(ctx context.Context, c *client, id string) error {
	var list api.ModelList
	if err := c.do(ctx, http.MethodGet, "/api/v1/models", "", nil, &list); err != nil {
		return err
	}
	for _, m := range list.Models {
		if m.ID != id {
			continue
		}
		if a.out.json {
			return a.out.value(m)
		}
		for _, row := range [][2]string{{"name", m.Name}, {"licence", m.Licence}, {"size", bytesText(m.Bytes)}, {"this machine", m.Fit.Reason}} {
			a.row(row[0], row[1])
		}
		a.plans(m.Fit)
		return nil
	}
	return job.Errorf(job.CodeUnknownModel, "qie knows no model %q", id).WithHint("see: qie list")
}

// row prints what is known under a name; nothing when nothing is.
func (a *app) row(name, text string) {
	if text != "" {
		a.out.result("%-13s %s", name, text)
	}
}

// plans prints what an edit takes under each memory plan.
func (a *app) plans(f catalog.Fit) {
	for _, m := range f.Plans {
		mark := " "
		if m.Taken {
			mark = "*"
		}
		a.out.result("%s %-11s %9s at the most, predicted for one photo; %s", mark, m.Plan, bytesText(m.Peak), m.Words)
	}
}

func here(e api.CatalogueEntry) string {
	switch {
	case e.Complete:
		return "complete, every file checked"
	case e.Progress.BytesDone > 0:
		return bytesText(e.Progress.BytesDone) + " of " + bytesText(e.Progress.BytesTotal) + ", " + e.Progress.State
	}
	return "nothing; fetch it with: qie pull " + e.ID
}

func (a *app) rm() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "rm name", Short: "Delete what was fetched of a model",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, ok := catalog.Find(args[0])
			if !ok {
				return job.Errorf(job.CodeUnknownModel, "qie has fetched no model %q", args[0]).WithHint("see: qie list")
			}
			return a.with(cmd.Context(), func(ctx context.Context, c *client) error {
				e, err := c.catalogued(ctx, entry.ID)
				if err != nil {
					return err
				}
				if e.Progress.BytesDone > 0 && !yes {
					if !asksHere() {
						return usagef("this deletes %s of %s in %s; to do it: qie rm %s --yes", bytesText(e.Progress.BytesDone), e.Name, a.cfg.HubCache, e.ID)
					}
					if !confirm("delete " + bytesText(e.Progress.BytesDone) + " of " + e.Name + " in " + a.cfg.HubCache + "?") {
						return exitSilent(exitFailed)
					}
				}
				var removed api.Removed
				if err := c.do(ctx, http.MethodDelete, "/api/v1/models/"+escape(e.ID), "", nil, &removed); err != nil {
					return err
				}
				if a.out.json {
					return a.out.value(removed)
				}
				a.out.result("deleted %s of %s", bytesText(removed.Bytes), e.ID)
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
