// Package wire is the protocol between supervisor and worker: newline-delimited JSON, ASCII-escaped in both
// directions, bulk data by path. The Go structs here are the only source; wire.py and the table in PROTOCOL.md are
// generated from them. It opens no file and starts nothing.
//
//go:generate go run ./gen
package wire

// Version is the protocol's major version, the value of the first key of every line.
const Version = 1

// Line limits in bytes.
const (
	RequestLineMax = 256 << 10
	EventLineMax   = 1 << 20
)

// Envelope starts every line. Its keys are frozen: qie, t, seq, gen, job, attempt, ms, in this order.
type Envelope struct {
	QIE     int    `json:"qie"`               // protocol version; the first key of a line
	T       string `json:"t"`                 // message type
	Seq     int64  `json:"seq"`               // order per direction, from 1
	Gen     int64  `json:"gen"`               // generation of the worker
	Job     string `json:"job,omitempty"`     // job id where the message belongs to one
	Attempt int    `json:"attempt,omitempty"` // attempt of that job
	MS      int64  `json:"ms"`                // sender's monotonic milliseconds
}

// Configure answers hello. It comes once, before anything else.
type Configure struct {
	Device      string `json:"device"`       // auto, mps, cuda or cpu
	ScratchDir  string `json:"scratch_dir"`  // where the worker may write temporary files
	BeatMS      int    `json:"beat_ms"`      // period of beat
	MaxPixels   int64  `json:"max_pixels"`   // refuse a source with more pixels
	PreviewSide int    `json:"preview_side"` // longest side of a preview in pixels; 0 turns previews off
	CPUThreads  int    `json:"cpu_threads"`  // torch threads on CPU; 0 leaves torch's choice
}

// Load asks for the weights of a model directory in the diffusers layout. It is a no-op when that model is loaded
// under that profile.
type Load struct {
	Model   string `json:"model"`   // model id
	Dir     string `json:"dir"`     // model directory
	Profile string `json:"profile"` // memory profile: resident, staged or tiled; empty is resident
}

// Generate starts one attempt. Paths are absolute.
type Generate struct {
	Prompt         string   `json:"prompt"`
	NegativePrompt string   `json:"negative_prompt"`
	Steps          int      `json:"steps"`
	TrueCFGScale   float64  `json:"true_cfg_scale"` // 1 is off
	Seed           int64    `json:"seed"`
	Shift          float64  `json:"shift"`           // time shift of the schedule, without its end stretched; 0: the scheduler's own
	LoRAs          []LoRA   `json:"loras"`           // what the transformer's weights are changed by for this attempt, in order
	Images         []string `json:"images"`          // upright sRGB PNG files, in order
	Collage        bool     `json:"collage"`         // join two images side by side first
	WorkWidth      int      `json:"work_width"`      // pixels the model computes, multiple of 32
	WorkHeight     int      `json:"work_height"`     // pixels the model computes, multiple of 32
	OutWidth       int      `json:"out_width"`       // pixels of the saved picture
	OutHeight      int      `json:"out_height"`      // pixels of the saved picture
	RefArea        int      `json:"ref_area"`        // pixels of a reference latent's picture
	RefFit         string   `json:"ref_fit"`         // cover: every picture after the first is cropped to its ratio; empty: each keeps its own
	CondArea       int      `json:"cond_area"`       // pixels of the picture the text encoder sees
	ResultPath     string   `json:"result_path"`     // PNG; written by temp, fsync, rename
	PreviewPath    string   `json:"preview_path"`    // JPEG; written by temp and rename; empty turns previews off
	CheckpointPath string   `json:"checkpoint_path"` // state of a broken-off denoise, read and written; empty turns it off
}

// LoRA is a file of low-rank changes and how strongly they are added.
type LoRA struct {
	Path     string  `json:"path"`     // absolute, .safetensors
	Strength float64 `json:"strength"` // more than 0, at most 2
}

// Cancel asks to stop the job in the envelope.
type Cancel struct {
	InterruptMS int `json:"interrupt_ms"` // after so long the work is interrupted wherever it is in Python; 0 is never
}

// Unload drops the weights.
type Unload struct{}

// Ping asks for a pong with the same id, from the reader thread.
type Ping struct {
	ID int64 `json:"id"`
}

// Mem asks for a mem_report.
type Mem struct{}

// Shutdown asks the worker to finish by itself: say bye and exit 0.
type Shutdown struct {
	GraceMS int `json:"grace_ms"`
}

// Hello is the first event, sent before torch is imported.
type Hello struct {
	Nonce      string `json:"nonce"`    // from the environment variable QIE_NONCE
	Protocol   int    `json:"protocol"` // wire version
	PID        int    `json:"pid"`
	Python     string `json:"python"`      // version
	SourceHash string `json:"source_hash"` // sha256 over the worker's source tree
}

// Ready says that imports and device are fine and weights can be loaded.
type Ready struct {
	Device       string  `json:"device"` // mps, cuda or cpu
	DType        string  `json:"dtype"`  // bfloat16 or float32
	DeviceName   string  `json:"device_name"`
	Torch        string  `json:"torch"`
	Diffusers    string  `json:"diffusers"`
	Transformers string  `json:"transformers"`
	ImportS      float64 `json:"import_s"` // seconds the imports took
	Threads      int     `json:"threads"`
	DeviceMax    int64   `json:"device_max"`  // bytes that the device should hold at most; 0: no limit of its own
	DeviceFree   int64   `json:"device_free"` // of them free now, before any load; 0: unknown
}

