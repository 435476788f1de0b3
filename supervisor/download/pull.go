package download

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"qie/supervisor/catalog"
	"qie/supervisor/failpoint"
)

// pull is one entry on its way.
type pull struct {
	d        *Downloader
	manifest Manifest
	report   func(Progress)
	meter    meter
	on       atomic.Pointer[fetch] // the file that comes now
	fetched  atomic.Int64
	last     atomic.Int64 // when bytes came, in Unix nanoseconds
	others   *others

	mu    sync.Mutex
	state State
	why   string
	file  string
	whole int64 // bytes of files that are whole
	total int64
	told  time.Time
}

// Pull brings every file of an entry into the cache, and gives the manifest of what is there then. report is called
// from several goroutines, one at a time. When ctx ends, what was fetched is kept, and the next Pull goes on there.
func (d *Downloader) Pull(ctx context.Context, e catalog.Entry, report func(Progress)) (Manifest, error) {
	p := &pull{d: d, report: report, total: e.Bytes, others: newOthers(d)}
	p.tell(StateListing, "")
	m, err := d.resolve(ctx, e, func(why string) { p.tell(StateWaiting, why) })
	if err != nil {
		return m, err
	}
	p.manifest, p.total = m, m.Bytes()
	missing, err := p.look(ctx)
	if err != nil {
		return m, err
	}
	var need int64
	for _, f := range missing {
		need += f.Size - d.begun(m.Repository, f)
	}
	if need > 0 {
		if err := d.room(need); err != nil {
			return m, err
		}
	}
	for _, f := range missing {
		p.mu.Lock()
		p.file = f.Path
		p.mu.Unlock()
		if err := p.bring(ctx, f); err != nil {
			return m, err
		}
	}
	failpoint.At("download: before link")
	if err := d.link(m); err != nil {
		return m, err
	}
	p.tell(StateComplete, "")
	return m, nil
}

// look finds what is in the cache already, in place, and hashes what was never hashed. The small files come first: they
// tell soonest what is wrong.
func (p *pull) look(ctx context.Context) ([]catalog.File, error) {
	var missing []catalog.File
	seen := map[string]bool{}
	for _, f := range p.manifest.Files {
		if seen[f.Blob()] {
			continue
		}
		seen[f.Blob()] = true
		if p.d.hashed(p.manifest.Repository, f) {
			p.discard(f) // what a kill behind the last rename left
			p.verified(f.Size)
			continue
		}
		p.mu.Lock()
		p.file = f.Path
		p.mu.Unlock()
		same, err := p.same(ctx, p.d.blob(p.manifest.Repository, f.Blob()), f)
		if err != nil {
			return nil, err
		}
		if !same {
			missing = append(missing, f)
			continue
		}
		if err := p.d.remember(p.manifest.Repository, f); err != nil {
			return nil, err
		}
		p.discard(f)
		p.verified(f.Size)
	}
	slices.SortStableFunc(missing, func(a, b catalog.File) int {
		small := func(f catalog.File) int {
			if f.Size < blockSize {
				return 0
			}
			return 1
		}
		return small(a) - small(b)
	})
	return missing, nil
}

// same hashes a file that may be there, and tells whether it is the one.
func (p *pull) same(ctx context.Context, path string, f catalog.File) (bool, error) {
	if !sizeIs(path, f.Size) {
		return false, nil
	}
	p.tell(StateChecking, "")
	return sameBytes(path, f, func(int64) error { return context.Cause(ctx) })
}

// verified counts a whole file.
func (p *pull) verified(n int64) {
	p.mu.Lock()
	p.whole += n
	state := p.state
	p.mu.Unlock()
	p.tell(state, "")
}

// came counts bytes from the network.
func (p *pull) came(n int64) {
	if n == 0 {
		return
	}
	p.last.Store(time.Now().UnixNano())
	p.fetched.Add(n)
	p.meter.add(n, time.Now())
	p.mu.Lock()
	quiet := time.Since(p.told) < reportStep
	p.mu.Unlock()
	if !quiet {
		p.tell(StateDownloading, "")
	}
}

// quietFrom is how long nothing may come until a pull is said to wait: one connection of several breaks often.
const quietFrom = 2 * time.Second

// quiet tells whether nothing came for a while.
func (p *pull) quiet() bool { return time.Since(time.Unix(0, p.last.Load())) > quietFrom }

// tell reports, when the state is another one or some time has passed.
func (p *pull) tell(s State, why string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == p.state && why == p.why && now.Sub(p.told) < reportStep && s != StateComplete {
		return
	}
	p.state, p.why, p.told = s, why, now
	done := p.whole
	if x := p.on.Load(); x != nil {
		done += x.part.have()
	}
	perS, eta := p.meter.read(p.total-done, now)
	p.report(Progress{State: s, Why: why, File: p.file, Done: done, Total: p.total, Fetched: p.fetched.Load(), PerS: perS, ETA: eta})
}
