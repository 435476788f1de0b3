package supervisor

import (
	"context"

	"qie/supervisor/job"
	"qie/supervisor/worker"
)

// RestartWorker starts a fresh process; a broken worker gets one more try, and a model that the settings choose by now
// serves from here on. Where the Python environment is what breaks
// it, the environment is repaired first, behind this call: Ready tells how it goes.
func (s *Supervisor) RestartWorker(ctx context.Context) error {
	w := s.worker.Load()
	if w == nil {
		return s.notReady()
	}
	if s.Model().ID == "" { // it may be here by now, at a place that nobody watches
		s.chooseAgain()
	}
	err := s.ask(ctx, func() {
		clear(s.lowered) // whoever asks for it may have made room: the fastest memory plan gets its chance again
		s.takeNext()
	})
	if err != nil {
		return err
	}
	status := w.Status()
	if s.cfg.RepairWorker == nil || status.State != string(worker.Broken) || status.Code != string(job.CodeEnvBroken) {
		return w.Restart(ctx)
	}
	if s.repairing.CompareAndSwap(false, true) && !s.begin(func() { s.repairWorker(w) }) {
		return context.Cause(s.ctx)
	}
	return nil
}

func (s *Supervisor) repairWorker(w *worker.Worker) {
	tell := func(message string) { s.setup(partWorker, job.Notice{Code: "worker_preparing", Message: message}) }
	tell("the Python environment is repaired")
	err := s.cfg.RepairWorker(s.ctx, tell)
	s.repairing.Store(false) // before anything is told: whoever hears that it failed may ask again at once
	if err != nil {
		s.blocked(partWorker, err)
		return
	}
	s.provided(partWorker)
	if err := w.Restart(s.ctx); err != nil {
		s.log.Error("start the worker in its repaired environment", "err", err)
	}
}
