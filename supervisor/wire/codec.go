package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// magic starts every line of the protocol. A line that does not hold it is text that somebody printed.
const magic = `{"qie":1,`

// salvageMax bounds how often one line is searched for a frame, so that a line full of magics costs little.
const salvageMax = 8

// textMax is how many bytes of a printed line are kept.
const textMax = 4 << 10

// ErrLineTooLong says that a message does not fit in a line.
var ErrLineTooLong = errors.New("message is longer than a line may be")

var typeNames = func() map[reflect.Type]string {
	names := map[reflect.Type]string{}
	for _, table := range []map[string]any{Requests, Events} {
		for name, msg := range table {
			names[reflect.TypeOf(msg)] = name
		}
	}
	return names
}()

// TypeOf gives the type name of a message of either direction, "" for anything else.
func TypeOf(msg any) string {
	t := reflect.TypeOf(msg)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return typeNames[t]
}

// Encode makes one line, newline included, in pure ASCII. Version is set here, the type follows from msg when env.T is
// empty. Frozen order: the envelope's keys, then the message's.
func Encode(env Envelope, msg any) ([]byte, error) {
	env.QIE = Version
	if env.T == "" {
		env.T = TypeOf(msg)
	}
	if env.T == "" {
		return nil, fmt.Errorf("no message type for %T", msg)
	}
	head, err := json.Marshal(env)
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	body, err := json.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", env.T, err)
	}
	line := make([]byte, 0, len(head)+len(body)+64)
	line = appendASCII(line, head[:len(head)-1])
	if len(body) > len("{}") {
		line = append(line, ',')
		line = appendASCII(line, body[1:len(body)-1])
	}
	line = append(line, '}', '\n')
	limit := EventLineMax
	if _, isRequest := Requests[env.T]; isRequest {
		limit = RequestLineMax
	}
	if len(line) > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d", ErrLineTooLong, env.T, len(line), limit)
	}
	return line, nil
}

// appendASCII escapes what is not ASCII; encoding/json has already replaced invalid UTF-8.
func appendASCII(dst, src []byte) []byte {
	for len(src) > 0 {
		if src[0] < utf8.RuneSelf {
			dst = append(dst, src[0])
			src = src[1:]
			continue
		}
		r, size := utf8.DecodeRune(src)
		src = src[size:]
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		} else {
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return dst
}

// Frame is one message with its envelope. Msg is a pointer to the message struct, or nil when the type is unknown.
type Frame struct {
	Envelope
	Msg any
}

// Line is what one call of Next found: text, a frame, or text glued in front of a frame.
type Line struct {
	// Text is what was printed around frames, escaped so that it can be logged.
	Text  string
	Frame *Frame
	// Partial marks text that the end of the stream cut off. It is never a frame: half a line is no message.
	Partial bool
	// SkippedBytes is the length of a line over the limit, which was not kept.
	SkippedBytes int64
}

// Counts is what a Reader met besides frames.
type Counts struct {
	Frames        int64
	TextLines     int64
	Oversize      int64 // lines over the limit
	BadFrames     int64 // started like a frame, did not decode
	UnknownTypes  int64
	UnknownFields int64
	Salvaged      int64 // frames glued behind text or behind each other
}

// Reader splits a stream into frames and printed text. It holds one buffer of the line limit and never more: a line
// over the limit is skipped up to its newline and counted.
type Reader struct {
	// Mute, when set, is asked for each line of nothing but text: true drops it before it is made readable, which costs
	// most in a flood.
	Mute   func() bool
	in     *bufio.Reader
	table  map[string]any
	rest   []byte // of the current line, not yet looked at
	tries  int    // of salvage on the current line
	counts Counts
}

// NewReader reads lines of at most limit bytes; table is Requests or Events.
func NewReader(in io.Reader, limit int, table map[string]any) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, limit+1), table: table}
}

// Counts so far.
func (r *Reader) Counts() Counts { return r.counts }

