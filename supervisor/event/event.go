// Package event owns what the browser is told: the union of live events, their epoch and seq, the ring that makes a
// reconnect lossless, and one latest-wins progress slot per job and subscriber. It decides nothing about jobs.
package event

import (
	"encoding/json"
	"sync"

	"qie/supervisor/job"
)

// Type names an event on /api/v1/live.
type Type string

// The types. A client ignores one that it does not know.
const (
	TypeState         Type = "state"
	TypeJobChanged    Type = "job.changed"
	TypeJobProgress   Type = "job.progress"
	TypeJobRemoved    Type = "job.removed"
	TypeWorkerChanged Type = "worker.changed"
	TypeQueueChanged  Type = "queue.changed"
	TypeModelProgress Type = "model.progress"
	TypeSystemGauges  Type = "system.gauges"
	TypeNotice        Type = "notice"
)

// Event is one frame on /api/v1/live. Exactly the field that belongs to Type is set.
type Event struct {
	Type     Type           `json:"type"`
	Epoch    string         `json:"epoch" doc:"boot id of the supervisor"`
	Seq      int64          `json:"seq" doc:"order of events inside an epoch"`
	State    *State         `json:"state,omitempty"`
	Job      *job.Job       `json:"job,omitempty"`
	ID       job.ID         `json:"id,omitempty" doc:"of the removed job"`
	Progress *Progress      `json:"progress,omitempty"`
	Worker   *Worker        `json:"worker,omitempty"`
	Queue    *Queue         `json:"queue,omitempty"`
	Model    *ModelProgress `json:"model,omitempty"`
	Gauges   *Gauges        `json:"gauges,omitempty"`
	Notice   *job.Notice    `json:"notice,omitempty"`

	once *frame
}

// frame is what an event looks like on the wire, made once for everybody who is sent it.
type frame struct {
	once sync.Once
	data []byte
	err  error
}

// Frame gives the event as JSON. A thousand listeners share one.
func (e Event) Frame() ([]byte, error) {
	if e.once == nil {
		return json.Marshal(e)
	}
	e.once.once.Do(func() { e.once.data, e.once.err = json.Marshal(e) })
	return e.once.data, e.once.err
}

// Progress of the running attempt. Latest wins: a client may miss some, never the job.changed events.
type Progress struct {
	Job     job.ID    `json:"job"`
	Attempt int       `json:"attempt"`
	Phase   job.Phase `json:"phase"`
	Step    int       `json:"step"`
	Steps   int       `json:"steps"`
	Percent float64   `json:"percent"`
	ETA     []float64 `json:"eta_s,omitempty" nullable:"false"`
	Preview string    `json:"preview,omitempty" doc:"address of the newest preview"`
}

// Worker is what a person may know of the Python process.
type Worker struct {
	State       string  `json:"state" doc:"down spawning probing cold loading warm busy canceling suspect unloading stopping exited backoff broken"`
	Generation  int64   `json:"generation" doc:"how many times a worker was started"`
	PID         int     `json:"pid,omitempty"`
	Device      string  `json:"device,omitempty" doc:"mps, cuda or cpu"`
	DType       string  `json:"dtype,omitempty"`
	DeviceBytes int64   `json:"device_bytes,omitempty" doc:"what the device should hold at most; absent where it has no limit of its own"`
	Model       string  `json:"model,omitempty" doc:"id of the loaded model"`
	Code        string  `json:"code,omitempty" doc:"stable name of the reason"`
	Reason      string  `json:"reason,omitempty" doc:"why it is in this state, in words"`
	Done        string  `json:"done,omitempty" doc:"what qie did about it"`
	Hint        string  `json:"hint,omitempty" doc:"the one next action"`
	Report      string  `json:"report,omitempty" doc:"name of the newest crash report, for /api/v1/crashes/{name}"`
	RetryInS    float64 `json:"retry_in_s,omitempty" doc:"seconds until the next start"`
	Job         job.ID  `json:"job,omitempty"`
	Torch       string  `json:"torch,omitempty" doc:"version"`
	LoadS       float64 `json:"load_s,omitempty" doc:"seconds the last load took, measured"`
	RSSBytes    int64   `json:"rss_bytes,omitempty"`
	BytesDone   int64   `json:"bytes_done,omitempty" doc:"weights read so far while loading"`
	BytesTotal  int64   `json:"bytes_total,omitempty"`
}

