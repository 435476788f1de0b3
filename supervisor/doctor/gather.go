// Package doctor finds out what preflight judges, and writes the report that a person may send to a developer. It
// judges nothing itself, and without Verify it starts no Python that imports anything.
package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"qie/supervisor/catalog"
	"qie/supervisor/config"
	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/preflight"
	"qie/supervisor/python"
)

// Diagnosis is the answer of `qie doctor --json` and of GET /api/v1/doctor.
type Diagnosis struct {
	Version  string              `json:"version"`
	Worst    preflight.Level     `json:"worst" enum:"ok,warning,error"`
	Findings []preflight.Finding `json:"findings" nullable:"false"`
}

// Bytes of the Python environment, measured 2026-11-25 with the lock of that day: over the network, and on disk with
// byte code. CUDA comes with torch on Linux.
const (
	envDownloadLinux, envDiskLinux = 3_100_000_000, 6_200_000_000
	envDownloadMac, envDiskMac     = 200_000_000, 1_200_000_000
)

// Limits of what may take long.
const (
	quickLimit = 1500 * time.Millisecond // for a question to the outside in the quick set
	// PatientAsk is the same before set-up fetches anything.
	PatientAsk  = 20 * time.Second
	verifyLimit = 3 * time.Minute // for a worker's imports on a cold disk
)

// Options are what doctor is told by its caller.
type Options struct {
	Config config.Config
	Env    python.Env
	Demo   fs.FS // the embedded demo model
	Page   bool  // it is in the program
	Node   string
	Built  time.Time
	// Running tells whether the qie of this data folder serves; nil: this very process does.
	Running func(ctx context.Context) bool
	// Verify reads every byte, starts the worker and lets the device compute.
	Verify bool
	// NetworkLimit bounds the question to the package index; 0 is what fits in two seconds.
	NetworkLimit time.Duration
	// Fetch is what the selected model needs beside the environment, Later what the full model would need; nil: as far
	// as doctor knows.
	Fetch, Later []preflight.Item
	Pulled       int64 // bytes of the full model that are here already
	Probe        host.Probe
}

// Gather looks at everything at once, so that it takes as long as the slowest look.
func Gather(ctx context.Context, o Options) preflight.Facts {
	c := o.Config
	probe := o.Probe.OrSystem()
	f := preflight.Facts{Device: c.Device, Port: c.Port, Now: probe.Wall(), Built: o.Built, UV: o.Env.UV != "", Page: o.Page,
		Verified: o.Verify, Data: folder(c.Home, "QIE_HOME"), Cache: folder(c.HFHome, "HF_HOME"), Jobs: folder(c.JobsDir, "JOBS_DIR")}
	f.Data.Loose = loose(c.Home)
	f.Running = o.Running == nil || o.Running(ctx)
	f.SelfTest = Passed(c.Home, o.Env, o.Demo)
	var all sync.WaitGroup
	all.Go(func() {
		f.Host = host.Read(ctx, c.Home)
		modelFacts(o, &f) // what is selected depends on the memory
	})
	all.Go(func() {
		f.Env.Dir, f.Env.Files, f.Env.Err = wholeEnv(ctx, o)
		if f.Env.Err != nil || len(o.Fetch) > 0 || o.Verify { // something is to be fetched
			f.Network = ask(ctx, o)
		}
	})
	all.Go(func() { f.Source.Dir, f.Source.Files, f.Source.Err = o.Env.SourceWhole() })
	all.Go(func() {
		p := python.Find(ctx)
		f.Python = preflight.Python{Path: p.Path, Version: p.Version, Arch: p.Arch}
	})
	all.Go(func() { f.Node = nodeVersion(ctx, o.Node) })
	all.Go(func() {
		if b, ok := probe.Battery(); ok {
			f.Battery = &b
		}
	})
	all.Go(func() {
		if f.Port != 0 && !f.Running {
			f.PortHolder = host.PortHolder(ctx, f.Port)
		}
		if !f.Running {
			f.Leftovers = leftovers(c.Home)
		}
	})
	all.Wait()
	f.Env.None = f.Env.Err != nil && !there(f.Env.Dir)
	f.Fetch = append(fetchEnv(f), o.Fetch...)
	if f.Later = o.Later; f.Later == nil && !f.Full {
		rest := max(0, preflight.FullBytes-o.Pulled)
		f.Later = []preflight.Item{{Name: "full model", Download: rest, Disk: rest, Elsewhere: elsewhere(c.Home, c.HubCache)}}
	}
	if o.Verify && f.Env.Err == nil {
		verify(ctx, o, &f)
	}
	return f
}

func wholeEnv(ctx context.Context, o Options) (string, int, error) {
	files, err := o.Env.Whole(ctx, o.Verify)
	return o.Env.Dir(), files, err
}

// fetchEnv is the environment, when it has to be built.
func fetchEnv(f preflight.Facts) []preflight.Item {
	if f.Env.Err == nil {
		return nil
	}
	if f.Host.OS == "darwin" {
		return []preflight.Item{{Name: "Python environment", Download: envDownloadMac, Disk: envDiskMac}}
	}
	return []preflight.Item{{Name: "Python environment", Download: envDownloadLinux, Disk: envDiskLinux}}
}

