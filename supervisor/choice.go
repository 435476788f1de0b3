package supervisor

import (
	"fmt"

	"qie/supervisor/job"
	"qie/supervisor/model"
)

// noticeNext is the notice that the settings choose another model than the one that serves.
const noticeNext = "model_at_next_start"

// NextModel is the model that the settings choose by now, where that is another than the one that serves: the next
// start takes it, and so does a restart of the worker. Zero when both are one.
func (s *Supervisor) NextModel() model.Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view.next
}

// chooseAgain looks which model the settings choose, after one has come or gone. It changes nothing that serves: a model
// of 58 GB is not put under somebody's next edit behind their back. Where none serves, because the chosen one was not
// here, it serves from now on: the edits in the line wait for it.
func (s *Supervisor) chooseAgain() {
	select { // the first choice may be about to find that nothing is here
	case <-s.modelKnown:
	case <-s.ctx.Done():
		return
	}
	s.choosing.Lock() // a look that began earlier must not have the last word
	defer s.choosing.Unlock()
	chosen, err := s.chosen()
	if s.Model().ID == "" {
		s.serveFirst(chosen, err)
		return
	}
	s.mu.Lock()
	if err != nil || chosen.ID == s.view.spec.ID { // it may serve by now
		chosen = model.Spec{}
	}
	was := s.view.next.ID
	s.view.next = chosen
	s.mu.Unlock()
	switch chosen.ID {
	case was:
	case "":
		s.Withdraw(noticeNext)
	default:
		s.Notice(job.Notice{Code: noticeNext, Message: fmt.Sprintf("%s is here, and the next start of qie serves it; a restart of the worker "+
			"(under System, or qie worker restart) does so now", chosen.Name)})
		if s.NextModel().ID != chosen.ID { // it came to serve in between
			s.Withdraw(noticeNext)
		}
	}
}

// serveFirst makes the first model that is there the one that serves.
func (s *Supervisor) serveFirst(chosen model.Spec, err error) {
	if err != nil {
		s.blocked(partModel, err)
		return
	}
	s.lookAtModels()
	s.mu.Lock()
	s.view.spec = chosen
	s.mu.Unlock()
	s.provided(partModel)
}

// takeNext makes the chosen model the one that serves, also for edits in the line that name none, as after a start. The
// loop runs it, so that no edit starts between the change and what follows from it.
func (s *Supervisor) takeNext() {
	s.mu.Lock()
	before, next := s.view.spec, s.view.next
	if next.ID != "" {
		s.view.spec, s.view.next = next, model.Spec{}
	}
	s.mu.Unlock()
	if next.ID == "" {
		return
	}
	s.log.Info("another model serves", "model", next.ID)
	s.Withdraw(noticeNext)
	for _, row := range s.rows {
		s.keepModel(row, before, next)
	}
}

// keepModel leaves an edit with the model that it was accepted for, where the next one cannot do it: a preset or a LoRA
// is a word of its model. Without that it would end as failed, for nothing that it asked.
func (s *Supervisor) keepModel(row *entry, before, next model.Spec) {
	j := &row.Job
	if j.Recipe.Model != "" {
		return
	}
	_, why := planOf(*j, next, row.Seed)
	named := j.Recipe
	named.Model = before.ID
	spec, here := s.specFor(named)
	if why == nil || !here || spec.ID != before.ID {
		return
	}
	j.Recipe = named
	j.Notices = replaced(j.Notices, job.Notice{Code: "model_kept", Message: fmt.Sprintf("it stays with %s, since %s cannot do it: %s",
		before.Name, next.Name, job.AsError(why).Message)})
	s.record(row, nil)
	s.publish(row)
}

// chosen is the model of the settings as they are.
func (s *Supervisor) chosen() (model.Spec, error) {
	dir, err := s.cfg.ProvideModel(s.ctx)
	if err != nil {
		return model.Spec{}, err
	}
	return model.Load(dir)
}
