// Package host reads facts about this machine: chip, memory, disk, who holds a port. It judges nothing.
package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	gohost "github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"
	"github.com/shirou/gopsutil/v3/process"
)

// Facts about the machine. Zero means that the system did not tell.
type Facts struct {
	OS, Arch        string // as Go names them
	Platform        string // for example macOS or debian
	Version         string // of the platform
	CPU             string
	Cores           int
	MemoryTotal     int64 // bytes
	MemoryAvailable int64
	DiskTotal       int64 // bytes of the file system that holds the data folder
	DiskFree        int64
	GPU             string // name of an NVIDIA GPU, or of the Apple chip's; empty without one
	Translated      bool   // this program is for Intel and runs on Apple Silicon under Rosetta
	Libc            string // version of glibc, or musl; empty elsewhere
}

// nvidiaLimit bounds the question for a GPU.
const nvidiaLimit = 1500 * time.Millisecond

// AppleSilicon tells whether this is the machine that qie is made for.
func (f Facts) AppleSilicon() bool { return f.OS == "darwin" && f.Arch == "arm64" }

// Read asks the system. folder may not exist yet: its nearest parent is measured.
func Read(ctx context.Context, folder string) Facts {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Translated: translated(), Libc: libc(ctx)}
	if info, err := gohost.InfoWithContext(ctx); err == nil {
		f.Platform, f.Version = info.Platform, info.PlatformVersion
		if f.OS == "darwin" {
			f.Platform = "macOS"
		}
	}
	if infos, err := cpu.InfoWithContext(ctx); err == nil && len(infos) > 0 {
		f.CPU = strings.TrimSpace(infos[0].ModelName)
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		f.MemoryTotal, f.MemoryAvailable = int64(m.Total), int64(m.Available)
	}
	if d, err := disk.UsageWithContext(ctx, Nearest(folder)); err == nil {
		f.DiskTotal, f.DiskFree = int64(d.Total), int64(d.Free)
	}
	switch {
	case f.AppleSilicon():
		f.GPU = f.CPU
	default:
		f.GPU = nvidia(ctx)
	}
	return f
}

// DiskFree is how many bytes are free where the folder lies, or would; 0 when the system does not tell.
func DiskFree(folder string) int64 {
	d, err := disk.Usage(Nearest(folder))
	if err != nil {
		return 0
	}
	return int64(d.Free)
}

// Nearest is the folder itself, or its nearest parent that exists.
func Nearest(folder string) string {
	for dir := folder; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// nvidia asks the driver's own tool: importing torch for it would take seconds.
func nvidia(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, nvidiaLimit) // a driver in trouble answers late or never
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// PortHolder names the process that listens on a TCP port of this machine, for example "python3 (process 4711)"; empty
// when nobody does or the system does not tell.
func PortHolder(ctx context.Context, port int) string {
	conns, err := net.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return ""
	}
	for _, c := range conns {
		if c.Status != "LISTEN" || c.Laddr.Port != uint32(port) {
			continue
		}
		if c.Pid == 0 {
			return "a program of another user"
		}
		name := "a program"
		if p, err := process.NewProcessWithContext(ctx, c.Pid); err == nil {
			if n, err := p.NameWithContext(ctx); err == nil {
				name = n
			}
		}
		return fmt.Sprintf("%s (process %d)", name, c.Pid)
	}
	return ""
}
