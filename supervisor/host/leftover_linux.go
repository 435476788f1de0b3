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
		if value := EnvOf(pid, key); values[value] {
			name, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
			found = append(found, Named{PID: pid, Name: strings.TrimSpace(string(name)), Env: value})
		}
	}
	return found
}

// EnvOf is the value of key in the environment of a living process; empty when it has none, or when that is not told.
func EnvOf(pid int, key string) string {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ") // a zombie has none
	if err != nil {
		return ""
	}
	for pair := range strings.SplitSeq(string(env), "\x00") {
		if value, ok := strings.CutPrefix(pair, key+"="); ok {
			return value
		}
	}
	return ""
}
