package download

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// blockSize is what the journal counts in. A kill costs at most the blocks that were on their way, one a connection.
const blockSize = 512 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// part is a file on its way: its bytes so far, and a journal of the blocks that were written. The journal names a block
// with its checksum after its bytes were written, and nothing is synced on the way: what a power cut loses is found by
// the checksums at the next start, and only that is fetched again.
type part struct {
	size    int64
	data    *os.File
	journal *os.File

	mu    sync.Mutex
	noted int64  // length of the journal
	done  []bool // by block
	taken []bool
	bytes int64 // in blocks that are done
	woken chan struct{}
}

// record of the journal: block, length, checksum of the bytes, checksum of the record.
const recordSize = 16

// openPart opens what an earlier pull left, and keeps what is still whole. The bytes from the beginning on without a gap
// go into sum, so that the file need not be read again. read is told of what was read.
func openPart(dataPath, journalPath string, size int64, sum hash.Hash, read func(int64) error) (p *part, hashed int64, err error) {
	n := int((size + blockSize - 1) / blockSize)
	p = &part{size: size, done: make([]bool, n), taken: make([]bool, n), woken: make(chan struct{})}
	if p.data, err = os.OpenFile(dataPath, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, 0, diskError(err)
	}
	if p.journal, err = os.OpenFile(journalPath, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		_ = p.data.Close()
		return nil, 0, diskError(err)
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	sums, whole, err := p.records()
	if err != nil {
		return nil, 0, err
	}
	if err := p.journal.Truncate(whole); err != nil { // a torn record would hide those behind it
		return nil, 0, diskError(err)
	}
	p.noted = whole
	block := make([]byte, blockSize)
	gap := false
	for i := range n {
		want, known := sums[i]
		if !known {
			gap = true
			continue
		}
		b := block[:p.length(i)]
		if _, err := p.data.ReadAt(b, int64(i)*blockSize); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, diskError(err)
		} else if err != nil || crc32.Checksum(b, castagnoli) != want {
			gap = true
			continue
		}
		p.done[i], p.taken[i] = true, true
		p.bytes += int64(len(b))
		if !gap {
			sum.Write(b)
			hashed += int64(len(b))
		}
		if err := read(int64(len(b))); err != nil {
			return nil, 0, err
		}
	}
	return p, hashed, nil
}

// records reads the journal up to what is torn.
func (p *part) records() (sums map[int]uint32, whole int64, err error) {
	sums = map[int]uint32{}
	r := bufio.NewReader(io.NewSectionReader(p.journal, 0, 1<<30))
	var rec [recordSize]byte
	for {
		if _, err := io.ReadFull(r, rec[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return sums, whole, nil
		} else if err != nil {
			return nil, 0, diskError(err)
		}
		i, length := int(binary.LittleEndian.Uint32(rec[0:])), int64(binary.LittleEndian.Uint32(rec[4:]))
		if crc32.Checksum(rec[:12], castagnoli) != binary.LittleEndian.Uint32(rec[12:]) || i >= len(p.done) || length != p.length(i) {
			return sums, whole, nil
		}
		sums[i] = binary.LittleEndian.Uint32(rec[8:])
		whole += recordSize
	}
}

// length of a block in bytes; only the last one is shorter.
func (p *part) length(i int) int64 { return min(blockSize, p.size-int64(i)*blockSize) }

// take gives a worker the first blocks that nobody has, at most so many in a row; none is the end.
func (p *part) take(most int) (first, count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for first < len(p.taken) && p.taken[first] {
		first++
	}
	for first+count < len(p.taken) && count < most && !p.taken[first+count] {
		p.taken[first+count] = true
		count++
	}
	return first, count
}

// giveBack returns what a worker did not fetch.
func (p *part) giveBack(first, count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := first; i < first+count; i++ {
		p.taken[i] = p.done[i]
	}
}

// finished writes a block into the journal: its bytes are in the file.
func (p *part) finished(i int, sum uint32) error {
	var rec [recordSize]byte
	binary.LittleEndian.PutUint32(rec[0:], uint32(i))
	binary.LittleEndian.PutUint32(rec[4:], uint32(p.length(i)))
	binary.LittleEndian.PutUint32(rec[8:], sum)
	binary.LittleEndian.PutUint32(rec[12:], crc32.Checksum(rec[:12], castagnoli))
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.journal.Write(rec[:]); err != nil {
		return errors.Join(err, p.journal.Truncate(p.noted)) // half a record would hide those behind it
	}
	p.noted += recordSize
	p.done[i] = true
	p.bytes += p.length(i)
	close(p.woken)
	p.woken = make(chan struct{})
	return nil
}

// ready tells whether a block is in the file, and what wakes whoever waits for it.
func (p *part) ready(i int) (bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done[i], p.woken
}

// have is how many bytes are in blocks that are done.
func (p *part) have() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

func (p *part) close() {
	_ = p.data.Close()
	_ = p.journal.Close()
}
