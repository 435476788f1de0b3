package supervisor

import (
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/process"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

// gaugeEvery is how often the machine is measured while somebody looks.
const gaugeEvery = 3 * time.Second

// gauge measures while somebody looks, and rests otherwise.
func (s *Supervisor) gauge() {
	defer s.parts.Done()
	tick := time.NewTicker(gaugeEvery)
	defer tick.Stop()
	s.measure()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			if s.hub.Subscribers() == 0 {
				continue
			}
			g := s.measure()
			s.mu.Lock()
			s.hub.Publish(event.Event{Type: event.TypeSystemGauges, Gauges: &g})
			s.mu.Unlock()
		}
	}
}

// measure asks the system. What it does not tell stays zero.
func (s *Supervisor) measure() event.Gauges {
	var g event.Gauges
	if m, err := mem.VirtualMemory(); err == nil {
		g.MemoryTotal, g.MemoryAvailable = int64(m.Total), int64(m.Available)
	}
	if d, err := disk.Usage(s.store.JobsDir()); err == nil {
		g.DiskFree = int64(d.Free)
		s.diskAll.Store(int64(d.Total))
	}
	g.SupervisorRSS = rss(os.Getpid())
	if w := s.worker.Load(); w != nil {
		status := w.Status()
		g.WorkerRSS = status.RSSBytes
		if status.PID != 0 && g.WorkerRSS == 0 {
			g.WorkerRSS = rss(status.PID)
		}
	}
	s.gauged.Store(&g)
	return g
}

func rss(pid int) int64 {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0
	}
	m, err := p.MemoryInfo()
	if err != nil {
		return 0
	}
	return int64(m.RSS)
}

// System tells about the program and the machine, measured now.
func (s *Supervisor) System() System {
	g := s.measure()
	s.mu.Lock()
	defer s.mu.Unlock()
	sys := System{
		Version: s.cfg.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		PID: os.Getpid(), StartedAt: s.started, UptimeS: seconds(s.cfg.Now().Sub(s.started)), URL: s.instance.url(),
		Worker: s.view.worker, Model: s.modelView(), Gauges: g, DiskTotal: s.diskAll.Load(),
		QueueMax: s.cfg.QueueMax, DataFolder: s.cfg.Home, JobsFolder: s.store.JobsDir(), Listeners: s.hub.Subscribers(),
	}
	for _, j := range s.view.jobs {
		switch {
		case j.State == job.Queued:
			sys.Queued++
		case j.State.Active():
			sys.Active++
		}
	}
	return sys
}
