package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qie/pyruntime"
	"qie/supervisor/doctor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
)

// selfTestLimit is generous: a cold disk reads 5 GB of packages before the first step.
const selfTestLimit = 10 * time.Minute

// steps is how set-up is counted. setup.sh does three of them before.
const steps = 5

type setupFlags struct {
	log         string
	yes, inside bool
}

func (a *app) setup() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use: "setup", Short: "Build the Python environment and edit a picture as a self-test",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSetup(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.yes, "yes", false, "ask nothing")
	flags.StringVar(&f.log, "log", "", "file that takes the details (default: logs/setup.log in the data folder)")
	flags.BoolVar(&f.inside, "inside", false, "")
	_ = flags.MarkHidden("inside") // setup.sh says so: it has asked, and counts its own steps before these
	return cmd
}

func (a *app) runSetup(ctx context.Context, f setupFlags) error {
	start := time.Now()
	o := a.looking()
	o.NetworkLimit = doctor.PatientAsk
	facts := doctor.Gather(ctx, o)
	d, err := a.diagnosis(facts, preflight.Setup...)
	if err != nil {
		return err
	}
	if d.Worst == preflight.Error {
		return a.report(d, false)
	}
	for _, finding := range d.Findings {
		if finding.Level == preflight.Warning {
			a.out.say("note: %s: %s", finding.Title, finding.Cause)
		}
	}
	if err := a.announce(facts, f); err != nil {
		return err
	}
	log, err := a.setupLog(f.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	first := 1
	if f.inside {
		first = steps - 1
	}
	name := func(n int, what string) string { return fmt.Sprintf("[%d/%d] %s", n, first+1, what) }
	env := a.environment(a.environmentProgress(log))
	if err := a.buildStep(ctx, env, name(first, "Python environment"), facts.Env.Err != nil); err != nil {
		return err
	}
	if err := a.selfTest(ctx, env, name(first+1, "Self-test")); err != nil {
		return err
	}
	a.summary(ctx, facts, time.Since(start))
	return nil
}

// announce says what will be fetched before anything is, and asks where somebody can answer.
func (a *app) announce(f preflight.Facts, flags setupFlags) error {
	if len(f.Fetch) == 0 {
		return nil
	}
	if !flags.inside {
		for _, i := range f.Fetch {
			a.out.say("to be fetched: %s, %s (%s on disk) into %s", i.Name, bytesText(i.Download), bytesText(i.Disk), a.cfg.Home)
		}
	}
	if flags.yes || flags.inside || !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	fmt.Fprint(os.Stderr, "Go on? [Y/n] ")
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "" && answer != "y" && answer != "yes" {
		return exit(exitInterrupted, errors.New("nothing was changed"))
	}
	return nil
}

func (a *app) setupLog(path string) (*os.File, error) {
	if path == "" {
		path = filepath.Join(a.cfg.Home, "logs", "setup.log")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("set-up log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("set-up log: %w", err)
	}
	return file, nil
}

// environmentProgress folds uv's lines into one that moves; all of them go to the log.
func (a *app) environmentProgress(log io.Writer) func(string) {
	var p python.Progress
	return func(line string) {
		if log != nil {
			_, _ = fmt.Fprintln(log, line)
		}
		if text := p.Line(line); text != "" {
			topic, _, _ := strings.Cut(text, ",")
			a.out.progress(topic, "      "+oneLine(text, 72))
		}
	}
}

func (a *app) buildStep(ctx context.Context, env python.Env, name string, build bool) error {
	if !build {
		a.out.say("%s: here already", name)
		return env.Build(ctx) // the worker's source may be newer
	}
	a.out.say("%s: building", name)
	start := time.Now()
	if err := env.Repair(ctx); err != nil {
		return err
	}
	a.out.say("%s: ready (%.0f s)", name, time.Since(start).Seconds())
	return nil
}

// selfTest edits a picture with the demo model, by the same road as any edit, in a folder of its own.
func (a *app) selfTest(ctx context.Context, env python.Env, name string) error {
	if at := doctor.Passed(a.cfg.Home, env, pyruntime.Demo()); !at.IsZero() {
		a.out.say("%s: passed on %s", name, at.Format(time.DateOnly))
		return nil
	}
	demo, err := model.Unpack(pyruntime.Demo(), a.cfg.Home)
	if err != nil {
		return err
	}
	a.out.say("%s: the demo model edits a picture", name)
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, selfTestLimit, errTimeout)
	defer cancel()
	w, err := a.editOnce(ctx, demo)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	a.out.say("%s: passed on %s in %s with torch %s (%.0f s)", name, w.Device, w.DType, w.Torch, time.Since(start).Seconds())
	return doctor.SetPassed(a.cfg.Home, env, pyruntime.Demo(), time.Now())
}

// summary ends set-up: what is here, and what a person does next.
func (a *app) summary(ctx context.Context, before preflight.Facts, took time.Duration) {
	findings, err := preflight.Run(before, "memory")
	if err == nil {
		a.out.say("memory: %s", findings[0].Title)
	}
	name := "demo"
	if dir, err := a.modelDir(ctx); err == nil {
		if spec, err := model.Load(dir); err == nil {
			name = spec.Name
		}
	}
	a.out.say("model:  %s", name)
	a.out.say("data:   %s", a.cfg.Home)
	a.out.say("set-up took %s; nothing that you edit leaves this machine", took.Round(time.Second))
}

func (a *app) editOnce(ctx context.Context, demo string) (event.Worker, error) {
	home, err := os.MkdirTemp("", "qie-self-test-*")
	if err != nil {
		return event.Worker{}, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(home) }()
	// Its jobs are nobody's: they must not appear in the history.
	other := &app{out: output{quiet: true}, cfg: a.cfg}
	other.cfg.Home, other.cfg.JobsDir, other.cfg.Model = home, filepath.Join(home, "jobs"), demo
	other.cfg.Host, other.cfg.Token = "127.0.0.1", ""
	other.envHome = a.cfg.Home
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return event.Worker{}, fmt.Errorf("listen: %w", err)
	}
	l, err := other.startLocal(ctx, serverOptions{listener: listener})
	if err != nil {
		return event.Worker{}, errors.Join(err, listener.Close())
	}
	c := &client{base: l.url, own: l}
	err = a.editGradient(ctx, c)
	return l.sup.State().Worker, errors.Join(err, c.close(ctx))
}

