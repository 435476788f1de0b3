package worker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"qie/supervisor/wire"
)

const (
	tailLines   = 60
	pieceBytes  = 8 << 10  // a longer line of stderr is cut into pieces
	stderrBytes = 64 << 10 // what a pipe holds
	logBytesMax = 10 << 20
	logKept     = 3
	logQueue    = 1024
)

// eachLine calls f for every line, and for pieces of lines that are too long; memory is bounded. In a flood only the
// last lines of what has come are looked at, and skipped hears of the others.
func eachLine(in io.Reader, flood func() bool, skipped func(int), f func([]byte)) {
	r := bufio.NewReaderSize(in, stderrBytes)
	for {
		line, err := r.ReadSlice('\n')
		for len(line) > pieceBytes {
			f(line[:pieceBytes])
			line = line[pieceBytes:]
		}
		if len(line) > 0 {
			f(line)
		}
		if flood() {
			skipped(skip(r))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// skip drops all waiting lines but the last ones, and gives how many.
func skip(r *bufio.Reader) int {
	waiting, _ := r.Peek(r.Buffered()) // no more than there is
	end := len(waiting)
	for range tailLines + 1 {
		if end = bytes.LastIndexByte(waiting[:end], '\n'); end < 0 {
			return 0
		}
	}
	n := bytes.Count(waiting[:end+1], []byte{'\n'})
	_, _ = r.Discard(end + 1)
	return n
}

// tail keeps the last lines of stderr, for the reason of a death.
type tail struct {
	mu   sync.Mutex
	kept [tailLines]string // a ring
	n    int               // of all lines
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept[t.n%tailLines] = line
	t.n++
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for i := max(0, t.n-tailLines); i < t.n; i++ {
		lines = append(lines, t.kept[i%tailLines])
	}
	return lines
}

// secrets takes prompts out of what the worker prints: logs hold none.
type secrets struct {
	words atomic.Pointer[strings.Replacer]
}

const redacted = "[prompt]"

// hide replaces the prompts of the running attempt, plain and as the wire escapes them. Very short ones are left: they
// would tear up ordinary text and tell nobody anything.
func (s *secrets) hide(prompts ...string) {
	var pairs []string
	for _, prompt := range prompts { // stderr comes in lines, so that each line of a prompt counts by itself as well
		if strings.Contains(prompt, "\n") {
			prompts = append(prompts, strings.Split(prompt, "\n")...)
		}
	}
	for _, p := range prompts {
		p = strings.TrimSpace(p)
		if len(p) < 4 {
			continue
		}
		pairs = append(pairs, p, redacted)
		if line, err := wire.Encode(wire.Envelope{}, wire.Log{Text: p}); err == nil {
			text := string(line)
			start := strings.LastIndex(text, `"text":"`) + len(`"text":"`)
			if escaped := strings.TrimSuffix(text[start:], "\"}\n"); escaped != p {
				pairs = append(pairs, escaped, redacted)
			}
		}
	}
	s.words.Store(strings.NewReplacer(pairs...))
}

func (s *secrets) clean(text string) string {
	if r := s.words.Load(); r != nil {
		return r.Replace(text)
	}
	return text
}

// rotatedLog is worker.log. Lines are handed over without waiting: a slow disk costs lines, which are counted, and
// never slows the worker.
type rotatedLog struct {
	path  string
	lines chan string
	lost  atomic.Int64
	done  chan struct{}
}

func openLog(path string) *rotatedLog {
	l := &rotatedLog{path: path, lines: make(chan string, logQueue), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *rotatedLog) line(gen int64, source, text string) {
	if l.drops() { // before any work: a flood must not slow the worker
		return
	}
	line := fmt.Sprintf("%s gen=%d %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), gen, source, text)
	select {
	case l.lines <- line:
	default:
		l.lost.Add(1)
	}
}

func (l *rotatedLog) full() bool { return len(l.lines) == cap(l.lines) }

// drops counts a line that finds no room.
func (l *rotatedLog) drops() bool {
	full := l.full()
	if full {
		l.lost.Add(1)
	}
	return full
}

func (l *rotatedLog) run() {
	defer close(l.done)
	var file *os.File
	var size int64
	for line := range l.lines {
		if l.path == "" {
			continue
		}
		if n := l.lost.Swap(0); n > 0 {
			line += fmt.Sprintf("[%d lines dropped]\n", n)
		}
		if file != nil && size+int64(len(line)) > logBytesMax {
			_ = file.Close()
			file = nil
			l.rotate()
		}
		if file == nil {
			var err error
			if file, err = os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
				l.lost.Add(1)
				continue
			}
			size = 0
			if info, err := file.Stat(); err == nil {
				size = info.Size()
			}
		}
		n, err := file.WriteString(line)
		size += int64(n)
		if err != nil {
			l.lost.Add(1)
		}
	}
	if file != nil {
		_ = file.Close()
	}
}

func (l *rotatedLog) rotate() {
	for i := logKept - 1; i > 0; i-- {
		_ = os.Rename(fmt.Sprintf("%s.%d", l.path, i), fmt.Sprintf("%s.%d", l.path, i+1))
	}
	_ = os.Rename(l.path, l.path+".1")
}

// close writes what is queued. Nobody may call line afterwards.
func (l *rotatedLog) close() {
	close(l.lines)
	<-l.done
}
