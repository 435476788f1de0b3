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
	// aQuoted is what a Python message puts around a file's name, which may have spaces in it.
	aQuoted = regexp.MustCompile(`'[^'\n]{1,300}'|"[^"\n]{1,300}"|‘[^’\n]{1,300}’`)
	// aPicture is the rest of a path behind a space, or a bare name: no message of ours needs either.
	aPicture = regexp.MustCompile(`(?i)(?:\[path\][^"'<>|:;()\n]{0,200}?|[^\s/"'<>|:,;()=]+)\.(jpe?g|png|webp|bmp|heic|heif|gif|tiff?|avif)\b`)
	// ownFile is a picture that qie named itself, so its name tells nothing.
	ownFile = regexp.MustCompile(`^(input-\d+|mask|preview|result|attempt-\d+)\.[a-z]+$`)
	// aToken is what a secret looks like, whoever printed it.
	aToken = regexp.MustCompile(`(?i)\bhf_[a-z0-9]{8,}|\bbearer\s+[^\s"',;]{6,}|\w*(?:token|api[_-]?key|password|secret)["']?\s*[=:]\s*["']?[^\s"',;]{6,}`)
	aPath  = regexp.MustCompile(`(?:~|\[home\])?(?:/[^\s/"'<>|:,;()]+){2,}/?|\[home\]`)
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

// withoutNames also takes out what the names of a person's files and the secrets of a person look like.
func withoutNames(text, home string) string {
	text = aToken.ReplaceAllString(text, "[token]")
	text = aQuoted.ReplaceAllStringFunc(text, func(quoted string) string {
		r := []rune(quoted)
		name := string(r[1 : len(r)-1])
		if !strings.Contains(name, " ") || !strings.Contains(name, "/") && !aPicture.MatchString(name) {
			return quoted
		}
		return string(r[0]) + "[path]" + string(r[len(r)-1])
	})
	return aPicture.ReplaceAllStringFunc(withoutPaths(text, home), func(name string) string {
		if ownFile.MatchString(name) {
			return name
		}
		return "[file]"
	})
}

// report writes the crash report of d and gives its name. It is a help and nothing more: when it cannot be written, the
// log says so and the name is empty.
func (w *Worker) report(d death, v verdict, phase string) string {
	if w.cfg.CrashDir == "" {
		return ""
	}
	home, _ := os.UserHomeDir()
	c := crash{Time: w.probe.Wall().UTC(), Generation: w.gen, State: d.state, Phase: phase, Code: string(v.err.Code),
		Cause: withoutNames(w.secrets.clean(v.err.Message), home), Exit: d.facts.code, OOMKills: d.facts.oomKills,
		Pressure: d.facts.pressure, Device: w.parts.device, Torch: w.parts.torch, Memory: w.total,
		Footprint: w.trace.bytes(), Stderr: []string{}}
	if w.reason != nil {
		c.Done = w.reason.Done
	}
	if d.facts.signal != 0 {
		c.Signal = signalName(d.facts.signal)
	}
	if d.sent != 0 {
		c.OurSignal = signalName(d.sent)
	}
	for _, line := range d.facts.stderr {
		c.Stderr = append(c.Stderr, withoutNames(strings.TrimRight(line, "\r\n"), home))
	}
	name := fmt.Sprintf("crash-%s-%d.json", c.Time.Format("20060102T150405.000"), w.gen)
	data, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = os.MkdirAll(w.cfg.CrashDir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(w.cfg.CrashDir, name), data, 0o600)
	}
	if err != nil {
		w.cfg.Log.Warn("the crash report was not written", "err", err)
		return ""
	}
	old, _ := filepath.Glob(filepath.Join(w.cfg.CrashDir, "crash-*.json"))
	slices.Sort(old)
	for len(old) > crashesKept {
		_ = os.Remove(old[0])
		old = old[1:]
	}
	return name
}
