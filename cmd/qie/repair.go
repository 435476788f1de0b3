package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"qie/pyruntime"
	"qie/supervisor/doctor"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
)

// repair builds the environment again and unpacks the demo again where they are damaged, and closes the data folder to
// others. It touches nothing else.
func (a *app) repair(ctx context.Context, f preflight.Facts, names []string) error {
	asked := func(check string) bool { return len(names) == 0 || slices.Contains(names, check) }
	if asked("environment") && (f.Env.Err != nil || f.Source.Err != nil || len(names) > 0) {
		env := a.environment(a.environmentProgress(nil))
		build := env.Repair
		if f.Env.Err == nil && f.Source.Err == nil { // asked for by name, and nothing shows
			a.out.say("reading every file of the environment, and starting the worker in it")
			if build = env.Mend; everyByteFails(ctx, env) {
				build = env.Renew
			}
		}
		if err := build(ctx); err != nil {
			return err
		}
		a.out.say("the Python environment is whole")
	}
	if asked("model") && f.ModelErr != nil && f.Demo {
		if err := a.repairDemo(); err != nil {
			return err
		}
		a.out.say("the demo model is whole")
	}
	if asked("data") && len(f.Data.Loose) > 0 {
		if err := doctor.Close(a.cfg.Home); err != nil {
			return err
		}
		a.out.say("the data folder is yours alone")
	}
	return nil
}

func everyByteFails(ctx context.Context, env python.Env) bool {
	_, err := env.Whole(ctx, true)
	return err != nil
}

func (a *app) repairDemo() error {
	dir, err := model.Unpack(pyruntime.Demo(), a.cfg.Home)
	if err != nil || model.Verify(dir) == nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // sizes fit but bytes are wrong: nothing in it is the person's
		return fmt.Errorf("remove the damaged demo: %w", err)
	}
	_, err = model.Unpack(pyruntime.Demo(), a.cfg.Home)
	return err
}