// editGradient asks for black and white and looks whether the colours are gone.
func (a *app) editGradient(ctx context.Context, c *client) error {
	var picture, form bytes.Buffer
	if err := png.Encode(&picture, gradient(256)); err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	m := multipart.NewWriter(&form)
	part, err := m.CreateFormFile("image", "gradient.png")
	if err == nil {
		_, err = part.Write(picture.Bytes())
	}
	if err == nil {
		err = m.WriteField("recipe", `{"prompt":"make it black and white","seed":1}`)
	}
	if err = errors.Join(err, m.Close()); err != nil {
		return fmt.Errorf("form: %w", err)
	}
	var j job.Job
	if err := c.do(ctx, "POST", "/api/v1/jobs", m.FormDataContentType(), &form, &j); err != nil {
		return err
	}
	if j, err = c.follow(ctx, j.ID, (&teller{a: a, own: true}).see); err != nil {
		return err
	}
	if j.State != job.Succeeded {
		if j.Error != nil {
			return j.Error.Error()
		}
		return fmt.Errorf("the edit ended as %s", j.State)
	}
	data, err := c.result(ctx, j)
	if err != nil {
		return err
	}
	result, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("decode the result: %w", err)
	}
	before, after := colourfulness(gradient(256)), colourfulness(result)
	if after > before/4 {
		return fmt.Errorf("the picture should have lost its colours: mean spread of the channels was %.1f, is %.1f", before, after)
	}
	return nil
}

func gradient(side int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			m.SetNRGBA(x, y, color.NRGBA{uint8(40 + 180*x/side), uint8(40 + 180*y/side), uint8(200 - 150*x/side), 255})
		}
	}
	return m
}

// colourfulness is the mean difference between the largest and the smallest channel, 0 to 255.
func colourfulness(m image.Image) float64 {
	b := m.Bounds()
	var sum float64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
			sum += float64(max(c.R, c.G, c.B) - min(c.R, c.G, c.B))
		}
	}
	return sum / float64(b.Dx()*b.Dy())
}
