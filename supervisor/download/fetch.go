package download

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"qie/supervisor/catalog"
	"qie/supervisor/failpoint"
)

const (
	// spanMax is how many blocks one request asks for.
	spanMax = 32
	// dripBytes in one stall is as good as nothing.
	dripBytes = 16 << 10
	readBytes = 128 << 10
	// plainMax is how often in a row a whole file may come in the place of a range, until the file is fetched in one go.
	plainMax = 3
	diskLook = 64 << 20 // bytes between two looks at the free space
	diskWait = 5 * time.Second
)

// errNoRanges says that the hub sends whole files only.
var errNoRanges = errors.New("the hub sends no ranges")

// fetch is one file on its way.
type fetch struct {
	*pull
	file catalog.File
	part *part
	span int

	nonsense atomic.Int32 // answers in a row that cannot be right
	plain    atomic.Int32 // whole files in a row that came in the place of a range
	looked   atomic.Int64 // fetched bytes at the last look at the free space

	mu     sync.Mutex
	direct *url.URL // where the hub sent us for this file; signed, and good for a while
}

// bring puts one file into the cache. Nothing of it is in blobs before its hash was compared.
func (p *pull) bring(ctx context.Context, f catalog.File) error {
	unlock, err := p.d.lock(ctx, p.manifest.Repository, f.Blob(), func() {
		p.tell(StateWaiting, "another program fetches this file")
	})
	if err != nil {
		return err
	}
	defer unlock()
	if p.d.hashed(p.manifest.Repository, f) {
		p.verified(f.Size) // the other program has brought it
		return nil
	}
	if ok, err := p.adopt(ctx, f); ok || err != nil {
		return err
	}
	p.tell(StateDownloading, "")
	whole := false
	for wrong := 0; ; {
		err := p.once(ctx, f, whole)
		switch {
		case errors.Is(err, errNoRanges):
			whole = true
			continue
		case !errors.Is(err, errWrongHash):
			return err
		}
		// Nothing tells which bytes are wrong, so none is kept.
		p.discard(f)
		if wrong++; wrong > 1 {
			return refused("what the hub sends for %s is not what it announced: its hash is another one, twice", f.Path)
		}
		p.d.o.Log.Warn("wrong hash, fetched again", "file", f.Path)
	}
}

var errWrongHash = errors.New("wrong hash")

func (p *pull) discard(f catalog.File) {
	for _, ending := range []string{".part", ".journal"} {
		_ = os.Remove(p.d.ownFile(p.manifest.Repository, f.Blob()+ending))
	}
}

// once fetches what is missing of a file, and gives it its place.
func (p *pull) once(ctx context.Context, f catalog.File, whole bool) error {
	dataPath, journalPath := p.d.ownFile(p.manifest.Repository, f.Blob()+".part"), p.d.ownFile(p.manifest.Repository, f.Blob()+".journal")
	if err := os.MkdirAll(filepath.Dir(dataPath), 0o700); err != nil {
		return diskError(err)
	}
	sum := newHash(f)
	part, hashed, err := openPart(dataPath, journalPath, f.Size, sum, func(int64) error { return context.Cause(ctx) })
	if err != nil {
		return err
	}
	defer part.close()
	x := &fetch{pull: p, file: f, part: part}
	x.span = int(min(spanMax, max(1, f.Size/blockSize/int64(2*p.d.o.Connections))))
	p.on.Store(x)
	defer p.on.Store(nil)
	if err := x.run(ctx, sum, hashed, whole); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.Blob() {
		return errWrongHash
	}
	failpoint.At("download: hash compared")
	if err := part.data.Sync(); err != nil {
		return diskError(err)
	}
	if err := p.d.place(p.manifest.Repository, f, dataPath); err != nil {
		return err
	}
	failpoint.At("download: blob placed")
	_ = os.Remove(journalPath)
	p.on.Store(nil)
	p.verified(f.Size)
	return nil
}

// run lets the workers fetch while the file is hashed behind them.
func (x *fetch) run(ctx context.Context, sum hash.Hash, hashed int64, whole bool) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers sync.WaitGroup
	work := func(do func(context.Context) error) {
		workers.Go(func() {
			if err := do(ctx); err != nil {
				stop(err)
			}
		})
	}
	if whole {
		work(x.wholeFile)
	} else {
		for range x.d.o.Connections {
			work(x.ranges)
		}
	}
	work(func(ctx context.Context) error { return x.hash(ctx, sum, hashed) })
	workers.Wait()
	return context.Cause(ctx)
}

