package host

import (
	"os"
	"strconv"
	"strings"
)

// WithEnv finds the living processes of this machine whose environment has key with one of the values.
func WithEnv(key string, values map[string]bool) []Named {
	entries, err := os.ReadDir("/proc")
	if err != nil || len(values) == 0 {
		return nil
	}
	var found []Named
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ") // a zombie has none
		if err != nil {
			continue
		}
		for pair := range strings.SplitSeq(string(env), "\x00") {
			if value, ok := strings.CutPrefix(pair, key+"="); ok && values[value] {
				name, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
				found = append(found, Named{PID: pid, Name: strings.TrimSpace(string(name)), Env: value})
			}
		}
	}
	return found
}