// LoadProgress counts weights by bytes.
type LoadProgress struct {
	BytesDone  int64  `json:"bytes_done"`
	BytesTotal int64  `json:"bytes_total"`
	Shard      int    `json:"shard"` // from 1
	Shards     int    `json:"shards"`
	Part       string `json:"part"` // transformer, text_encoder or vae
}

// Loaded ends a load.
type Loaded struct {
	Model   string  `json:"model"`
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"` // footprint of the process afterwards
}

// Unloaded answers unload.
type Unloaded struct {
	Bytes int64 `json:"bytes"` // footprint of the process afterwards
}

// Accepted comes before any work on a generate.
type Accepted struct{}

// Phase says that a part of the attempt begins.
type Phase struct {
	Phase string `json:"phase"` // encode, denoise, decode or save
}

// Resumed says that the denoise goes on behind a step of an earlier attempt.
type Resumed struct {
	Step int `json:"step"` // steps that need not be done again
}

// Progress counts denoise steps, and the fraction of the other phases.
type Progress struct {
	Phase    string  `json:"phase"`
	Step     int     `json:"step"` // steps done
	Steps    int     `json:"steps"`
	Fraction float64 `json:"fraction"` // of this phase, 0 to 1
	StepS    float64 `json:"step_s"`   // seconds of the last step
}

// Preview says that preview_path holds a new picture.
type Preview struct {
	Step   int    `json:"step"`
	Path   string `json:"path"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// Timing is one measured part of an attempt.
type Timing struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Result says that the picture lies at path, synced.
type Result struct {
	Path      string   `json:"path"`
	Bytes     int64    `json:"bytes"`
	SHA256    string   `json:"sha256"`
	Width     int      `json:"width"`
	Height    int      `json:"height"`
	Seed      int64    `json:"seed"`
	Timings   []Timing `json:"timings"`
	Unchanged bool     `json:"unchanged"` // the result shows no visible change against the source
}

// Error ends an attempt or a load with a typed code.
type Error struct {
	Code         string `json:"code"` // job.Code
	Message      string `json:"message"`
	Retryable    bool   `json:"retryable"`
	FatalProcess bool   `json:"fatal_process"` // the process exits after this line
	Trace        string `json:"trace"`         // tail of the traceback, without prompts
}

// Canceled ends an attempt or a load as asked.
type Canceled struct {
	Phase string `json:"phase"` // where it stopped
}

// Beat comes once per beat_ms from a thread of its own; tick counts the work loop, so that a live thread over a dead
// loop shows.
type Beat struct {
	Tick  int64 `json:"tick"`
	Bytes int64 `json:"bytes"` // footprint
}

// Pong answers ping.
type Pong struct {
	ID int64 `json:"id"`
}

// MemReport answers mem.
type MemReport struct {
	Bytes       int64 `json:"bytes"`        // footprint of the process
	DeviceBytes int64 `json:"device_bytes"` // allocated on the device
	DeviceMax   int64 `json:"device_max"`   // recommended limit of the device; 0 unknown
	DeviceFree  int64 `json:"device_free"`  // of them held by no program now, this one included; 0: unknown
}

// Log is one line for the worker's log.
type Log struct {
	Level string `json:"level"` // debug, info, warn or error
	Text  string `json:"text"`
}

// Dropped counts lines that the worker could not send or did not understand.
type Dropped struct {
	Count int64 `json:"count"`
}

// Fatal says why the process is about to exit.
type Fatal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Exit    int    `json:"exit"` // exit code to expect
}

// Bye is the last line of an orderly end.
type Bye struct {
	Reason string `json:"reason"`
}

// Requests go from supervisor to worker. The type on the line is the key.
var Requests = map[string]any{
	"configure": Configure{}, "load": Load{}, "generate": Generate{}, "cancel": Cancel{}, "unload": Unload{},
	"ping": Ping{}, "mem": Mem{}, "shutdown": Shutdown{},
}

// Events go from worker to supervisor.
var Events = map[string]any{
	"hello": Hello{}, "ready": Ready{}, "load_progress": LoadProgress{}, "loaded": Loaded{}, "unloaded": Unloaded{},
	"accepted": Accepted{}, "phase": Phase{}, "resumed": Resumed{}, "progress": Progress{}, "preview": Preview{}, "result": Result{},
	"error": Error{}, "canceled": Canceled{}, "beat": Beat{}, "pong": Pong{}, "mem_report": MemReport{}, "log": Log{},
	"dropped": Dropped{}, "fatal": Fatal{}, "bye": Bye{},
}

// Reserved exit codes of the worker.
const (
	ExitBye        = 0
	ExitProtocol   = 64 // never restarted automatically
	ExitConfig     = 65 // never restarted automatically
	ExitImport     = 66 // never restarted automatically
	ExitInternal   = 70
	ExitOOM        = 71
	ExitGPUContext = 72
	ExitWeights    = 73 // never restarted automatically
	ExitDisk       = 74
	ExitParentGone = 75
)
