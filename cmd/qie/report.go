package main

import (
	"context"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"qie/supervisor/config"
	"qie/supervisor/doctor"
	"qie/supervisor/job"
)

// writeReport gathers what a developer needs. Prompts are read only to keep them out.
func (a *app) writeReport(ctx context.Context, f doctorFlags) error {
	path := f.report
	if path == "" || filepath.Ext(path) != ".zip" {
		return usagef("the report %q must end with .zip", path)
	}
	o := a.looking()
	o.Verify = f.verify
	facts := doctor.Gather(ctx, o)
	d, err := a.diagnosis(facts)
	if err != nil {
		return err
	}
	r := doctor.Report{Diagnosis: d, Facts: facts, Home: a.cfg.Home, Spec: facts.Model, Now: time.Now(), Settings: shareable(a.cfg.Values),
		Secrets: []string{a.cfg.Token, a.cfg.HFToken, a.cfg.InputFolder, a.cfg.OutputFolder, checkout()}}
	if dir := checkout(); dir != "" {
		r.Logs = []string{filepath.Join(dir, ".qie", "setup.log")}
	}
	if r.Jobs, err = a.everyJob(ctx); err != nil {
		a.out.say("note: the history cannot be read (%v); the report says nothing of jobs, and leaves the logs out", err)
		r.Home, r.Logs = filepath.Join(a.cfg.Home, "none"), nil // without the prompts nothing could be kept out of them
	}
	members, err := r.Save(path)
	if err != nil {
		return err
	}
	if a.out.json {
		return a.out.value(map[string]any{"path": path, "members": members})
	}
	a.out.result("%s", path)
	a.out.say("it holds %s; no prompts, pictures, names, paths or tokens. Look into it before you send it.", strings.Join(members, ", "))
	return nil
}

func (a *app) everyJob(ctx context.Context) ([]job.Job, error) {
	c, err := a.connect(ctx, true)
	if err != nil {
		return nil, err
	}
	jobs, err := c.allJobs(ctx, "", 0)
	if closeErr := c.close(ctx); err == nil {
		err = closeErr
	}
	return jobs, err
}

// shareable leaves of a setting that a person named only where it came from.
func shareable(values []config.Origin) []doctor.Setting {
	open := []string{"PORT", "QIE_DEVICE", "QIE_IDLE_UNLOAD", "QIE_MEMORY_OVERRIDE"}
	var settings []doctor.Setting
	for _, v := range values {
		s := doctor.Setting{Key: v.Key, Value: "(set)", From: v.From}
		if filepath.IsAbs(v.From) {
			s.From = filepath.Base(v.From)
		}
		if slices.Contains(open, v.Key) || v.From == "default" || v.Value == "" {
			s.Value = v.Value
		}
		if v.Key == "HOST" && v.Value == "127.0.0.1" {
			s.Value = v.Value
		}
		if u, err := url.Parse(v.Value); err == nil && u.Host != "" {
			s.Value = "(set)"
		}
		settings = append(settings, s)
	}
	return settings
}
