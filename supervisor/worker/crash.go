package worker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// crashesKept is how many reports stay.
const crashesKept = 20

// crash is the report of one abnormal death. It may be sent to anybody: it holds no prompt and no path.
type crash struct {
	Time       time.Time `json:"time"`
	Generation int64     `json:"generation"`
	State      State     `json:"state"` // in which it died
	Phase      string    `json:"phase,omitempty"`
	Code       string    `json:"code"`
	Cause      string    `json:"cause"`
	Done       string    `json:"done"` // what qie did about it
	Exit       int       `json:"exit"`
	Signal     string    `json:"signal,omitempty"`
	OurSignal  string    `json:"our_signal,omitempty"`
	OOMKills   int64     `json:"oom_kills"`
	Pressure   int       `json:"pressure"`
	Device     string    `json:"device,omitempty"`
	Torch      string    `json:"torch,omitempty"`
	Memory     int64     `json:"memory_total_bytes"`
	Footprint  []int64   `json:"footprint_bytes"` // one a beat, oldest first
	Stderr     []string  `json:"stderr"`
}

var (
	aPath = regexp.MustCompile(`(?:~|\[home\])?(?:/[^\s/"'<>|:,;()]+){2,}/?|\[home\]`)
	// aFile is a name that tells of code or weights, and nothing of whoever owns them.
	aFile = regexp.MustCompile(`^[A-Za-z0-9_.+-]+\.(py|pyx|so|dylib|cpp|cc|c|h|mm|m|metal|safetensors)[0-9.]*$`)
)

// withoutPaths leaves of a path the name of a source file, and of any other nothing.
func withoutPaths(text, home string) string {
	if len(home) > 1 {
		text = strings.ReplaceAll(text, home, "[home]")
	}
	return aPath.ReplaceAllStringFunc(text, func(path string) string {
		if name := filepath.Base(path); aFile.MatchString(name) {
			return name
		}
		return "[path]"
	})
}

// report writes the crash report of d. It is a help and nothing more: when it cannot be written, the log says so.
func (w *Worker) report(d death, v verdict, phase string) {
	if w.cfg.CrashDir == "" {
		return
	}
	home, _ := os.UserHomeDir()
	c := crash{Time: w.probe.Wall().UTC(), Generation: w.gen, State: d.state, Phase: phase, Code: string(v.err.Code),
		Cause: withoutPaths(v.err.Message, home), Exit: d.facts.code, OOMKills: d.facts.oomKills,
		Pressure: d.facts.pressure, Device: w.parts.device, Torch: w.parts.torch, Memory: w.total,
		Footprint: w.trace.bytes(), Stderr: []string{}}
	if w.reason != nil {
		c.Done = withoutPaths(strings.TrimPrefix(w.reason.Message, v.err.Message+"; "), home)
	}
	if d.facts.signal != 0 {
		c.Signal = signalName(d.facts.signal)
	}
	if d.sent != 0 {
		c.OurSignal = signalName(d.sent)
	}
	for _, line := range d.facts.stderr {
		c.Stderr = append(c.Stderr, withoutPaths(strings.TrimRight(line, "\r\n"), home))
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		name := fmt.Sprintf("crash-%s-%d.json", c.Time.Format("20060102T150405.000"), w.gen)
		err = os.WriteFile(filepath.Join(w.cfg.CrashDir, name), data, 0o600)
	}
	if err != nil {
		w.cfg.Log.Warn("the crash report was not written", "err", err)
		return
	}
	old, _ := filepath.Glob(filepath.Join(w.cfg.CrashDir, "crash-*.json"))
	slices.Sort(old)
	for len(old) > crashesKept {
		_ = os.Remove(old[0])
		old = old[1:]
	}
}
