package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qie/supervisor/job"
)

type editFlags struct {
	images  []string
	mask    string
	out     string
	seed    int64
	timeout time.Duration
	recipe  job.Recipe
}

func (a *app) edit() *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use: "edit -i PHOTO \"WHAT SHOULD CHANGE\"", Short: "Edit a photo",
		Example: "  qie edit -i photo.jpg \"make it sepia\" -o out.png\n  cat photo.jpg | qie edit -i - \"blur it\" -o - > out.png",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.recipe.Prompt = args[0]
			if cmd.Flags().Changed("seed") {
				f.recipe.Seed = &f.seed
			}
			ctx := cmd.Context()
			if f.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, errTimeout)
				defer cancel()
			}
			return a.runEdit(ctx, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.images, "image", "i", nil, "source picture, 1 to 3 times; - is standard input")
	flags.StringVar(&f.mask, "mask", "", "what may change: a picture as large as the photo, white may change, black stays bit for bit")
	flags.StringVarP(&f.out, "output", "o", "", "result, .png or .jpg; - is standard output (default PHOTO-edited.png)")
	flags.StringVar(&f.recipe.Model, "model", "", "model (default: the selected one)")
	flags.IntVar(&f.recipe.Steps, "steps", 0, "denoise steps (default: the model's)")
	flags.Float64Var(&f.recipe.TrueCFGScale, "cfg", 0, "guidance, 1 is off (default: the model's)")
	flags.StringVar(&f.recipe.NegativePrompt, "negative", "", "what should not be there")
	flags.Int64Var(&f.seed, "seed", 0, "seed (default: drawn at random)")
	flags.StringVar(&f.recipe.Size, "size", "", "auto or WIDTHxHEIGHT (default auto: the photo's own size)")
	flags.StringVar(&f.recipe.Preset, "preset", "", "named bundle of the model, for example fast (qie models lists them)")
	flags.StringArrayVar(&f.recipe.LoRAs, "lora", nil, "LoRA of the model, id or id:strength; can be repeated")
	flags.DurationVar(&f.timeout, "timeout", 0, "give up after, for example 10m (default: never)")
	return cmd
}

var errTimeout = errors.New("the time is over")

func (a *app) runEdit(ctx context.Context, f editFlags) error {
	out, err := f.target()
	if err != nil {
		return err
	}
	form, contentType, err := f.form()
	if err != nil {
		return err
	}
	c, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	err = a.editOn(ctx, c, form, contentType, out)
	return errors.Join(err, c.close(ctx))
}

func (a *app) editOn(ctx context.Context, c *client, form io.Reader, contentType, out string) error {
	var j job.Job
	if err := c.do(ctx, "POST", "/api/v1/jobs", contentType, form, &j); err != nil {
		return err
	}
	id := j.ID
	teller := teller{a: a, own: c.own != nil}
	j, err := c.follow(ctx, id, teller.see)
	if stuck := (*stuckError)(nil); ctx.Err() != nil || errors.As(err, &stuck) {
		// The person does not want it any more, the time is over, or nothing here can run it: it must not go on in the
		// background.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if c.do(last, "POST", "/api/v1/jobs/"+string(id)+"/cancel", "", nil, nil) == nil {
			_, _ = c.follow(last, id, func(sight) error { return nil }) // until it has ended, so that a script finds it so
		}
		if stuck != nil {
			return exit(exitNotReady, stuck.why)
		}
		if errors.Is(context.Cause(ctx), errTimeout) {
			return exit(exitTimedOut, errors.New("the time is over; the job was canceled"))
		}
		return exit(exitInterrupted, errors.New("interrupted; the job was canceled"))
	}
	if err != nil {
		return err
	}
	if j.State != job.Succeeded {
		failure := &job.Error{Code: job.CodeCanceled, Message: "the job was canceled"}
		if j.Error != nil {
			failure = j.Error.Error()
		}
		return exit(exitJobFailed, failure)
	}
	data, err := c.result(ctx, j)
	if err != nil {
		return err
	}
	if err := save(out, data); err != nil {
		return err
	}
	if out == "-" {
		return nil
	}
	if a.out.json {
		return a.out.value(map[string]any{"path": out, "job": j})
	}
	a.out.result("%s", out)
	return nil
}

