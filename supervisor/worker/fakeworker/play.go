package fakeworker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"qie/supervisor/wire"
)

// fake is one process. The reader runs in main, the work in one goroutine, beats in another, as in the real worker.
type fake struct {
	script  script
	gen     int64
	started time.Time
	tick    atomic.Int64
	quiet   atomic.Bool
	holds   atomic.Int64 // bytes
	free    atomic.Int64 // of a GPU; 0 is none
	pid     int

	mu     sync.Mutex // one line at a time, with its seq
	seq    int64
	prefix string // glued in front of the next line

	// canceled closes when the newest request is to stop; replaced for each request.
	cancelMu  sync.Mutex
	canceled  chan struct{}
	cancelJob string
	deaf      bool // to everything
	deafFlag  bool // only an interrupt is heard

	model string // loaded
}

func newFake(s script, gen int64) *fake {
	f := &fake{script: s, gen: gen, started: time.Now(), pid: os.Getpid()}
	f.holds.Store(64 << 20)
	return f
}

// request carries its own cancel: it is registered when it is read, so that a cancel right behind it is not lost.
type request struct {
	env  wire.Envelope
	msg  any
	stop chan struct{}
}

func (f *fake) main() {
	term := make(chan os.Signal, 4)
	signal.Ignore(syscall.SIGINT)
	// Python gets an error from a closed pipe and no signal.
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range term {
			f.at("term", nil)
			switch {
			case f.has("term", "deafterm"): // deaf to both, as a Python that holds its lock
			case s == syscall.SIGHUP:
				orphaned()
			default:
				os.Exit(wire.ExitParentGone)
			}
		}
	}()
	dump := make(chan os.Signal, 4)
	signal.Notify(dump, syscall.SIGUSR1)
	go func() {
		for range dump {
			fmt.Fprintln(os.Stderr, "Current thread 0x1 (most recent call first): fake")
		}
	}()
	none := &attempt{fake: f}
	f.at("start", none)
	f.send(wire.Envelope{}, wire.Hello{Nonce: os.Getenv(envNonce), Protocol: wire.Version, PID: f.pid, Python: "fake"})
	f.at("hello", none)

	work := make(chan request, 64)
	go f.work(work)
	in := wire.NewReader(os.Stdin, wire.RequestLineMax, wire.Requests)
	for {
		line, err := in.Next()
		if err != nil {
			orphaned()
		}
		if line.Frame == nil || line.Frame.Msg == nil {
			f.send(wire.Envelope{}, wire.Dropped{Count: 1})
			continue
		}
		env := line.Frame.Envelope
		switch msg := line.Frame.Msg.(type) {
		case *wire.Ping:
			f.send(wire.Envelope{}, wire.Pong{ID: msg.ID})
		case *wire.Mem:
			f.send(wire.Envelope{}, wire.MemReport{Bytes: f.holds.Load(), DeviceFree: f.free.Load()})
		case *wire.Cancel:
			f.at("cancel", none)
			f.cancel(env.Job, msg.InterruptMS)
		case *wire.Shutdown:
			f.at("shutdown", none)
			f.send(wire.Envelope{}, wire.Bye{Reason: "shutdown"})
			os.Exit(0)
		default:
			work <- request{env, msg, f.register(env.Job)}
			if _, isLoad := msg.(*wire.Load); isLoad && f.has("idle", "deafstdin") { // from the load on
				select {}
			}
		}
	}
}

