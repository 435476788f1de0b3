package host

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/mem"
)

// Probe asks the system what the death of a process, a hang or a long job is judged by. Its fields are functions, so
// that a test can give the facts of another system; System fills in this one's.
type Probe struct {
	// OOMKills counts the kernel's OOM kills in our control group; -1 when it cannot be told.
	OOMKills func() int64
	// Pressure is the memory pressure as macOS names it: 1 normal, 2 warning, 4 critical; 0 when it cannot be told.
	Pressure func() int
	// Jetsam tells whether the system's memory killer has written a report since then.
	Jetsam func(since time.Time) bool
	// Memory is read where freed memory has to be proved.
	Memory func() Memory
	// Process tells what a process does; false when it cannot be told.
	Process func(pid int) (Process, bool)
	// KeepAwake keeps the machine from sleeping while pid lives, until release is called.
	KeepAwake func(pid int) (release func())
	// Battery tells the charge; false without a battery, or when it cannot be told.
	Battery func() (Battery, bool)
	// Wall is the time of day. It runs on while the machine sleeps.
	Wall func() time.Time
}

// Memory in bytes.
type Memory struct {
	Total int64
	// Held cannot be given to another program: wired on macOS, all but the available elsewhere.
	Held int64
}

// Process is what a silent process does.
type Process struct {
	Stopped bool          // by SIGSTOP or a debugger
	CPU     time.Duration // used so far
}

// Battery of a laptop.
type Battery struct {
	Percent   int
	OnBattery bool
}

// System is this machine's probe.
func System() Probe {
	return Probe{OOMKills: oomKills, Pressure: pressure, Jetsam: jetsam, Memory: memory, Process: processFacts,
		KeepAwake: keepAwake, Battery: battery, Wall: func() time.Time { return time.Now().Round(0) }}
}

// OrSystem fills in what p leaves out.
func (p Probe) OrSystem() Probe {
	s := System()
	if p.OOMKills == nil {
		p.OOMKills = s.OOMKills
	}
	if p.Pressure == nil {
		p.Pressure = s.Pressure
	}
	if p.Jetsam == nil {
		p.Jetsam = s.Jetsam
	}
	if p.Memory == nil {
		p.Memory = s.Memory
	}
	if p.Process == nil {
		p.Process = s.Process
	}
	if p.KeepAwake == nil {
		p.KeepAwake = s.KeepAwake
	}
	if p.Battery == nil {
		p.Battery = s.Battery
	}
	if p.Wall == nil {
		p.Wall = s.Wall
	}
	return p
}

// Gigabytes says an amount of memory or disk as people do.
func Gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }

func memory() Memory {
	m, err := mem.VirtualMemory()
	if err != nil {
		return Memory{}
	}
	held := int64(m.Total) - int64(m.Available)
	if m.Wired > 0 {
		held = int64(m.Wired)
	}
	return Memory{Total: int64(m.Total), Held: held}
}

// oomKillsOf reads memory.events of a control group.
func oomKillsOf(events string) int64 {
	for line := range strings.Lines(events) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return -1
			}
			return n
		}
	}
	return -1
}

// clockTicks is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTicks = 100

// processOfStat reads /proc/PID/stat. The name in parentheses may hold anything.
func processOfStat(stat string) (Process, bool) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return Process{}, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return Process{Stopped: fields[0] == "T" || fields[0] == "t",
		CPU: time.Duration(user+system) * time.Second / clockTicks}, err1 == nil && err2 == nil
}

// processOfPS reads `ps -o state=,time=`, for example "T 12:34.56".
func processOfPS(line string) (Process, bool) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return Process{}, false
	}
	var total float64
	for part := range strings.SplitSeq(fields[1], ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return Process{}, false
		}
		total = total*60 + n
	}
	return Process{Stopped: strings.HasPrefix(fields[0], "T"), CPU: time.Duration(total * float64(time.Second))}, true
}

// batteryOf reads `pmset -g batt`, whose lines are
//
//	Now drawing from 'Battery Power'
//	 -InternalBattery-0 (id=1234)	41%; discharging; 3:02 remaining present: true
func batteryOf(text string) (Battery, bool) {
	before, _, ok := strings.Cut(text, "%")
	if !ok {
		return Battery{}, false
	}
	percent, err := strconv.Atoi(before[strings.LastIndexAny(before, " \t")+1:])
	return Battery{Percent: percent, OnBattery: strings.Contains(text, "'Battery Power'")}, err == nil
}