// Next gives the next line, or the stream's error once all is read.
func (r *Reader) Next() (Line, error) {
	if len(r.rest) > 0 {
		return r.split(), nil
	}
	line, err := r.in.ReadSlice('\n')
	for err == nil && r.Mute != nil && !bytes.Contains(line, []byte(magic)) && r.Mute() {
		r.counts.TextLines++
		line, err = r.in.ReadSlice('\n')
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return r.skip(int64(len(line)))
	case err != nil && len(line) > 0:
		r.counts.TextLines++
		return Line{Text: Escape(line), Partial: true}, nil
	case err != nil:
		return Line{}, err
	}
	r.rest, r.tries = bytes.TrimRight(line, "\r\n"), 0
	return r.split(), nil
}

// skip reads past a line that does not fit.
func (r *Reader) skip(skipped int64) (Line, error) {
	r.counts.Oversize++
	for {
		more, err := r.in.ReadSlice('\n')
		skipped += int64(len(more))
		if !errors.Is(err, bufio.ErrBufferFull) {
			// The end of the stream shows at the next call.
			return Line{SkippedBytes: skipped}, nil
		}
	}
}

// split takes text up to the first whole frame, and that frame, from the rest of the line.
func (r *Reader) split() Line {
	rest := r.rest
	from := 0
	for r.tries < salvageMax {
		i := bytes.Index(rest[from:], []byte(magic))
		if i < 0 {
			break
		}
		r.tries++
		start := from + i
		frame, size, ok := r.decode(rest[start:])
		if !ok {
			r.counts.BadFrames++
			from = start + len(magic)
			continue
		}
		if start > 0 || r.tries > 1 {
			r.counts.Salvaged++
		}
		r.counts.Frames++
		r.rest = rest[start+size:]
		line := Line{Frame: frame}
		if start > 0 {
			r.counts.TextLines++
			line.Text = Escape(rest[:start])
		}
		return line
	}
	r.rest = nil
	r.counts.TextLines++
	return Line{Text: Escape(rest)}
}

// decode reads one JSON object at the start of data; size is its length.
func (r *Reader) decode(data []byte) (*Frame, int, bool) {
	in := json.NewDecoder(bytes.NewReader(data))
	var raw json.RawMessage
	if err := in.Decode(&raw); err != nil {
		return nil, 0, false
	}
	var frame Frame
	if err := json.Unmarshal(raw, &frame.Envelope); err != nil || frame.T == "" {
		return nil, 0, false
	}
	sample, known := r.table[frame.T]
	if !known {
		r.counts.UnknownTypes++
		return &frame, int(in.InputOffset()), true
	}
	t := reflect.TypeOf(sample)
	msg := reflect.New(t).Interface()
	if err := json.Unmarshal(raw, msg); err != nil {
		return nil, 0, false
	}
	r.counts.UnknownFields += unknownFields(raw, t)
	frame.Msg = msg
	return &frame, int(in.InputOffset()), true
}

func unknownFields(raw []byte, t reflect.Type) int64 {
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return 0
	}
	unknown := int64(len(keys))
	for _, part := range []reflect.Type{reflect.TypeFor[Envelope](), t} {
		for i := range part.NumField() {
			name, _, _ := strings.Cut(part.Field(i).Tag.Get("json"), ",")
			if _, ok := keys[name]; ok {
				unknown--
			}
		}
	}
	return unknown
}

// Escape makes any bytes fit for a log line: printable text stays, the rest shows as \x00 or \u0000.
func Escape(data []byte) string {
	cut := len(data) > textMax
	if cut {
		data = data[:textMax]
	}
	data = bytes.TrimRight(data, "\r\n")
	if !cut && plain(data) {
		return string(data)
	}
	var b strings.Builder
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, data[0])
		case r == '\t' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		data = data[size:]
	}
	if cut {
		b.WriteString(" ...")
	}
	return b.String()
}

// plain tells whether there is nothing to escape.
func plain(data []byte) bool {
	for _, c := range data {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}