func (f *fake) work(in <-chan request) {
	for r := range in {
		a := &attempt{fake: f, env: wire.Envelope{Job: r.env.Job, Attempt: r.env.Attempt}, script: f.script, stop: r.stop}
		switch msg := r.msg.(type) {
		case *wire.Configure:
			f.at("ready", a)
			ready := wire.Ready{Device: "cpu", DType: "float32", DeviceName: "fake", Torch: "0"}
			if free := f.free.Load(); free > 0 {
				ready.Device, ready.DType, ready.DeviceMax, ready.DeviceFree = "cuda", "bfloat16", 80<<30, free
			}
			f.send(wire.Envelope{}, ready)
			go f.beat(time.Duration(msg.BeatMS) * time.Millisecond)
			f.at("idle", a)
		case *wire.Load:
			a.load(msg)
		case *wire.Unload:
			f.model = ""
			a.at("unload")
			f.send(wire.Envelope{}, wire.Unloaded{Bytes: f.holds.Load()})
		case *wire.Generate:
			if text, ok := strings.CutPrefix(msg.Prompt, "fake:"); ok {
				extra, err := parse(text)
				if err != nil {
					f.send(a.env, wire.Error{Code: "input_bad", Message: err.Error()})
					continue
				}
				a.script.rules = append(extra.rules, a.script.rules...)
				if strings.Contains(text, "step takes") {
					a.script.stepMS = extra.stepMS
				}
			}
			a.generate(msg)
		}
		f.endRequest(r.stop)
	}
}

func (f *fake) beat(every time.Duration) {
	if every <= 0 {
		every = time.Second
	}
	for range time.Tick(every) {
		if !f.quiet.Load() {
			f.send(wire.Envelope{}, wire.Beat{Tick: f.tick.Load(), Bytes: f.holds.Load()})
		}
	}
}

func (f *fake) cancel(job string, interruptMS int) {
	f.cancelMu.Lock()
	defer f.cancelMu.Unlock()
	stop := f.canceled
	if stop == nil || f.cancelJob != job || f.deaf {
		return
	}
	if f.deafFlag {
		time.AfterFunc(time.Duration(interruptMS)*time.Millisecond, func() {
			f.cancelMu.Lock()
			defer f.cancelMu.Unlock()
			if f.canceled == stop {
				close(stop)
				f.canceled = nil
			}
		})
		return
	}
	close(stop)
	f.canceled = nil
}

func (f *fake) register(job string) chan struct{} {
	f.cancelMu.Lock()
	defer f.cancelMu.Unlock()
	f.canceled, f.cancelJob = make(chan struct{}), job
	return f.canceled
}

func (f *fake) endRequest(stop chan struct{}) {
	f.cancelMu.Lock()
	defer f.cancelMu.Unlock()
	if f.canceled == stop {
		f.canceled, f.cancelJob = nil, ""
	}
}

func (f *fake) send(env wire.Envelope, msg any) {
	if err := f.write(env, msg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(70)
	}
}

func (f *fake) write(env wire.Envelope, msg any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	env.Seq, env.MS = f.seq, time.Since(f.started).Milliseconds()
	if env.Gen == 0 {
		env.Gen = f.gen
	}
	line, err := wire.Encode(env, msg)
	if err != nil {
		return err
	}
	_, _ = os.Stdout.Write(append([]byte(f.prefix), line...))
	f.prefix = ""
	return nil
}

func (f *fake) raw(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, _ = io.WriteString(os.Stdout, text)
}

func (f *fake) has(point, do string) bool {
	for _, r := range f.script.rules {
		if r.point == point && r.do == do && (r.gen == 0 || r.gen == f.gen) {
			return true
		}
	}
	return false
}

func (f *fake) at(point string, a *attempt) {
	if a == nil {
		a = &attempt{fake: f}
	}
	if a.script.rules == nil {
		a.script = f.script
	}
	a.at(point)
}

// attempt is one request being worked on.
type attempt struct {
	*fake
	env    wire.Envelope
	script script
	stop   <-chan struct{}
	ended  bool // an action sent the end
	wrong  bool
	noFile bool
}

// rest waits as long as the script says; false means canceled, and canceled was sent.
func (a *attempt) rest(ms int, phase string) bool {
	a.tick.Add(1)
	if !a.ended {
		select {
		case <-a.stop:
		case <-time.After(time.Duration(ms) * time.Millisecond):
			select {
			case <-a.stop:
			default:
				return true
			}
		}
		a.send(a.env, wire.Canceled{Phase: phase})
		a.ended = true
	}
	return false
}

func (a *attempt) load(msg *wire.Load) {
	const total = 1 << 20
	a.at("load")
	for i := range 4 {
		if !a.rest(a.script.loadMS/4, "loading") {
			return
		}
		a.send(a.env, wire.LoadProgress{BytesDone: int64(i+1) * total / 4, BytesTotal: total, Shard: 1, Shards: 1,
			Part: "transformer"})
	}
	a.at("loaded")
	if a.ended {
		return
	}
	a.model = msg.Dir
	a.send(a.env, wire.Loaded{Model: msg.Model, Seconds: 0.01, Bytes: a.holds.Load()})
}

