package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"qie/pyruntime"
	"qie/supervisor/catalog"
	"qie/supervisor/doctor"
	"qie/supervisor/preflight"
	"qie/web"
)

type doctorFlags struct {
	list, strict, fix, verify bool
	report                    string
}

func (a *app) doctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use: "doctor [NAME...]", Short: "Say what is wrong here, why, and what fixes it", Args: cobra.ArbitraryArgs,
		Example: "  qie doctor\n  qie doctor memory disk\n  qie doctor --verify\n  qie doctor --fix\n  qie doctor --report",
		RunE: func(cmd *cobra.Command, names []string) error {
			if cmd.Flags().Changed("report") {
				if len(names) == 1 { // --report FILE without the equals sign
					f.report = names[0]
				}
				return a.writeReport(cmd.Context(), f)
			}
			return a.runDoctor(cmd.Context(), f, names)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.list, "list-checks", false, "list the checks")
	flags.BoolVar(&f.strict, "strict", false, "exit 1 also on a warning")
	flags.BoolVar(&f.verify, "verify", false, "also read every byte, start the worker and let the device compute (a minute)")
	flags.BoolVar(&f.fix, "fix", false, "repair environment, demo model and the data folder's rights, or those that are named")
	flags.StringVar(&f.report, "report", "", "write what a developer needs into one zip, without prompts, names, paths and tokens")
	flags.Lookup("report").NoOptDefVal = "qie-report.zip"
	return cmd
}

func (a *app) runDoctor(ctx context.Context, f doctorFlags, names []string) error {
	if f.list {
		for _, n := range preflight.Names() {
			a.out.result("%-12s %s", n[0], n[1])
		}
		return nil
	}
	if _, err := preflight.Run(preflight.Facts{}, names...); err != nil {
		return exit(exitUsage, err)
	}
	if f.fix {
		if err := a.repair(ctx, doctor.Gather(ctx, a.looking()), names); err != nil {
			return err
		}
	}
	o := a.looking()
	o.Verify = f.verify
	if f.verify {
		a.out.say("reading every file and starting the worker")
	}
	d, err := a.diagnosis(doctor.Gather(ctx, o), names...)
	if err != nil {
		return err
	}
	return a.report(d, f.strict)
}

func (a *app) diagnosis(f preflight.Facts, names ...string) (doctor.Diagnosis, error) {
	findings, err := preflight.Run(f, names...)
	return doctor.Diagnosis{Version: version(), Worst: preflight.Worst(findings), Findings: findings}, err
}

func (a *app) report(d doctor.Diagnosis, strict bool) error {
	bad := d.Worst == preflight.Error || strict && d.Worst == preflight.Warning
	if a.out.json {
		if err := a.out.value(d); err != nil {
			return err
		}
		if bad {
			return exitSilent(exitFailed)
		}
		return nil
	}
	a.out.clear()
	fmt.Print(preflight.Text(d.Findings, a.levelMark))
	if dir := checkout(); dir != "" && slices.ContainsFunc(d.Findings, func(f preflight.Finding) bool { return f.Fix != "" }) {
		a.out.say("run what begins with ./ in %s; qie is %s", dir, filepath.Join(dir, ".qie", "bin", "qie"))
	}
	if bad {
		return exit(exitFailed, errors.New("this machine is not ready; the lines with a cross say why"))
	}
	return nil
}

func (a *app) levelMark(level preflight.Level) string {
	colour := map[preflight.Level]string{preflight.OK: "32", preflight.Warning: "33", preflight.Error: "31"}[level]
	return a.out.coloured(preflight.Mark(level), colour)
}

// diagnose is the doctor for the page: this very process serves.
func (a *app) diagnose(ctx context.Context) doctor.Diagnosis {
	o := a.looking()
	o.Running = nil
	d, _ := a.diagnosis(doctor.Gather(ctx, o)) // no names, so no unknown ones
	return d
}

// looking is how doctor sees this program.
func (a *app) looking() doctor.Options {
	_, err := fs.Stat(web.Dist(), "index.html")
	return doctor.Options{Config: a.cfg, Pulled: a.pulledBefore(), Env: a.environment(nil), Demo: pyruntime.Demo(), Page: err == nil, Node: nodePath(), Built: built(),
		Running: func(ctx context.Context) bool { return a.instance(ctx) != "" && a.instancePort() == a.cfg.Port }}
}

// pulledBefore counts the bytes of the default model that an earlier pull has brought.
func (a *app) pulledBefore() int64 {
	hub, err := a.hub()
	if err != nil {
		return 0
	}
	defer hub.Close()
	m, ok, err := hub.Pinned(catalog.Models()[0])
	if err != nil || !ok {
		return 0
	}
	return hub.Have(m)
}

// built is when this program was made.
func built() time.Time {
	path, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func nodePath() string {
	if path := filepath.Join(checkout(), ".qie", "tools", "bin", "node"); checkout() != "" && exists(path) {
		return path
	}
	return "node"
}
