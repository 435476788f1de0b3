package supervisor

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"

	"qie/supervisor/event"
	"qie/supervisor/job"
	"qie/supervisor/picture"
	"qie/supervisor/worker"
)

// The parts that have to be there before a job can start.
const (
	partModel  = "model"
	partWorker = "worker"
)

// previewSide is the longest side of a preview in pixels: enough to see what happens, small enough to send each step.
const previewSide = 384

// provision makes model and worker available behind Open, both at once, and then runs the worker.
func (s *Supervisor) provision() {
	defer s.parts.Done()
	s.instance.endStaleWorker(s.log)
	for _, p := range s.instance.sweep(s.log) {
		s.Notice(job.Notice{Code: "leftover_ended", Message: fmt.Sprintf("a process that an earlier worker had left behind "+
			"was ended: %s (process %d)", p.Name, p.PID)})
	}
	var both sync.WaitGroup
	both.Go(s.provideModel)
	both.Go(s.provideWorker)
	both.Wait()
	if w := s.worker.Load(); w != nil {
		if err := w.Run(s.ctx); err != nil {
			s.log.Error("worker", "err", err)
		}
	}
}

func (s *Supervisor) provideModel() {
	defer close(s.modelKnown)
	s.serveFirst(s.chosen())
}

func (s *Supervisor) provideWorker() {
	command, err := s.cfg.ProvideWorker(s.ctx, func(message string) {
		s.setup(partWorker, job.Notice{Code: "worker_preparing", Message: message})
	})
	if err != nil {
		s.blocked(partWorker, err)
		return
	}
	cfg := s.cfg.Worker
	cfg.Command = func(generation int64, nonce string) (*exec.Cmd, error) {
		s.instance.nonce(generation, nonce)
		return command(generation, nonce)
	}
	cfg.Emit = func(e worker.Event) { s.inbox.put(e) }
	cfg.Log = s.log
	cfg.Device = s.cfg.Device
	if cfg.RunDir == "" {
		cfg.RunDir = filepath.Join(s.cfg.Home, "run")
	}
	if cfg.LogFile == "" {
		cfg.LogFile = filepath.Join(s.cfg.Home, "logs", "worker.log")
	}
	if cfg.CrashDir == "" {
		cfg.CrashDir = filepath.Dir(cfg.LogFile)
	}
	if cfg.PreviewSide == 0 {
		cfg.PreviewSide = previewSide
	}
	if cfg.MaxPixels == 0 {
		cfg.MaxPixels = picture.Default.Pixels
	}
	s.worker.Store(worker.New(cfg))
	s.provided(partWorker)
}

// blocked keeps why a part is not there. The page shows it; the queue waits and loses nothing.
func (s *Supervisor) blocked(part string, err error) {
	if s.ctx.Err() != nil {
		return
	}
	s.log.Error("not ready", "part", part, "err", err)
	why := job.AsError(err).Failure()
	s.setup(part, job.Notice{Code: string(why.Code), Message: said(why.Message, why.Done), Hint: why.Hint})
}

func (s *Supervisor) setup(part string, n job.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.setup[part] = n
	s.hub.Publish(event.Event{Type: event.TypeNotice, Notice: &n})
}

func (s *Supervisor) provided(part string) {
	s.mu.Lock()
	delete(s.view.setup, part)
	status := s.view.worker
	// The page hears of it by the worker's event: State and Ready changed.
	s.hub.Publish(event.Event{Type: event.TypeWorkerChanged, Worker: &status})
	s.mu.Unlock()
	s.inbox.put(func() {}) // the loop looks at the queue again
}