func (a *attempt) generate(msg *wire.Generate) {
	if a.model == "" {
		a.send(a.env, wire.Error{Code: "internal", Message: "no model is loaded"})
		return
	}
	a.send(a.env, wire.Accepted{})
	a.at("accepted")
	for _, phase := range []string{"encode", "denoise", "decode", "save"} {
		a.send(a.env, wire.Phase{Phase: phase})
		a.at(phase)
		steps, first := 1, 1
		if phase == "denoise" {
			steps = msg.Steps
			if done := begun(msg.CheckpointPath); done > 0 && done < steps {
				first = done + 1
				a.send(a.env, wire.Resumed{Step: done})
				a.send(a.env, wire.Progress{Phase: phase, Step: done, Steps: steps, Fraction: float64(done) / float64(steps)})
			}
		}
		for k := first; k <= steps; k++ {
			if phase == "denoise" {
				a.at(fmt.Sprintf("step %d", k))
			}
			if !a.rest(a.script.stepMS, phase) {
				return
			}
			if phase != "denoise" {
				continue
			}
			if msg.CheckpointPath != "" {
				_ = os.WriteFile(msg.CheckpointPath, []byte(strconv.Itoa(k)), 0o600)
			}
			a.send(a.env, wire.Progress{Phase: phase, Step: k, Steps: steps, Fraction: float64(k) / float64(steps),
				StepS: float64(a.script.stepMS) / 1000})
			if msg.PreviewPath != "" && writePicture(msg.PreviewPath, 16, 16, msg.Seed, true) == nil {
				a.send(a.env, wire.Preview{Step: k, Path: msg.PreviewPath, Width: 16, Height: 16})
			}
		}
	}
	a.finish(msg)
}

// begun reads how many steps an earlier attempt did; the file of this fake holds that number alone.
func begun(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	steps, _ := strconv.Atoi(string(data))
	return steps
}

func (a *attempt) finish(msg *wire.Generate) {
	result := wire.Result{Path: msg.ResultPath, Width: msg.OutWidth, Height: msg.OutHeight, Seed: msg.Seed,
		Timings: []wire.Timing{{Name: "denoise", Seconds: 0.01}, {Name: "decode", Seconds: 0.01}}}
	if err := writePicture(msg.ResultPath, msg.OutWidth, msg.OutHeight, msg.Seed, false); err != nil {
		a.send(a.env, wire.Error{Code: "internal", Message: err.Error()})
		return
	}
	data, err := os.ReadFile(msg.ResultPath)
	if err != nil {
		a.send(a.env, wire.Error{Code: "internal", Message: err.Error()})
		return
	}
	sum := sha256.Sum256(data)
	result.Bytes, result.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
	a.at("result")
	if a.ended {
		return
	}
	if a.wrong {
		result.SHA256 = strings.Repeat("0", 64)
	}
	if a.noFile {
		_ = os.Remove(msg.ResultPath)
	}
	a.send(a.env, result)
	a.at("end")
}

// writePicture writes one colour, by temporary file, sync and rename.
func writePicture(path string, width, height int, seed int64, asJPEG bool) error {
	shade := color.RGBA{byte(seed), byte(seed >> 8), 0x80, 0xff}
	picture := image.NewPaletted(image.Rect(0, 0, max(width, 1), max(height, 1)), color.Palette{shade})
	file, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	if asJPEG {
		err = jpeg.Encode(file, picture, nil)
	} else {
		err = png.Encode(file, picture)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// orphaned ends the process group, as the real worker does.
func orphaned() {
	if syscall.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	os.Exit(wire.ExitParentGone)
}

// holder starts a process that keeps this one's pipes open.
func holder(ownSession bool) {
	exe, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envRole+"="+roleHolder)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if ownSession {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := cmd.Start(); err == nil {
		fmt.Fprintf(os.Stderr, "holder pid %d\n", cmd.Process.Pid)
	}
}
