package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func oomKills() int64 {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			data, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.events")
			if err != nil {
				return -1
			}
			return oomKillsOf(string(data))
		}
	}
	return -1
}

// The rest of the memory's story is told by the counter above.
func pressure() int         { return 0 }
func jetsam(time.Time) bool { return false }

func processFacts(pid int) (Process, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, false
	}
	return processOfStat(string(data))
}

// Sleep and batteries are a laptop's; qie looks at them on macOS only.
func keepAwake(int) func()     { return func() {} }
func battery() (Battery, bool) { return Battery{}, false }

func translated() bool { return false }

// libc asks getconf, which belongs to glibc; musl shows by its loader.
func libc(ctx context.Context) string {
	if out, err := exec.CommandContext(ctx, "getconf", "GNU_LIBC_VERSION").Output(); err == nil {
		return glibcOf(string(out))
	}
	if found, _ := filepath.Glob("/lib/ld-musl-*"); len(found) > 0 {
		return "musl"
	}
	return ""
}

// glibcOf reads for example "glibc 2.36".
func glibcOf(text string) string {
	version, ok := strings.CutPrefix(strings.TrimSpace(text), "glibc ")
	if !ok {
		return ""
	}
	return version
}
