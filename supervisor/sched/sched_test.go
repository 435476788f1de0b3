package sched

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"qie/supervisor/job"
)

// queue is the smallest thing that obeys the decisions.
type queue struct {
	view    View
	records map[job.ID]Record
	ended   map[job.ID]string
	profile map[job.ID]string
	ladder  []string // memory profiles below the first
}

func (q *queue) lower(id string) string {
	at := 0
	for i, p := range q.ladder {
		if p == q.profile[job.ID(id)] {
			at = i + 1
		}
	}
	if at < len(q.ladder) {
		return q.ladder[at]
	}
	return ""
}

func (q *queue) item(id string) *Item {
	for i := range q.view.Items {
		if q.view.Items[i].ID == job.ID(id) {
			return &q.view.Items[i]
		}
	}
	return nil
}

func (q *queue) step(id string, step job.Step, code job.Code) error {
	i := q.item(id)
	if i == nil {
		return fmt.Errorf("no job %s", id)
	}
	to, err := job.Next(i.State, step)
	if err != nil {
		return err
	}
	i.State = to
	if to.Terminal() {
		q.ended[i.ID] = strings.TrimSpace(string(to) + " " + string(code))
		*i = q.view.Items[len(q.view.Items)-1]
		q.view.Items = q.view.Items[:len(q.view.Items)-1]
	}
	return nil
}

func (q *queue) settle(id string, v Verdict) error {
	q.records[job.ID(id)] = v.Record
	if v.Profile != "" {
		q.profile[job.ID(id)] = v.Profile
	}
	if v.Failure != nil {
		return q.step(id, job.StepFail, v.Failure.Code)
	}
	if err := q.step(id, job.StepInterrupt, ""); err != nil || !v.Requeue {
		return err
	}
	return q.step(id, job.StepRequeue, "")
}

func (q *queue) play(words []string) error {
	id := ""
	if len(words) > 1 {
		id = words[1]
	}
	switch words[0] {
	case "submit":
		q.view.Items = append(q.view.Items, Item{ID: job.ID(id), Order: int64(len(q.records) + 1), State: job.Queued})
		q.records[job.ID(id)] = Record{}
		return nil
	case "hold", "free":
		q.item(id).Held = words[0] == "hold"
		return nil
	case "ready", "broken":
		q.view.Ready = words[0] == "ready"
		return nil
	case "profiles":
		q.ladder = words[1:]
		return nil
	case "profile":
		if got := q.profile[job.ID(id)]; got != words[2] {
			return fmt.Errorf("job %s has profile %q", id, got)
		}
		return nil
	case "accept":
		return q.step(id, job.StepAccept, "")
	case "succeed":
		return q.step(id, job.StepSucceed, "")
	case "cancel":
		return q.step(id, job.StepCancel, "")
	case "die":
		why := &job.Error{Code: job.Code(words[2]), Message: "scripted"}
		return q.settle(id, AfterDeath(q.item(id).State, q.records[job.ID(id)], why, q.lower(id)))
	case "error":
		why := &job.Error{Code: job.Code(words[2]), Message: "scripted"}
		return q.settle(id, AfterError(q.item(id).State, q.records[job.ID(id)], why, q.lower(id)))
	case "ended":
		if got, want := q.ended[job.ID(id)], strings.Join(words[2:], " "); got != want {
			return fmt.Errorf("job %s ended as %q, want %q", id, got, want)
		}
		return nil
	case "expect":
		return q.expect(strings.Join(words[1:], " "))
	}
	return fmt.Errorf("unknown line %v", words)
}

func (q *queue) expect(want string) error {
	got := "nothing"
	for _, a := range Next(q.view) {
		got = fmt.Sprintf("start %s %d", a.Start, a.Attempt)
		if err := q.step(string(a.Start), job.StepDispatch, ""); err != nil {
			return err
		}
		q.item(string(a.Start)).Attempt = a.Attempt
	}
	if got != want {
		return fmt.Errorf("next is %q, want %q", got, want)
	}
	return nil
}

func TestScenarios(t *testing.T) {
	text, err := os.ReadFile("testdata/scenarios.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, scenario := range strings.Split(string(text), "\nscenario ")[1:] {
		name, lines, _ := strings.Cut(scenario, "\n")
		t.Run(name, func(t *testing.T) {
			q := &queue{records: map[job.ID]Record{}, ended: map[job.ID]string{},
				profile: map[job.ID]string{}}
			for _, line := range strings.Split(lines, "\n") {
				if line == "" {
					continue
				}
				if err := q.play(strings.Fields(line)); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
		})
	}
}

func TestAfterRestart_OnlyACancelStaysEnded(t *testing.T) {
	for _, s := range job.States {
		if got, want := AfterRestart(s), s != job.Canceling; got != want {
			t.Errorf("after a restart in %s requeue is %t", s, got)
		}
	}
}
