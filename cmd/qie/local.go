package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"qie/api"
	"qie/pyruntime"
	"qie/supervisor"
	"qie/supervisor/config"
	"qie/supervisor/download"
	"qie/supervisor/folder"
	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
	"qie/supervisor/worker"
	"qie/web"
)

// closeLimit bounds an orderly end: the worker gets its own ladder inside.
const closeLimit = 30 * time.Second

// trialLimit bounds a fresh environment's first imports, from a cold disk.
const trialLimit = 5 * time.Minute

// local is a supervisor with its HTTP server in this process. `qie serve` is one, and so is a verb that finds no
// running server.
type local struct {
	sup      *supervisor.Supervisor
	settings *config.Live
	input    *folder.Input
	http     *http.Server
	url      string
	hub      *download.Downloader
	log      io.Closer
	end      context.CancelFunc
	done     chan error
}

// environment is the worker's Python environment as these settings want it.
func (a *app) environment(progress func(string)) python.Env {
	return python.Env{Home: cmp.Or(a.envHome, a.cfg.Home), Override: os.Getenv("QIE_PYTHON_ENV"), UV: a.uv(), Lock: pyruntime.Lock,
		Source: pyruntime.Source(), Progress: progress, Trial: a.tryWorker}
}

// tryWorker starts the worker of a fresh environment before it takes the place of another.
func (a *app) tryWorker(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, trialLimit, errTimeout)
	defer cancel()
	_, err := python.Handshake(ctx, dir, a.cfg.Device)
	return err
}

// uv is the pinned one of the checkout, else the machine's own.
func (a *app) uv() string {
	if dir := checkout(); dir != "" {
		if path := filepath.Join(dir, ".qie", "tools", "bin", "uv"); exists(path) {
			return path
		}
	}
	if path, err := exec.LookPath("uv"); err == nil {
		return path
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// modelDir makes the selected model available: the one that QIE_MODEL names, else a complete one that is here already
// and fits, else the demo.
func (a *app) modelDir(ctx context.Context) (string, error) {
	facts := preflight.Facts{Host: host.Read(ctx, a.cfg.Home), Device: a.cfg.Device}
	dir, err := model.Select(a.cfg.Model, a.cfg.Home, a.cfg.HubCache, preflight.Full(facts.Host, facts.Kind()).Fits)
	if err != nil || dir != "" {
		return dir, err
	}
	return model.Unpack(pyruntime.Demo(), a.cfg.Home)
}

// serverOptions are what differs between the server of `serve` and that of a single verb.
type serverOptions struct {
	listener net.Listener
	idle     bool // start no worker: only data is read or removed
	serving  bool // it stays: what an earlier program left is taken over, what was being fetched goes on
}

// earlierJobs are the folders in which the program that came before kept its jobs: the one that is set, and its own.
func (a *app) earlierJobs() []string {
	dirs := []string{a.cfg.JobsDir}
	if home := a.sources.HomeDir; home != "" {
		if dir := filepath.Join(home, "qwen-image-editor", "jobs"); dir != filepath.Clean(a.cfg.JobsDir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func upkeep(cfg config.Config) supervisor.Upkeep {
	return supervisor.Upkeep{OutputFolder: cfg.OutputFolder, KeepJobs: cfg.KeepJobs, KeepBytes: cfg.KeepBytes}
}

func (a *app) startLocal(ctx context.Context, o serverOptions) (*local, error) {
	if err := os.MkdirAll(filepath.Join(a.cfg.Home, "logs"), 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	file := openLog(a.cfg.Home)
	log := slog.New(slog.NewJSONHandler(file, nil))
	hub, err := a.hub()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	cfg := supervisor.Config{
		Downloads: hub, ResumeDownloads: o.serving,
		Home: a.cfg.Home, JobsDir: a.cfg.JobsDir, Version: version(), Device: a.cfg.Device, Host: a.cfg.Host,
		ProvideModel: a.modelDir, Log: log, Upkeep: upkeep(a.cfg), NoRetention: o.idle,
		Worker: worker.Config{MemoryOverride: a.cfg.MemoryOverride, Limits: worker.Limits{Idle: a.cfg.IdleUnload}},
		ProvideWorker: func(ctx context.Context, report func(string)) (supervisor.CommandFunc, error) {
			if o.idle {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			env := a.environment(report)
			if err := env.Build(ctx); err != nil {
				return nil, err
			}
			return func(generation int64, nonce string) (*exec.Cmd, error) {
				return python.Command(env.Dir(), generation, nonce), nil
			}, nil
		},
	}
	cfg.RepairWorker = func(ctx context.Context, report func(string)) error { return a.environment(report).Mend(ctx) }
	if o.serving {
		cfg.ImportFrom = a.earlierJobs()
	}
	sup, err := supervisor.Open(ctx, cfg)
	if err != nil {
		hub.Close()
		return nil, errors.Join(err, file.Close())
	}
	// Requests and the watch outlive the signal: the server's own end closes them in order.
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	l := &local{sup: sup, hub: hub, log: file, done: make(chan error, 1), end: end, settings: config.NewLive(a.sources, a.cfg)}
	l.input = folder.OpenInput(base, log, func() {
		sup.Tell(job.Notice{Code: "input_folder_changed", Message: "the pictures in the input folder changed"})
	})
	if !o.idle {
		l.input.Watch(a.cfg.InputFolder)
	}
	port := o.listener.Addr().(*net.TCPAddr).Port
	l.url = "http://" + net.JoinHostPort(urlHost(a.cfg.Host), strconv.Itoa(port))
	if err := sup.Serving(l.url, port); err != nil {
		return nil, errors.Join(err, l.close(context.WithoutCancel(ctx)))
	}
	handler := api.New(api.Config{
		Supervisor: sup, Host: a.cfg.Host, Token: a.cfg.Token, Dist: web.Dist(), Settings: l.settings, Input: l.input,
		Log: log, Version: version(),
		Doctor: a.diagnose,
	})
	l.http = api.NewServer(base, handler)
	go func() { l.done <- l.http.Serve(o.listener) }()
	return l, nil
}

// urlHost is a host that a browser on this machine can open.
func urlHost(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}

// close ends live streams, then the server, then the worker and the store.
func (l *local) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	var errs []error
	l.end()
	l.input.Wait()
	if l.http != nil {
		short, cancelShort := context.WithTimeout(ctx, 2*time.Second)
		if l.http.Shutdown(short) != nil {
			errs = append(errs, l.http.Close())
		}
		cancelShort()
	}
	errs = append(errs, l.sup.Close(ctx))
	l.hub.Close()
	errs = append(errs, l.log.Close())
	return errors.Join(errs...)
}

// running is the error that another supervisor holds the data folder, if err is one.
func running(err error) *supervisor.RunningError {
	var r *supervisor.RunningError
	if errors.As(err, &r) {
		return r
	}
	return nil
}

func notReady(format string, args ...any) *job.Error {
	return job.Errorf(job.CodeNotReady, format, args...)
}
