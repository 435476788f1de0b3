package config

import (
	"slices"
	"strings"
	"sync"
)

// live are the settings that take effect while qie runs; every other one needs a restart.
var live = []string{"INPUT_FOLDER", "OUTPUT_FOLDER", "QIE_ORIGINS", "QIE_KEEP_JOBS", "QIE_KEEP_GB"}

// adopt puts the live settings of next into c. With a new live setting, add it here and above; a test compares both.
func (c Config) adopt(next Config) Config {
	c.InputFolder, c.OutputFolder, c.Origins = next.InputFolder, next.OutputFolder, next.Origins
	c.KeepJobs, c.KeepBytes = next.KeepJobs, next.KeepBytes
	values := slices.Clone(c.Values)
	for i, v := range values {
		if slices.Contains(live, v.Key) {
			values[i] = next.value(v.Key)
		}
	}
	c.Values = values
	return c
}

func (c Config) value(key string) Origin {
	for _, v := range c.Values {
		if v.Key == key {
			return v
		}
	}
	return Origin{Key: key}
}

// differ names the settings whose values are others in the two, sorted; where they come from does not matter.
func differ(a, b Config) []string {
	was := map[string]string{}
	for _, v := range slices.Concat(a.Values, a.secrets) {
		was[v.Key] = v.Value
	}
	var keys []string
	for _, v := range slices.Concat(b.Values, b.secrets) {
		if v.Note == "" && was[v.Key] != v.Value {
			keys = append(keys, v.Key)
		}
		delete(was, v.Key)
	}
	for key, value := range was {
		if value != "" && noEffect[key] == "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Setting is one value as it is in force.
type Setting struct {
	Origin
	Live bool   `json:"live" doc:"a change takes effect while qie runs; else at its next start"`
	Next string `json:"next,omitempty" doc:"what is written now and takes effect at the next start"`
}

// View is what a person may know of the settings.
type View struct {
	Settings []Setting `json:"settings" nullable:"false"`
	Problem  string    `json:"problem,omitempty" doc:"why what is written now is not used, with file and line; the settings before stay in force"`
}

// Change is what one look at the files gave.
type Change struct {
	Applied []string // in force now
	Pending []string // at the next start
	Problem string   // nothing changed because of it
}

// Live holds the settings that are in force while qie runs.
type Live struct {
	src Sources

	mu      sync.Mutex
	now     Config
	written Config
	problem string
}

// NewLive begins with the settings that the program started with.
func NewLive(src Sources, start Config) *Live {
	return &Live{src: src, now: start, written: start}
}

// Config gives the settings in force.
func (l *Live) Config() Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// Reload looks at the sources again. What cannot be read or understood changes nothing.
func (l *Live) Reload() Change {
	next, err := Load(l.src)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.problem = err.Error()
		return Change{Problem: l.problem}
	}
	adopted := l.now.adopt(next)
	change := Change{Applied: differ(l.now, adopted), Pending: differ(adopted, next)}
	l.now, l.written, l.problem = adopted, next, ""
	return change
}

// View tells what is in force, where it came from, and what waits for a restart.
func (l *Live) View() View {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := View{Settings: []Setting{}, Problem: l.problem}
	pending := differ(l.now, l.written)
	for _, o := range l.now.Values {
		s := Setting{Origin: o, Live: slices.Contains(live, o.Key)}
		if slices.Contains(pending, o.Key) {
			s.Next = l.written.value(o.Key).Value
			if s.Next == "" {
				s.Next = "(none)"
			}
		}
		v.Settings = append(v.Settings, s)
	}
	return v
}

// String says the change in a sentence; empty when nothing changed.
func (c Change) String() string {
	var parts []string
	if c.Problem != "" {
		return "the settings are as before, because what is written now cannot be used: " + c.Problem
	}
	if len(c.Applied) > 0 {
		parts = append(parts, "in force now: "+strings.Join(c.Applied, ", "))
	}
	if len(c.Pending) > 0 {
		parts = append(parts, "changed settings take effect at the next start of qie: "+strings.Join(c.Pending, ", "))
	}
	return strings.Join(parts, "; ")
}
