package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"qie/pyruntime"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
)

// selfTestLimit is generous: a cold disk reads 5 GB of packages before the first step.
const selfTestLimit = 10 * time.Minute

func (a *app) setup() *cobra.Command {
	return &cobra.Command{
		Use: "setup", Short: "Build the Python environment and edit a picture as a self-test",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSetup(cmd.Context()) },
	}
}

func (a *app) runSetup(ctx context.Context) error {
	findings, err := preflight.Run(a.facts(ctx, false), "machine", "memory", "disk", "system", "device", "data")
	if err != nil {
		return err
	}
	if preflight.Worst(findings) == preflight.Error {
		return a.report(diagnosis{version(), preflight.Error, findings}, false)
	}
	env := a.environment(func(line string) { a.out.progress("environment", "  "+oneLine(line, 76)) })
	if env.Ready() != nil {
		a.out.say("environment: Python packages for the worker, about 5.4 GB with CUDA torch on Linux, 1.5 GB elsewhere, into %s", env.Dir())
	}
	start := time.Now()
	if err := env.Build(ctx); err != nil {
		return err
	}
	a.out.say("environment: ready (%.1f s)", time.Since(start).Seconds())
	return a.selfTest(ctx, env)
}

// tested is written when the self-test passed, so that it runs once for each environment, worker and model.
type tested struct {
	Lock   string    `json:"lock"`
	Source string    `json:"source"`
	Demo   string    `json:"demo"`
	At     time.Time `json:"at"`
}

// selfTest edits a picture with the demo model, by the same road as any edit, in a folder of its own.
func (a *app) selfTest(ctx context.Context, env python.Env) error {
	demo, err := model.Unpacked(pyruntime.Demo(), a.cfg.Home)
	if err != nil {
		return err
	}
	source, err := env.SourceHash()
	if err != nil {
		return err
	}
	now := tested{Lock: env.LockHash(), Source: source, Demo: filepath.Base(demo)}
	stamp := filepath.Join(a.cfg.Home, "run", "self-test.json")
	var last tested
	if data, err := os.ReadFile(stamp); err == nil && json.Unmarshal(data, &last) == nil {
		if last.At = now.At; last == now {
			a.out.say("self-test: passed before")
			return nil
		}
	}
	if _, err := model.Unpack(pyruntime.Demo(), a.cfg.Home); err != nil {
		return err
	}
	a.out.say("self-test: the demo model edits a picture")
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, selfTestLimit, errTimeout)
	defer cancel()
	if err := a.editOnce(ctx, demo); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	a.out.say("self-test: passed (%.1f s)", time.Since(start).Seconds())
	now.At = time.Now().UTC()
	data, err := json.Marshal(now)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(stamp), 0o700)
	}
	if err == nil {
		err = os.WriteFile(stamp, data, 0o600)
	}
	return err
}

func (a *app) editOnce(ctx context.Context, demo string) error {
	home, err := os.MkdirTemp("", "qie-self-test-*")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(home) }()
	// Its jobs are nobody's: they must not appear in the history.
	other := &app{out: output{quiet: true}, cfg: a.cfg}
	other.cfg.Home, other.cfg.JobsDir, other.cfg.Model = home, filepath.Join(home, "jobs"), demo
	other.cfg.Host, other.cfg.Token = "127.0.0.1", ""
	other.envHome = a.cfg.Home
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l, err := other.startLocal(ctx, serverOptions{listener: listener})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	c := &client{base: l.url, own: l}
	return errors.Join(a.editGradient(ctx, c), c.close(ctx))
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