func (a *app) showProgress(j job.Job) {
	if j.State.Terminal() {
		return
	}
	text := j.State.Word()
	switch {
	case j.State == job.Queued && j.Position > 1:
		text = fmt.Sprintf("waiting, number %d in line", j.Position)
	case j.Phase != "":
		text = string(j.Phase)
		if j.Phase == "denoise" && j.Steps > 0 {
			text = fmt.Sprintf("denoise step %d of %d", j.Step, j.Steps)
		}
		text = fmt.Sprintf("%3.0f %%  %s", j.Percent, text)
		if len(j.ETA) == 2 {
			text += fmt.Sprintf(", %.0f to %.0f s left", j.ETA[0], j.ETA[1])
		}
		if j.Attempt > 1 {
			text += fmt.Sprintf(", try %d", j.Attempt)
		}
	}
	a.out.progress(fmt.Sprint(j.State, j.Phase, j.Attempt), text)
}

// target decides where the result goes before anything is computed.
func (f *editFlags) target() (string, error) {
	if len(f.images) == 0 {
		return "", usagef("no picture: name one with -i photo.jpg")
	}
	out := f.out
	if out == "" {
		name := strings.TrimSuffix(filepath.Base(f.images[0]), filepath.Ext(f.images[0]))
		if f.images[0] == "-" {
			name = "photo"
		}
		out = name + "-edited.png"
		for n := 2; exists(out); n++ {
			out = fmt.Sprintf("%s-edited-%d.png", name, n)
		}
	}
	if out == "-" {
		return out, nil
	}
	switch strings.ToLower(filepath.Ext(out)) {
	case ".png", ".jpg", ".jpeg":
	default:
		return "", usagef("the result %s must end with .png or .jpg", out)
	}
	info, err := os.Stat(filepath.Dir(out))
	if err != nil || !info.IsDir() {
		return "", usagef("the folder of %s does not exist", out)
	}
	return out, nil
}

// form reads the pictures and makes the request.
func (f *editFlags) form() (io.Reader, string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	stdin := 0
	files := make([]formFile, 0, len(f.images)+1)
	for _, path := range f.images {
		files = append(files, formFile{"image", path})
	}
	if f.mask != "" {
		files = append(files, formFile{"mask", f.mask})
	}
	for _, file := range files {
		if file.path == "-" {
			if stdin++; stdin > 1 {
				return nil, "", usagef("standard input can be only one of the pictures")
			}
		}
		if err := file.write(form); err != nil {
			return nil, "", err
		}
	}
	recipe, err := json.Marshal(f.recipe)
	if err == nil {
		err = form.WriteField("recipe", string(recipe))
	}
	if err == nil {
		err = form.Close()
	}
	return &body, form.FormDataContentType(), err
}

// formFile is a picture of the request; the path - is standard input.
type formFile struct{ part, path string }

func (f formFile) write(form *multipart.Writer) error {
	name, in := filepath.Base(f.path), io.Reader(os.Stdin)
	if f.path == "-" {
		name = "stdin"
	} else {
		file, err := os.Open(f.path)
		if err != nil {
			return usagef("cannot read %s: %w", f.path, errors.Unwrap(err))
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	part, err := form.CreateFormFile(f.part, name)
	if err == nil {
		_, err = io.Copy(part, in)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	return nil
}

// save writes the result by temporary name and rename: an older picture of that name stays until the new one is whole.
func save(out string, data []byte) error {
	if strings.EqualFold(filepath.Ext(out), ".jpg") || strings.EqualFold(filepath.Ext(out), ".jpeg") {
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("decode the result: %w", err)
		}
		var buffer bytes.Buffer
		if err := jpeg.Encode(&buffer, picture, &jpeg.Options{Quality: 95}); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		data = buffer.Bytes()
	}
	if out == "-" {
		_, err := os.Stdout.Write(data)
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(out), ".qie-*")
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), out)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("save %s: %w", out, err)
	}
	return nil
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
