package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"qie/supervisor/plan"
	"qie/supervisor/python"
	"qie/supervisor/wire"
	"qie/supervisor/worker/fakeworker"
)

// conformancePatience covers the imports of the real worker on a busy machine with two cores.
const conformancePatience = 3 * time.Minute

// TestConformance plays the same conversation with the fake worker and with the real one, so that what the other tests
// prove about the fake holds for the real.
func TestConformance(t *testing.T) {
	t.Run("fake", func(t *testing.T) { converse(t, fakeworker.Command("step takes 20ms"), nil) })
	t.Run("real", func(t *testing.T) {
		env := os.Getenv("QIE_PYTHON_ENV")
		if env == "" {
			t.Fatal("QIE_PYTHON_ENV names no Python environment; ./setup.sh --test makes one and sets it")
		}
		converse(t, func(gen int64, nonce string) (*exec.Cmd, error) { return python.Command(env, gen, nonce), nil }, refusesDamage)
	})
}

// talk is one side of the wire without a state machine.
type talk struct {
	t      *testing.T
	in     *os.File
	frames chan *wire.Frame
	seq    int64
}

func (c *talk) say(job string, msg any) {
	c.t.Helper()
	c.seq++
	env := wire.Envelope{Seq: c.seq, Gen: 1, Job: job}
	if job != "" {
		env.Attempt = 1
	}
	line, err := wire.Encode(env, msg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.raw(string(line))
}

func (c *talk) raw(text string) {
	c.t.Helper()
	if _, err := c.in.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// hear waits for a message of one type about the job; an error event ends the test unless it is what was asked for.
func hear[M any](c *talk, job string) *M {
	c.t.Helper()
	limit := time.After(conformancePatience)
	for {
		select {
		case f, open := <-c.frames:
			if !open {
				c.t.Fatalf("the worker ended before %T", *new(M))
			}
			if f.Msg == nil || f.Gen != 1 {
				c.t.Fatalf("a frame of an unknown type or generation: %+v", f.Envelope)
			}
			if msg, ok := f.Msg.(*M); ok && f.Job == job {
				return msg
			}
			switch msg := f.Msg.(type) {
			case *wire.Error:
				c.t.Fatalf("error instead of %T: %+v", *new(M), msg)
			case *wire.Fatal:
				c.t.Fatalf("fatal instead of %T: %+v", *new(M), msg)
			}
		case <-limit:
			c.t.Fatalf("never came: %T", *new(M))
		}
	}
}

// refusesDamage is row 23 with the real worker: a shard that was cut, and one with a flipped bit in its header, are refused before
// a weight is read; the worker lives, and the whole model is loaded afterwards.
func refusesDamage(c *talk, model, dir string) {
	c.t.Helper()
	shard := filepath.Join("transformer", "diffusion_pytorch_model-00001-of-00002.safetensors")
	for name, damage := range map[string]func([]byte) []byte{
		"cut": func(data []byte) []byte { return data[:len(data)-4096] },
		"bit": func(data []byte) []byte { data[2] ^= 0x01; return data }, // of the length of its header
	} {
		bad := filepath.Join(dir, name)
		if err := os.CopyFS(bad, os.DirFS(model)); err != nil {
			c.t.Fatal(err)
		}
		path := filepath.Join(bad, shard)
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, damage(data), 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.say(name, wire.Load{Model: "demo", Dir: bad, Profile: plan.ProfileResident})
		if got := hear[wire.Error](c, name); got.Code != "weights_corrupt" || got.FatalProcess {
			c.t.Errorf("a shard with damage %q: %+v", name, got)
		}
	}
	c.say("whole", wire.Load{Model: "demo", Dir: model, Profile: plan.ProfileResident})
	hear[wire.Loaded](c, "whole")
}

func converse(t *testing.T, command func(int64, string) (*exec.Cmd, error), more func(c *talk, model, dir string)) {
	cmd, err := command(1, "nonce-of-this-test")
	if err != nil {
		t.Fatal(err)
	}
	ends, err := openPipes()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = ends.childIn, ends.childOut, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _, _ = ends.childIn.Close(), ends.childOut.Close(), ends.childErr.Close()
	c := &talk{t: t, in: ends.in, frames: make(chan *wire.Frame, 4096)}
	go func() {
		defer close(c.frames)
		r := wire.NewReader(ends.out, wire.EventLineMax, wire.Events)
		for line, err := r.Next(); err == nil; line, err = r.Next() {
			if line.Frame != nil {
				c.frames <- line.Frame
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, _, _ = ends.in.Close(), ends.out.Close(), ends.err.Close()
	})

	hello := hear[wire.Hello](c, "")
	if hello.Nonce != "nonce-of-this-test" || hello.Protocol != wire.Version || hello.PID != cmd.Process.Pid {
		t.Errorf("hello %+v", hello)
	}
	dir := t.TempDir()
	c.say("", wire.Configure{Device: "cpu", ScratchDir: dir, BeatMS: 100, MaxPixels: 1 << 26, PreviewSide: 64})
	if ready := hear[wire.Ready](c, ""); ready.Device != "cpu" || ready.DType != "float32" {
		t.Errorf("ready %+v", ready)
	}
	hear[wire.Beat](c, "")

	c.raw("garbage\n\x00\xff\n\n{\"qie\":1,\"t\":\n")
	hear[wire.Dropped](c, "")
	c.raw(`{"qie":1,"t":"from_the_future","seq":1,"gen":1,"ms":0,"x":[1]}` + "\n")
	hear[wire.Dropped](c, "")
	c.say("", wire.Ping{ID: 41})
	if pong := hear[wire.Pong](c, ""); pong.ID != 41 {
		t.Errorf("pong %+v", pong)
	}
	c.say("", wire.Mem{})
	hear[wire.MemReport](c, "")

	model, err := filepath.Abs("../../pyruntime/demo/model")
	if err != nil {
		t.Fatal(err)
	}
	c.say("a", wire.Load{Model: "demo", Dir: model, Profile: plan.ProfileResident})
	hear[wire.Loaded](c, "a")

	request := wire.Generate{Prompt: "make it sepia", Steps: 2, TrueCFGScale: 1, Seed: 3, LoRAs: []wire.LoRA{}, Images: []string{photo(t, dir)},
		WorkWidth: 512, WorkHeight: 512, OutWidth: 200, OutHeight: 200, RefArea: 512 * 512, CondArea: 512 * 512,
		ResultPath: filepath.Join(dir, "a.png"), PreviewPath: filepath.Join(dir, "a.jpg")}
	c.say("a", request)
	hear[wire.Accepted](c, "a")
	checkResult(t, hear[wire.Result](c, "a"), request)

	long := request
	long.Steps, long.ResultPath = 100, filepath.Join(dir, "b.png")
	c.say("b", long)
	for p := hear[wire.Progress](c, "b"); p.Phase != "denoise" || p.Step == 0; p = hear[wire.Progress](c, "b") {
	}
	c.say("b", wire.Cancel{})
	c.say("b", wire.Cancel{})
	if canceled := hear[wire.Canceled](c, "b"); canceled.Phase != "denoise" {
		t.Errorf("canceled %+v", canceled)
	}
	if _, err := os.Stat(long.ResultPath); err == nil {
		t.Error("a canceled edit left a picture")
	}

	// The old cancel does not poison the next one, and a repeated load is no work.
	c.say("c", wire.Load{Model: "demo", Dir: model, Profile: plan.ProfileResident})
	hear[wire.Loaded](c, "c")
	request.ResultPath = filepath.Join(dir, "c.png")
	c.say("c", request)
	same := hear[wire.Result](c, "c")
	checkResult(t, same, request)

	// Another memory plan is another load, and the same picture to the last byte.
	c.say("d", wire.Load{Model: "demo", Dir: model, Profile: plan.ProfileStaged})
	hear[wire.Loaded](c, "d")
	request.ResultPath = filepath.Join(dir, "d.png")
	c.say("d", request)
	staged := hear[wire.Result](c, "d")
	if checkResult(t, staged, request); staged.SHA256 != same.SHA256 {
		t.Error("the staged plan gives another picture")
	}

	if more != nil {
		more(c, model, dir)
	}
	c.say("", wire.Unload{})
	hear[wire.Unloaded](c, "")
	c.say("", wire.Shutdown{GraceMS: 5000})
	hear[wire.Bye](c, "")
	for range c.frames { // to the end of the stream
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

func checkResult(t *testing.T, got *wire.Result, want wire.Generate) {
	t.Helper()
	data, err := os.ReadFile(want.ResultPath)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if got.Path != want.ResultPath || got.SHA256 != hex.EncodeToString(sum[:]) || got.Bytes != int64(len(data)) ||
		got.Width != want.OutWidth || got.Height != want.OutHeight || got.Seed != want.Seed {
		t.Errorf("result %+v", got)
	}
}

func photo(t *testing.T, dir string) string {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 200, 200))
	for y := range 200 {
		for x := range 200 {
			picture.Set(x, y, color.NRGBA{uint8(x), uint8(y), uint8(255 - x), 255})
		}
	}
	path := filepath.Join(dir, "photo.png")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := png.Encode(file, picture); err != nil {
		t.Fatal(err)
	}
	return path
}
