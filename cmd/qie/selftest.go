package main

import (
	"bytes"
	"context"
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

	"qie/pyruntime"
	"qie/supervisor/doctor"
	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/python"
)

// selfTestLimit is generous: a cold disk reads 5 GB of packages before the first step.
const selfTestLimit = 10 * time.Minute

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