// modelFacts verifies the selected model: the demo by every byte, another by its files, and with Verify by what its
// hashes are known of.
func modelFacts(o Options, f *preflight.Facts) {
	c := o.Config
	for _, e := range catalog.Models() {
		f.Full = f.Full || model.Cached(c.HubCache, e.Repository) != ""
	}
	fits := preflight.Full(f.Host, preflight.KindOf(f.Device, f.Host)).Fits // not f.Kind(): others write into f meanwhile
	dir, err := model.Select(c.Model, c.Home, c.HubCache, fits)
	if err != nil {
		f.ModelErr = err
		return
	}
	if f.Demo = dir == ""; f.Demo {
		if dir, err = model.Unpacked(o.Demo, c.Home); err != nil || !there(dir) {
			f.ModelErr = err
			return
		}
		if f.ModelErr = model.Verify(dir); f.ModelErr != nil {
			return
		}
	} else if o.Verify {
		if f.ModelErr = verifyModel(dir); f.ModelErr != nil {
			return
		}
	}
	f.Model, f.ModelErr = model.Load(dir)
}

var hashName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// verifyModel reads every file whose hash is known: by the model's own manifest, or by the Hugging Face cache, where
// the blob of a large file is named by its sha256.
func verifyModel(dir string) error {
	if err := model.Verify(dir); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		blob, err := filepath.EvalSymlinks(path)
		if err != nil {
			return job.Errorf(job.CodeWeightsMissing, "%s leads to nothing", filepath.Base(path))
		}
		want := filepath.Base(blob)
		if !hashName.MatchString(want) {
			return nil
		}
		sum, err := model.HashFile(blob)
		if err != nil {
			return fmt.Errorf("read %s: %w", filepath.Base(path), err)
		}
		if sum != want {
			return job.Errorf(job.CodeWeightsCorrupt, "%s is damaged: its hash is not the one that it was fetched under", filepath.Base(path))
		}
		return nil
	})
}

func verify(ctx context.Context, o Options, f *preflight.Facts) {
	ctx, cancel := context.WithTimeoutCause(ctx, verifyLimit, fmt.Errorf("no answer within %s", verifyLimit))
	defer cancel()
	a, err := python.Handshake(ctx, o.Env.Dir(), o.Config.Device)
	f.Handshake = preflight.Handshake{Done: true, Err: err, Device: a.Ready.Device, DType: a.Ready.DType, Name: a.Ready.DeviceName,
		Torch: a.Ready.Torch, Seconds: a.Seconds}
	if err != nil {
		return
	}
	n, err := python.Compute(ctx, o.Env.Dir(), o.Config.Device)
	f.Numeric = preflight.Numeric{Done: true, Err: err, Tests: len(n.Checks)}
	if err == nil {
		worst := n.Worst()
		f.Numeric.Worst, f.Numeric.Share = worst.Name, worst.Error/worst.Limit
		if !(f.Numeric.Share <= 1) {
			f.Numeric.Err = job.Errorf(job.CodeNaNOutput, "%s differs from the CPU by %.2g, %.2g is allowed", worst.Name, worst.Error, worst.Limit)
		}
	}
}

// ask lets uv look up one package where it would fetch all of them: mirror, proxy and certificates are its own.
func ask(ctx context.Context, o Options) preflight.Network {
	if o.Env.UV == "" {
		return preflight.Network{}
	}
	limit := o.NetworkLimit
	switch {
	case limit == 0 && o.Verify:
		limit = PatientAsk
	case limit == 0:
		limit = quickLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	why, late := o.Env.Reach(ctx)
	return preflight.Network{Asked: true, Err: why, Late: late}
}

func nodeVersion(ctx context.Context, path string) string {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
}

// folder looks whether it could be written, and writes nothing.
func folder(path, from string) preflight.Folder {
	d := preflight.Folder{Path: path, From: from}
	nearest := host.Nearest(path)
	info, err := os.Stat(nearest)
	if err != nil {
		d.Err = err
		return d
	}
	d.There, d.Mode = nearest == path, info.Mode()
	if !info.IsDir() {
		d.Err = fmt.Errorf("%s is a file", nearest)
		return d
	}
	if err := unix.Access(nearest, unix.W_OK|unix.X_OK); err != nil {
		d.Err = fmt.Errorf("%s: %w", nearest, err)
		if uid, ok := ownerOf(info); ok && uid != os.Geteuid() && d.There {
			d.Owner = userName(uid)
		}
	}
	return d
}

func ownerOf(info fs.FileInfo) (int, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// private are the names in the data folder that nobody else may read.
var private = []string{".", "qie.db", "config.toml", ".env", "jobs", "logs", "run"}

func loose(home string) []string {
	var names []string
	for _, name := range private {
		info, err := os.Stat(filepath.Join(home, name))
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			if name == "." {
				name = "the folder itself"
			}
			names = append(names, name)
		}
	}
	return names
}

// Close takes the data folder's rights away from everybody else.
func Close(home string) error {
	for _, name := range private {
		path := filepath.Join(home, name)
		if info, err := os.Stat(path); err == nil {
			if err := os.Chmod(path, info.Mode().Perm()&^0o077); err != nil {
				return fmt.Errorf("data folder: %w", err)
			}
		}
	}
	return nil
}

// elsewhere is how many bytes are free for other when it lies on another file system than home; 0 when on the same.
func elsewhere(home, other string) int64 {
	var a, b unix.Stat_t
	if unix.Stat(host.Nearest(home), &a) != nil || unix.Stat(host.Nearest(other), &b) != nil || a.Dev == b.Dev {
		return 0
	}
	return host.DiskFree(other)
}

func leftovers(home string) []host.Named {
	data, err := os.ReadFile(filepath.Join(home, "run", "nonces"))
	if err != nil {
		return nil
	}
	nonces := map[string]bool{}
	for nonce := range strings.FieldsSeq(string(data)) {
		nonces[nonce] = true
	}
	return host.WithEnv("QIE_NONCE", nonces)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