// hash follows the workers through the file, while what they wrote is still in memory.
func (x *fetch) hash(ctx context.Context, sum hash.Hash, hashed int64) error {
	buf := make([]byte, blockSize)
	for i := int(hashed / blockSize); i < len(x.part.done); i++ {
		for {
			ok, woken := x.part.ready(i)
			if ok {
				break
			}
			select {
			case <-woken:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		b := buf[:x.part.length(i)]
		if _, err := x.part.data.ReadAt(b, int64(i)*blockSize); err != nil {
			return diskError(err)
		}
		sum.Write(b)
	}
	return nil
}

// cursor is how far a request has come: bytes of the file from at up to end are asked for, and sum is over those of the
// block that at is in.
type cursor struct {
	at, end int64
	sum     uint32
}

// ranges is one worker: it takes runs of blocks until there are none.
func (x *fetch) ranges(ctx context.Context) error {
	for {
		first, count := x.part.take(x.span)
		if count == 0 {
			return context.Cause(ctx)
		}
		c := &cursor{at: int64(first) * blockSize}
		c.end = min(x.file.Size, c.at+int64(count)*blockSize)
		err := x.persist(ctx, func() (int64, error) { return x.request(ctx, c) }, func() bool { return c.at == c.end })
		if err != nil {
			x.part.giveBack(first, count)
			return err
		}
	}
}

// wholeFile is for hubs without ranges: one request for everything, again from the beginning after each break. Blocks
// that are here already are skipped.
func (x *fetch) wholeFile(ctx context.Context) error {
	return x.persist(ctx, func() (int64, error) { return x.request(ctx, &cursor{end: x.file.Size}) },
		func() bool { return x.part.have() == x.file.Size })
}

// persist asks again until it is done: at once when bytes came, else after a pause that grows.
func (x *fetch) persist(ctx context.Context, ask func() (int64, error), done func() bool) error {
	for failed := 0; !done(); {
		before := x.part.have()
		got, err := ask()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got >= dripBytes || x.part.have() > before {
			failed = 0
		}
		if err == nil {
			continue
		}
		var a *asked
		if !errors.As(err, &a) || a.kind == fatal {
			return typed(err)
		}
		x.d.o.Log.Debug("fetch", "file", x.file.Path, "err", a.err, "got", got)
		pause := backoff(failed)
		if a.kind == nonsense {
			if x.nonsense.Add(1) > tries {
				return gaveUp(a)
			}
		} else if failed++; x.d.o.Patience > 0 && failed > x.d.o.Patience {
			return gaveUp(a)
		}
		if a.kind == limited {
			pause = a.after
		} else if a.kind == network && failed == 1 && got >= dripBytes {
			continue // a break on the way: go on at the same byte
		}
		if x.quiet() {
			x.tell(StateWaiting, a.Error())
		}
		if err := x.d.o.Wait(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// request asks for the rest of a cursor and writes what comes. It gives how many bytes came.
func (x *fetch) request(ctx context.Context, c *cursor) (got int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var came atomic.Int64
	var dog *time.Timer
	dog = time.AfterFunc(time.Hour, func() {
		if came.Swap(0) < dripBytes {
			cancel(errStalled)
			return
		}
		dog.Reset(x.d.o.Stall)
	})
	defer dog.Stop()
	dog.Reset(x.d.o.Stall)

	header := http.Header{}
	ranged := c.at > 0 || c.end < x.file.Size
	if ranged {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", c.at, c.end-1))
	}
	address, known := x.address()
	res, err := x.d.get(ctx, address, header)
	if err != nil {
		return 0, stalled(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := x.judge(res, c, ranged, known); err != nil {
		return 0, err
	}
	if !known {
		x.keep(res.from)
	}
	x.tell(StateDownloading, "")
	buf := make([]byte, readBytes)
	for c.at < c.end {
		// A read ends at the end of a block at the latest, so that no block is written in two ways.
		block := c.at / blockSize
		most := min(readBytes, c.end-c.at, (block+1)*blockSize-c.at)
		n, err := res.Body.Read(buf[:most])
		came.Add(int64(n))
		got += int64(n)
		x.came(int64(n))
		if n > 0 {
			if err := x.write(ctx, c, buf[:n]); err != nil {
				return got, err
			}
		}
		if c.at == c.end {
			return got, nil
		}
		if errors.Is(err, io.EOF) {
			return got, askedf(network, "the connection ended early")
		}
		if err != nil {
			if errors.Is(context.Cause(ctx), errStalled) {
				return got, stalled(errStalled)
			}
			return got, x.d.unreachable(ctx, res.from, err)
		}
	}
	return got, nil
}

// judge tells whether a response is what was asked for.
func (x *fetch) judge(res *answer, c *cursor, ranged, known bool) error {
	if known && res.StatusCode >= 400 && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests {
		x.forget(res.from) // a signature ends; the hub makes a new one
		return askedf(nonsense, "%s answered %s", res.from.Host, res.Status)
	}
	if err := x.announced(res.first); err != nil {
		return err
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return askedf(nonsense, "%s sent the file packed (%s)", res.from.Host, coding)
	}
	switch res.StatusCode {
	case http.StatusPartialContent:
		if !ranged {
			return askedf(nonsense, "%s sent a part of a file that was asked for whole", res.from.Host)
		}
		want := fmt.Sprintf("bytes %d-%d/%d", c.at, c.end-1, x.file.Size)
		if got := res.Header.Get("Content-Range"); got != want {
			return askedf(nonsense, "%s sent %.60q in the place of %q", res.from.Host, got, want)
		}
		x.plain.Store(0)
		return nil
	case http.StatusOK:
		if !ranged && res.ContentLength >= 0 && res.ContentLength != x.file.Size {
			return askedf(nonsense, "%s announced %d bytes for a file of %d", res.from.Host, res.ContentLength, x.file.Size)
		}
		if !ranged {
			return nil
		}
		if x.plain.Add(1) >= plainMax {
			return errNoRanges
		}
		return askedf(nonsense, "%s sent a whole file in the place of a part", res.from.Host)
	}
	return status(res, time.Now())
}

// announced compares what the hub says of a file with what is pinned: when the publisher has changed it, no byte of it
// need come to know that the hash will be another one.
func (x *fetch) announced(h http.Header) error {
	tag := strings.Trim(strings.TrimPrefix(h.Get("X-Linked-Etag"), "W/"), `"`)
	if x.file.SHA256 != "" && hashForm.MatchString(tag) && tag != x.file.SHA256 {
		return &asked{err: refused("the hub has another %s now than the one that is pinned", x.file.Path)}
	}
	return nil
}

// write puts bytes into the file, and a block that is whole into the journal.
func (x *fetch) write(ctx context.Context, c *cursor, b []byte) error {
	block := int(c.at / blockSize)
	if have, _ := x.part.ready(block); have { // a whole file brings it again
		c.at += int64(len(b))
		return nil
	}
	if fetched := x.fetched.Load(); fetched-x.looked.Load() >= diskLook {
		x.looked.Store(fetched)
		if !x.roomLeft() {
			if err := x.waitForRoom(ctx); err != nil {
				return err
			}
		}
	}
	if err := x.spaced(ctx, func() error { _, err := x.part.data.WriteAt(b, c.at); return err }); err != nil {
		return err
	}
	c.sum = crc32.Update(c.sum, castagnoli, b)
	c.at += int64(len(b))
	if c.at%blockSize != 0 && c.at != x.file.Size {
		return nil
	}
	sum := c.sum
	c.sum = 0
	failpoint.At("download: block written")
	x.nonsense.Store(0)
	return x.spaced(ctx, func() error { return x.part.finished(block, sum) })
}

// spaced writes, and waits for space while there is none.
func (x *fetch) spaced(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			return diskError(err)
		}
		if err := x.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

// roomLeft tells whether what must stay free is free.
func (p *pull) roomLeft() bool {
	free, err := p.d.o.DiskFree(existing(p.d.o.Cache))
	return err != nil || p.d.o.DiskFloor < 0 || free >= p.d.o.DiskFloor
}

func (p *pull) waitForRoom(ctx context.Context) error {
	for {
		p.tell(StateWaiting, "the disk is full; "+hintSpace)
		if err := p.d.o.Wait(ctx, diskWait); err != nil {
			return err
		}
		if p.roomLeft() {
			return nil // or the next write says otherwise
		}
	}
}

// address is where to ask for the file: where the hub sent us before, else the hub.
func (x *fetch) address() (u *url.URL, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.direct != nil {
		return x.direct, true
	}
	u = x.d.endpoint.JoinPath(x.manifest.Repository, "resolve", x.manifest.Commit, x.file.Path)
	return u, false
}

func (x *fetch) keep(u *url.URL) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.direct = u
}

func (x *fetch) forget(u *url.URL) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.direct == u {
		x.direct = nil
	}
}
