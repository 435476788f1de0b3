package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"qie/supervisor/host"
	"qie/supervisor/store"
)

const (
	staleGrace = 5 * time.Second
	envNonce   = "QIE_NONCE"
	// How long the lock of a holder that is dead is waited for.
	lockPatience = 2 * time.Second
	lockPoll     = 20 * time.Millisecond
)

// instance is this program's hold on the data folder. The lock is what counts: the system lets it go with the process.
// The files beside it are for messages and for cleaning up.
type instance struct {
	lock *os.File
	path string // instance.json
	file string // worker.json
	born string // nonces: of every worker since the last sweep, written before it is started

	mu     sync.Mutex
	facts  instanceFacts
	nonces map[int64]string // by generation
	seen   int              // pid in worker.json
}

type instanceFacts struct {
	PID       int    `json:"pid"`
	StartTime int64  `json:"start_time"` // of the process, milliseconds since 1970
	Port      int    `json:"port"`
	URL       string `json:"url"`
	Nonce     string `json:"nonce"` // boot id
}

// workerFacts name a worker process well enough never to mistake another for it.
type workerFacts struct {
	PID       int    `json:"pid"`
	StartTime int64  `json:"start_time"`
	Nonce     string `json:"nonce"`
}

func openInstance(home, boot string) (*instance, error) {
	run := filepath.Join(home, "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(run, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	i := &instance{lock: lock, path: filepath.Join(run, "instance.json"), file: filepath.Join(run, "worker.json"),
		born: filepath.Join(run, "nonces"), nonces: map[int64]string{}}
	if err := i.take(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	i.facts = instanceFacts{PID: os.Getpid(), StartTime: startTime(os.Getpid()), Nonce: boot}
	if err := writeJSON(i.path, i.facts); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return i, nil
}

// take locks the data folder. One that was killed while it started a process leaves that process with its lock until
// it becomes its program: the lock of a dead holder is waited for.
func (i *instance) take() error {
	for begin := time.Now(); ; time.Sleep(lockPoll) {
		err := syscall.Flock(int(i.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock the data folder: %w", err)
		}
		var other instanceFacts
		_ = readJSON(i.path, &other)
		if lives := other.PID != 0 && startTime(other.PID) == other.StartTime; lives || time.Since(begin) > lockPatience {
			return &RunningError{URL: other.URL, PID: other.PID}
		}
	}
}

func (i *instance) serving(url string, port int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.facts.URL, i.facts.Port = url, port
	return writeJSON(i.path, i.facts)
}

func (i *instance) url() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.facts.URL
}

func (i *instance) close() error {
	_ = os.Remove(i.path)
	return i.lock.Close() // the lock goes with it
}

// nonce notes what the worker of a generation carries in its environment.
func (i *instance) nonce(generation int64, nonce string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.nonces)
	i.nonces[generation] = nonce
	if file, err := os.OpenFile(i.born, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		_, _ = file.WriteString(nonce + "\n")
		_ = file.Close()
	}
}

// sweep ends what earlier workers of this data folder left behind, also a process that made itself a session of its
// own, and tells which. The nonce in the environment proves whose it is; it was drawn for this folder's workers only.
func (i *instance) sweep(log *slog.Logger) (ended []host.Named) {
	data, err := os.ReadFile(i.born)
	if err != nil {
		return nil
	}
	nonces := map[string]bool{}
	for nonce := range strings.FieldsSeq(string(data)) {
		nonces[nonce] = true
	}
	for _, p := range host.WithEnv(envNonce, nonces) {
		still := func() bool { return host.EnvOf(p.PID, envNonce) == p.Env }
		log.Warn("a process that an earlier worker left behind is ended", "pid", p.PID, "name", p.Name)
		if !host.End(p.PID, staleGrace, still) {
			log.Error("it cannot be ended", "pid", p.PID)
			continue
		}
		ended = append(ended, p)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.nonces) == 0 { // no worker of this run yet
		_ = os.Remove(i.born)
	}
	return ended
}

// workerSeen writes down a new worker process.
func (i *instance) workerSeen(pid int, generation int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if pid == 0 || pid == i.seen || i.nonces[generation] == "" {
		return
	}
	i.seen = pid
	_ = writeJSON(i.file, workerFacts{PID: pid, StartTime: startTime(pid), Nonce: i.nonces[generation]})
}

func (i *instance) workerGone() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.seen != 0 {
		i.seen = 0
		_ = os.Remove(i.file)
	}
}

// endStaleWorker ends a worker that a killed supervisor left behind. It is touched only when pid, start time and, where
// the system lets us read it, the nonce in its environment are those that were written down.
func (i *instance) endStaleWorker(log *slog.Logger) {
	var old workerFacts
	if readJSON(i.file, &old) != nil || old.PID <= 1 {
		return
	}
	defer func() { _ = os.Remove(i.file) }()
	if !sameProcess(old) {
		return
	}
	log.Warn("a worker of an earlier run is still there; it is ended", "pid", old.PID)
	// It leads a process group of its own; its children go with it.
	if !host.End(-old.PID, staleGrace, func() bool { return sameProcess(old) }) {
		log.Error("a worker of an earlier run cannot be ended", "pid", old.PID)
	}
}

func sameProcess(w workerFacts) bool {
	p, err := process.NewProcess(int32(w.PID))
	if err != nil {
		return false
	}
	if status, err := p.Status(); err == nil && len(status) > 0 && status[0] == process.Zombie {
		return false
	}
	created, err := p.CreateTime()
	if err != nil || created != w.StartTime {
		return false
	}
	env, err := p.Environ()
	if err != nil || len(env) == 0 {
		return true // not readable here (macOS); pid and start time agree
	}
	for _, e := range env {
		if nonce, ok := strings.CutPrefix(e, envNonce+"="); ok {
			return nonce == w.Nonce
		}
	}
	return false
}

func startTime(pid int) int64 {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0
	}
	t, err := p.CreateTime()
	if err != nil {
		return 0
	}
	return t
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	part := path + ".part"
	if err = os.WriteFile(part, data, 0o600); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
		return store.DiskError(fmt.Errorf("write %s: %w", filepath.Base(path), err))
	}
	return nil
}
