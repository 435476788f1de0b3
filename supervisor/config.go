package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"time"

	"qie/supervisor/download"
	"qie/supervisor/worker"
)

// QueueMax is how many jobs may wait or run when Config says nothing.
const QueueMax = 200

// DiskFloor is how much space a job needs to start when Config says nothing: room for its pictures and for the database.
const DiskFloor = 2_000_000_000

// UploadBytesMax bounds one uploaded picture.
const UploadBytesMax = 100 << 20

// CommandFunc makes the command of a worker's generation; its environment carries the nonce.
type CommandFunc func(generation int64, nonce string) (*exec.Cmd, error)

// Config of a supervisor, built by cmd/qie.
type Config struct {
	Home    string // data folder
	JobsDir string // empty: Home/jobs
	Version string
	Device  string // auto, mps, cuda or cpu
	Host    string // as bound; for the instance file and State
	// ImportFrom are jobs folders of the program that came before, read once and never changed.
	ImportFrom []string
	// Upkeep is what may change while the supervisor runs.
	Upkeep Upkeep
	// NoRetention is for who only looks: nothing is removed unasked.
	NoRetention bool

	// ProvideModel makes the selected model's directory available (for the demo: unpacked) and returns it.
	ProvideModel func(ctx context.Context) (dir string, err error)
	// ProvideWorker makes the Python environment available and returns how to start the worker. report tells in words
	// what it is doing; Ready shows it.
	ProvideWorker func(ctx context.Context, report func(message string)) (CommandFunc, error)
	// RepairWorker repairs the Python environment in its place; nil: only a person can.
	RepairWorker func(ctx context.Context, report func(message string)) error

	// Worker carries what tests change: Limits, Guard, CPUThreads. The supervisor fills in the rest.
	Worker worker.Config

	// DiskFloor is how many bytes must be free before a job starts; 0: DiskFloor, below 0: none.
	DiskFloor int64
	// DiskFree tells how many bytes are free for the jobs folder; nil asks the system.
	DiskFree func() (int64, error)
	// RecheckEvery is how often the cause of a pause that heals by itself is looked at; 0: two seconds.
	RecheckEvery time.Duration

	// Downloads fetches models; nil: none are fetched. Its caller closes it behind Close.
	Downloads *download.Downloader
	// ResumeDownloads goes on with what was being fetched when the program ended.
	ResumeDownloads bool

	QueueMax int // jobs that wait or run; 0: QueueMax
	Log      *slog.Logger
	Now      func() time.Time // wall clock of created_at and its like; nil: time.Now
}

// Upkeep is where results go besides their jobs, and how much of the past is kept.
type Upkeep struct {
	// OutputFolder gets a copy of every result, named {job}_result.png as the original program did; empty: none.
	OutputFolder string
	// KeepJobs and KeepBytes bound the jobs that have ended; 0: no limit. The oldest go first, the newest stays.
	KeepJobs  int
	KeepBytes int64
}

// RunningError says that another supervisor holds the data folder.
type RunningError struct {
	URL string // where it answers; empty while it starts
	PID int
}

func (e *RunningError) Error() string {
	if e.URL == "" {
		return fmt.Sprintf("another qie (process %d) uses this data folder", e.PID)
	}
	return fmt.Sprintf("qie already runs at %s (process %d)", e.URL, e.PID)
}
