package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// everything is what a stream gave, one word a line.
func everything(t *testing.T, in io.Reader, limit int, table map[string]any) (frames []*Frame, counts Counts, skipped int64) {
	t.Helper()
	r := NewReader(in, limit, table)
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return frames, r.Counts(), skipped
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(line.Text) > 6*textMax {
			t.Fatalf("a line of text holds %d bytes", len(line.Text))
		}
		if line.Frame != nil {
			frames = append(frames, line.Frame)
		}
		skipped += line.SkippedBytes
	}
}

// FuzzBothWays throws bytes at both tables in pieces of any size: it never panics, never depends on how the pipe cuts
// the stream, and what it takes for a message is the same message when it is written and read again.
func FuzzBothWays(f *testing.F) {
	for _, table := range []map[string]any{Requests, Events} {
		for _, msg := range table {
			f.Add([]byte(mustEncode(f, Envelope{Seq: 3, Gen: 1, Job: "j", Attempt: 2}, msg)), uint8(7))
		}
	}
	for _, seed := range []string{"", "\n\n", magic, magic + magic + "\n", `{"qie":1,"t":"pong","id":1e400}` + "\n",
		`{"qie":1,"t":"result","bytes":99999999999999999999}` + "\n", `{"qie":1,"t":"progress","t":"pong","id":1,"ID":2}` + "\n",
		`{"qie":1,"t":"log","text":"\ud800 \u0000 ` + "\xff" + `"}` + "\n", `{"qie":1,"t":null}` + "\n", strings.Repeat("z", 3000)} {
		f.Add([]byte(seed), uint8(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		const limit = 2 << 10
		for _, table := range []map[string]any{Requests, Events} {
			frames, counts, skipped := everything(t, bytes.NewReader(data), limit, table)
			again, countsAgain, skippedAgain := everything(t, &pieces{data, int(piece) + 1}, limit, table)
			if len(frames) != len(again) || counts != countsAgain || skipped != skippedAgain {
				t.Fatalf("cut into pieces of %d it is another stream: %+v, then %+v", int(piece)+1, counts, countsAgain)
			}
			for _, frame := range frames {
				if frame.Msg == nil {
					continue
				}
				msg := reflect.ValueOf(frame.Msg).Elem().Interface()
				line, err := Encode(frame.Envelope, msg)
				if errors.Is(err, ErrLineTooLong) {
					continue // escapes make it longer
				}
				if err != nil {
					t.Fatalf("%+v was read and cannot be written: %v", frame, err)
				}
				if bytes.ContainsFunc(line[:len(line)-1], func(r rune) bool { return r < 0x20 || r >= utf8.RuneSelf }) {
					t.Fatalf("not ASCII: %q", line)
				}
				back, _, _ := everything(t, bytes.NewReader(line), RequestLineMax, table)
				if len(back) != 1 || !sameMessage(back[0].Msg, frame.Msg) {
					t.Fatalf("%s came back as %+v, it was %+v", line, back, frame.Msg)
				}
			}
		}
	})
}

// sameMessage compares what would be written: no list and an empty one are the same.
func sameMessage(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// pieces gives its data n bytes at a time, as a pipe may.
type pieces struct {
	data []byte
	n    int
}

func (p *pieces) Read(into []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(into[:min(len(into), p.n)], p.data)
	p.data = p.data[n:]
	return n, nil
}
