package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"qie/supervisor/config"
	"qie/supervisor/job"
)

// app is what every verb shares: the global flags, the settings and where output goes.
type app struct {
	out  output
	data string // --data
	cfg  config.Config
	// envHome is where the Python environments lie when that is not the data folder: the self-test has its own.
	envHome string
	// sources is where the settings came from, to look again.
	sources      config.Sources
	toldSettings string
}

// exitError carries the exit code of an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

// exitSilent is an exit code whose reason was printed already.
func exitSilent(code int) error { return &exitError{code, errSilent} }

var errSilent = errors.New("")

func isExit(err error) bool {
	var e *exitError
	return errors.As(err, &e)
}

func usagef(format string, args ...any) error { return exit(exitUsage, fmt.Errorf(format, args...)) }

// failed prints the error and gives the exit code.
func (a *app) failed(err error) int {
	if !errors.Is(err, errSilent) {
		a.out.fail(err)
	}
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	switch job.AsError(err).Code {
	case job.CodeNotReady, job.CodeEnvBroken, job.CodeWeightsMissing, job.CodeModelNotInstalled:
		return exitNotReady
	}
	return exitFailed
}

func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use: "qie", SuggestionsMinimumDistance: 2, Short: "Edit a photo by saying what should change, on your own computer",
		Example:       "  qie serve\n  qie edit -i photo.jpg \"make it sepia\" -o out.png\n  qie doctor",
		SilenceErrors: true, SilenceUsage: true, Version: version(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.settings(cmd) },
	}
	root.SetArgs(args)
	root.SetOut(os.Stdout)
	root.SetErr(os.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see: %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.BoolVar(&a.out.json, "json", false, "print results as JSON")
	flags.BoolVarP(&a.out.quiet, "quiet", "q", false, "print results and errors only")
	flags.BoolVar(&a.out.plain, "no-color", false, "no colours and no moving progress line")
	flags.StringVar(&a.data, "data", "", "data folder (default ~/qwen-image-editor)")
	root.AddCommand(a.serve(), a.setup(), a.edit(), a.jobs(), a.models(), a.pull(), a.list(), a.show(), a.rm(), a.status(), a.worker(), a.crashes(), a.doctor(), a.cleanup(), a.settingsCommand(), a.open(), a.service(), a.version())
	root.SetHelpCommand(&cobra.Command{Use: "help [command]", Short: "Help about a command", Run: func(cmd *cobra.Command, args []string) {
		found, _, err := root.Find(args)
		if err != nil || found == nil {
			found = root
		}
		_ = found.Help() // nowhere to tell it
	}})
	for _, c := range append(root.Commands(), root) {
		args := c.Args
		c.Args = func(cmd *cobra.Command, given []string) error {
			check := args
			if check == nil {
				check = cobra.NoArgs
			}
			if cmd == root {
				check = cobra.ArbitraryArgs
			}
			if err := check(cmd, given); err != nil {
				return usagef("%w; see: %s --help", err, cmd.CommandPath())
			}
			return nil
		}
	}
	root.RunE = func(cmd *cobra.Command, given []string) error {
		if len(given) == 0 {
			return cmd.Help()
		}
		suggestion := ""
		if s := root.SuggestionsFor(given[0]); len(s) > 0 {
			suggestion = "; did you mean: qie " + s[0]
		}
		return usagef("unknown command %q%s", given[0], suggestion)
	}
	return root
}

// settings loads the configuration once per command. HOST and PORT flags belong to serve.
func (a *app) settings(cmd *cobra.Command) error {
	flags := map[string]string{}
	if a.data != "" {
		flags["QIE_HOME"] = a.data
	}
	for name, key := range map[string]string{"host": "HOST", "port": "PORT", "device": "QIE_DEVICE", "model": "QIE_MODEL"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Annotations["setting"] != nil {
			flags[key] = f.Value.String()
		}
	}
	home, err := os.UserHomeDir()
	if err != nil && a.data == "" && os.Getenv("QIE_HOME") == "" {
		return fmt.Errorf("no home folder: %w; set QIE_HOME", err)
	}
	a.sources = config.Sources{Flags: flags, Env: os.Environ(), Checkout: checkout(), HomeDir: home}
	a.cfg, err = config.Load(a.sources)
	if err != nil {
		return exit(exitUsage, err)
	}
	return nil
}

// checkout is the folder that this binary was built in by setup.sh; empty when it lies elsewhere.
func checkout() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	dir, ok := strings.CutSuffix(filepath.Dir(path), filepath.Join(".qie", "bin"))
	if !ok {
		return ""
	}
	return filepath.Clean(dir)
}

// commit is what setup.sh built; empty in a build by hand.
var commit string

// number of this version.
const number = "0.1.0"

func version() string {
	if commit == "" {
		return number
	}
	return number + "+" + commit
}
