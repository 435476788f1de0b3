package main

import (
	"context"
	"net/http"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"qie/api"
)

func (a *app) models() *cobra.Command {
	return &cobra.Command{
		Use: "models", Short: "List the models on this machine",
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
					mark := " "
					if m.Selected {
						mark = "*"
					}
					a.out.result("%s %-24s %9s  %-12s %s", mark, m.ID, bytesText(m.Bytes), m.Licence, m.Name)
					for _, p := range m.Presets {
						a.out.result("    --preset %-18s %d steps", p.Name, p.Steps)
					}
					for _, l := range m.LoRAs {
						a.out.result("    --lora %-20s %s", l.ID, strings.TrimSuffix(l.Name+": "+l.Note, ": "))
					}
				}
				return nil
			})
		},
	}
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		RunE: func(*cobra.Command, []string) error {
			if !a.out.json {
				a.out.result("qie %s", version())
				return nil
			}
			return a.out.value(map[string]string{"version": number, "commit": commit, "go": runtime.Version(), "os": runtime.GOOS,
				"arch": runtime.GOARCH})
		},
	}
}