// Queue is the line in front of the worker. Latest wins: a newer one replaces the older.
type Queue struct {
	Paused  bool     `json:"paused" doc:"nothing starts until somebody resumes, or until the cause is gone"`
	By      string   `json:"by,omitempty" enum:"person,disk,worker" doc:"person: until it is resumed; disk: until there is space again; worker: it does not start, until it is resumed or a try of its own succeeds"`
	Reason  string   `json:"reason,omitempty" doc:"why it is paused, in words"`
	Done    string   `json:"done,omitempty" doc:"what qie did about it"`
	Hint    string   `json:"hint,omitempty" doc:"the one next action"`
	Waiting []job.ID `json:"waiting" nullable:"false" doc:"the jobs that wait, next first"`
}

// ModelProgress is a download. Its bytes are on the disk and checked.
type ModelProgress struct {
	ID         string       `json:"id"`
	State      string       `json:"state" doc:"queued listing checking downloading waiting paused failed complete"`
	Why        string       `json:"why,omitempty" doc:"what it waits for, in words"`
	BytesDone  int64        `json:"bytes_done"`
	BytesTotal int64        `json:"bytes_total"`
	BytesPerS  float64      `json:"bytes_per_s" doc:"mean of the last 30 seconds; 0 while it is not known"`
	ETA        []float64    `json:"eta_s,omitempty" nullable:"false" doc:"seconds left: low, high; absent until measured"`
	File       string       `json:"file,omitempty" doc:"that comes now"`
	Error      *job.Failure `json:"error,omitempty" doc:"why it failed; what was fetched is kept"`
}

// Gauges are measured numbers now.
type Gauges struct {
	MemoryTotal     int64 `json:"memory_total_bytes"`
	MemoryAvailable int64 `json:"memory_available_bytes"`
	DiskFree        int64 `json:"disk_free_bytes"`
	WorkerRSS       int64 `json:"worker_rss_bytes"`
	SupervisorRSS   int64 `json:"supervisor_rss_bytes"`
}

// State is all a page needs at one epoch and seq.
type State struct {
	Epoch   string       `json:"epoch"`
	Seq     int64        `json:"seq"`
	Version string       `json:"version"`
	Ready   bool         `json:"ready"`
	Reasons []job.Notice `json:"reasons" nullable:"false" doc:"why a job would not start now"`
	Jobs    []job.Job    `json:"jobs" nullable:"false" doc:"all that wait or run, and the newest that ended"`
	Worker  Worker       `json:"worker"`
	Queue   Queue        `json:"queue"`
	Model   ModelView    `json:"model"`
	Gauges  Gauges       `json:"gauges"`
	Notices []job.Notice `json:"notices" nullable:"false"`

	Downloads []ModelProgress `json:"downloads" nullable:"false" doc:"of models, since this start"`
}

// ModelView is the selected model as a page shows it.
type ModelView struct {
	ID         string       `json:"id"`
	Name       string       `json:"name"`
	Notice     string       `json:"notice,omitempty" doc:"for example that this is the miniature, and how to get the full model"`
	MaxImages  int          `json:"max_images"`
	Steps      int          `json:"default_steps"`
	CFG        float64      `json:"default_true_cfg_scale"`
	Takes      []float64    `json:"takes_s,omitempty" nullable:"false" doc:"seconds of an edit by default: low, high, from what was measured here; absent until then"`
	KnownEdits []KnownEdit  `json:"known_edits" nullable:"false"`
	Presets    []PresetView `json:"presets" nullable:"false" doc:"the quickest first"`
	LoRAs      []LoRAView   `json:"loras" nullable:"false"`
}

// PresetView is a preset of a model as a page offers it.
type PresetView struct {
	Name  string    `json:"name"`
	Steps int       `json:"steps"`
	CFG   float64   `json:"true_cfg_scale,omitempty" doc:"guidance; absent: the model's default"`
	Takes []float64 `json:"takes_s,omitempty" nullable:"false" doc:"seconds of an edit: low, high, from what was measured here; absent until then"`
}

// LoRAView is a LoRA of a model as a page offers it.
type LoRAView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Note string `json:"note,omitempty" doc:"what it does, in a few words"`
}

// KnownEdit is a wording that the model was trained for, offered as a chip.
type KnownEdit struct {
	Label  string `json:"label"`
	Prompt string `json:"prompt"`
	Group  string `json:"group,omitempty" doc:"colour, light, shape, detail, draw, two pictures, or another word to group by"`
	Images int    `json:"images,omitempty" doc:"how many pictures the wording speaks of, where that is more than one"`
}
