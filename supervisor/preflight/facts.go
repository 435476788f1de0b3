package preflight

import (
	"io/fs"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/model"
)

// Facts is everything the checks look at. Zero means that the system did not tell, or that nobody looked.
type Facts struct {
	Host    host.Facts
	Device  string // as set: auto, mps, cuda or cpu
	Now     time.Time
	Built   time.Time // of this program: the clock cannot be earlier
	Battery *host.Battery

	Model    model.Spec
	ModelErr error // the selected model is missing or damaged
	Demo     bool  // the embedded demo is selected
	Full     bool  // a full model is on this machine

	Python Python
	UV     bool   // uv is there to build an environment
	Node   string // version; empty when not found
	Page   bool   // the page is in the program

	Env       Tree // the worker's packages
	Source    Tree // the worker's source
	Verified  bool // every byte was read, not only names and sizes
	Handshake Handshake
	Numeric   Numeric
	SelfTest  time.Time // when set-up's self-test passed for this environment; zero: never

	// Fetch is what the selected model still needs; Later is what the full model would need beside it.
	Fetch, Later []Item
	Network      Network

	Port       int
	PortHolder string // who listens on it; empty when free
	Running    bool   // the qie of this data folder serves

	Data, Cache, Jobs Folder
	Leftovers         []host.Named
}

// Python is the interpreter of the environment, or the one that would be used to build it.
type Python struct {
	Path, Version string
	Arch          string // as Python names it: arm64, x86_64, aarch64
}

// Tree is a folder of files as it was found.
type Tree struct {
	Dir   string
	Files int
	None  bool  // nothing is there yet
	Err   error // what is missing or changed
}

// Handshake is a worker that was started and said hello.
type Handshake struct {
	Done          bool
	Err           error
	Device, DType string
	Name          string // of the device
	Torch         string
	Seconds       float64
}

// Numeric is the device's own computation compared with the CPU's in FP32.
type Numeric struct {
	Done  bool
	Err   error
	Worst string  // operation with the largest difference
	Share float64 // of what is allowed
	Tests int
}

// Item is something that is still to be fetched. The catalogue of models fills in its own.
type Item struct {
	Name     string
	Download int64 // bytes over the network
	Disk     int64 // bytes on disk
	// Elsewhere is what is free where it goes, when that is another file system than the data folder's.
	Elsewhere int64
}

// Network is what came of asking the package index.
type Network struct {
	Asked bool
	Err   string // in the words of who asked
	Late  bool   // no answer in the short time of the quick set
}

// Folder is a place that qie writes to.
type Folder struct {
	Path  string
	From  string // setting that named it: QIE_HOME, HF_HOME or JOBS_DIR
	There bool   // it exists; else its nearest parent was looked at
	Mode  fs.FileMode
	Owner string   // name, when it is not this user's; else empty
	Loose []string // names in it that others can read
	Err   error    // it cannot be written
}
