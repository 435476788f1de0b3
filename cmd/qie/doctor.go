package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"qie/pyruntime"
	"qie/supervisor/host"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
	"qie/web"
)

// diagnosis is the answer of `qie doctor --json` and of GET /api/v1/doctor.
type diagnosis struct {
	Version  string              `json:"version"`
	Worst    preflight.Level     `json:"worst"`
	Findings []preflight.Finding `json:"findings"`
}

func (a *app) doctor() *cobra.Command {
	var list, strict, fix bool
	cmd := &cobra.Command{
		Use: "doctor [NAME...]", Short: "Say what is wrong here, why, and what fixes it", Args: cobra.ArbitraryArgs,
		Example: "  qie doctor\n  qie doctor memory disk\n  qie doctor --fix",
		RunE: func(cmd *cobra.Command, names []string) error {
			if list {
				for _, n := range preflight.Names() {
					a.out.result("%-12s %s", n[0], n[1])
				}
				return nil
			}
			facts := a.facts(cmd.Context(), false)
			if fix {
				if err := a.repair(cmd.Context(), facts); err != nil {
					return err
				}
				facts = a.facts(cmd.Context(), false)
			}
			findings, err := preflight.Run(facts, names...)
			if err != nil {
				return exit(exitUsage, err)
			}
			return a.report(diagnosis{version(), preflight.Worst(findings), findings}, strict)
		},
	}
	cmd.Flags().BoolVar(&list, "list-checks", false, "list the checks")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 1 also on a warning")
	cmd.Flags().BoolVar(&fix, "fix", false, "repair the Python environment and the demo model")
	return cmd
}

func (a *app) report(d diagnosis, strict bool) error {
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
	for _, f := range d.Findings {
		mark := a.out.mark("✓", "32")
		switch f.Level {
		case preflight.Warning:
			mark = a.out.mark("!", "33")
		case preflight.Error:
			mark = a.out.mark("✗", "31")
		}
		a.out.result("%s %-12s %s", mark, f.Name, f.Title)
		if f.Cause != "" {
			a.out.result("    why: %s", f.Cause)
		}
		if f.Fix != "" {
			a.out.result("    fix: %s", f.Fix)
		}
	}
	if bad {
		return exit(exitFailed, errors.New("this machine is not ready; the lines with a cross say why"))
	}
	return nil
}

// repair builds the environment again and unpacks the demo again where they are damaged. It touches nothing else.
func (a *app) repair(ctx context.Context, f preflight.Facts) error {
	if f.EnvErr != nil {
		a.out.say("building the Python environment")
		if err := a.environment(func(line string) { a.out.progress("env", line) }).Build(ctx); err != nil {
			return err
		}
	}
	if f.ModelErr != nil && f.Demo {
		a.out.say("unpacking the demo model")
		dir, err := model.Unpack(pyruntime.Demo(), a.cfg.Home)
		if err != nil {
			return err
		}
		if model.Verify(dir) != nil {
			if err := os.RemoveAll(dir); err != nil { // sizes fit but bytes are wrong: nothing in it is the person's
				return fmt.Errorf("remove the damaged demo: %w", err)
			}
			if _, err := model.Unpack(pyruntime.Demo(), a.cfg.Home); err != nil {
				return err
			}
		}
	}
	return nil
}

// diagnose is the doctor for the page.
func (a *app) diagnose(ctx context.Context) diagnosis {
	findings, _ := preflight.Run(a.facts(ctx, true)) // no names, so no unknown ones
	return diagnosis{version(), preflight.Worst(findings), findings}
}

// facts gathers what the checks judge. serving says that this very process holds the port.
func (a *app) facts(ctx context.Context, serving bool) preflight.Facts {
	f := preflight.Facts{Host: host.Read(ctx, a.cfg.Home), Device: a.cfg.Device, DataDir: a.cfg.Home, Port: a.cfg.Port}
	env := a.environment(nil)
	f.EnvDir, f.EnvErr = env.Dir(), env.Ready()
	f.Interpreter, f.UV = python.Interpreter(ctx), a.uv() != ""
	a.modelFacts(&f)
	f.Node = node(ctx)
	_, err := fs.Stat(web.Dist(), "index.html")
	f.Page = err == nil
	f.DataErr = writable(a.cfg.Home)
	f.PortIsOurs = serving || a.instance(ctx) != "" && a.instancePort() == a.cfg.Port
	if f.Port != 0 && !f.PortIsOurs {
		f.PortHolder = host.PortHolder(ctx, f.Port)
	}
	return f
}

// modelFacts verifies the selected model: a small one by every byte, a large one by its files.
func (a *app) modelFacts(f *preflight.Facts) {
	dir, err := model.Select(a.cfg.Model, a.cfg.Home, a.cfg.HFHome, f.Host.MemoryTotal)
	if err != nil {
		f.ModelErr = err
		return
	}
	if f.Demo = dir == ""; f.Demo {
		if dir, err = model.Unpacked(pyruntime.Demo(), a.cfg.Home); err != nil || !exists(dir) {
			f.ModelErr = err
			return
		}
		if f.ModelErr = model.Verify(dir); f.ModelErr != nil {
			return
		}
	}
	f.Model, f.ModelErr = model.Load(dir)
}

func node(ctx context.Context) string {
	path := filepath.Join(checkout(), ".qie", "tools", "bin", "node")
	if !exists(path) {
		path = "node"
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
