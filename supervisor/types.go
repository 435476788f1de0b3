package supervisor

import (
	"time"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

// Submission is one request for an edit.
type Submission struct {
	Recipe  job.Recipe
	Uploads []Upload // consumed by Submit, also when it fails
	Mask    *Upload
	// Parent is the job whose result is edited. Empty: the newest job whose result the first upload is, if there is one.
	Parent job.ID
}

// System is what a person may know of the program and the machine.
type System struct {
	Version    string          `json:"version"`
	Go         string          `json:"go" doc:"toolchain of the binary"`
	OS         string          `json:"os"`
	Arch       string          `json:"arch"`
	CPUs       int             `json:"cpus"`
	PID        int             `json:"pid"`
	StartedAt  time.Time       `json:"started_at"`
	UptimeS    float64         `json:"uptime_s"`
	URL        string          `json:"url,omitempty"`
	Worker     event.Worker    `json:"worker"`
	Model      event.ModelView `json:"model"`
	Gauges     event.Gauges    `json:"gauges"`
	DiskTotal  int64           `json:"disk_total_bytes"`
	Queued     int             `json:"queued" doc:"jobs that wait"`
	Active     int             `json:"active" doc:"jobs that the worker holds"`
	QueueMax   int             `json:"queue_max"`
	DataFolder string          `json:"data_folder"`
	JobsFolder string          `json:"jobs_folder"`
	Listeners  int             `json:"listeners" doc:"live connections"`
}
