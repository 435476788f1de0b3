package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func collect(t *testing.T, r *Reader) []Line {
	t.Helper()
	var lines []Line
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

func mustEncode(t testing.TB, env Envelope, msg any) string {
	t.Helper()
	line, err := Encode(env, msg)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

func TestEncode_IsASCIIWithTheMagicFirst(t *testing.T) {
	msg := Generate{Prompt: "зроби сепію 🎨 <b>&\u2028\x00", Images: []string{"/tmp/ü.png"}}
	line := mustEncode(t, Envelope{Seq: 1, Gen: 2, Job: "j", Attempt: 1, MS: 5}, msg)
	if !strings.HasPrefix(line, `{"qie":1,"t":"generate","seq":1,"gen":2,"job":"j","attempt":1,"ms":5,`) {
		t.Fatalf("got %q", line)
	}
	for i, c := range []byte(line[:len(line)-1]) {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("byte %d is %#x", i, c)
		}
	}
	lines := collect(t, NewReader(strings.NewReader(line), RequestLineMax, Requests))
	got := lines[0].Frame.Msg.(*Generate)
	if !reflect.DeepEqual(*got, msg) {
		t.Fatalf("got %+v, want %+v", *got, msg)
	}
}

func TestEncode_RefusesALineOverTheLimit(t *testing.T) {
	_, err := Encode(Envelope{}, Generate{Prompt: strings.Repeat("x", RequestLineMax)})
	if !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("got %v", err)
	}
	if _, err := Encode(Envelope{}, 7); err == nil {
		t.Fatal("a number is no message")
	}
}

func TestEncode_EveryMessageComesBack(t *testing.T) {
	for _, table := range []map[string]any{Requests, Events} {
		for name, msg := range table {
			line := mustEncode(t, Envelope{Seq: 3, Gen: 1}, msg)
			got := collect(t, NewReader(strings.NewReader(line), EventLineMax, table))
			if len(got) != 1 || got[0].Frame == nil || got[0].Frame.T != name || got[0].Frame.Msg == nil {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	}
}

func TestReader_HostileLines(t *testing.T) {
	pong := strings.TrimRight(mustEncode(t, Envelope{Seq: 9, Gen: 1}, Pong{ID: 4}), "\n")
	tests := []struct {
		name   string
		in     string
		frames int
		text   []string
		want   Counts
	}{
		{"empty lines are text", "\n\n", 0, []string{"", ""}, Counts{TextLines: 2}},
		{"garbage is text", "Loading: 3%|##\n" + pong + "\n", 1, []string{"Loading: 3%|##"}, Counts{Frames: 1, TextLines: 1}},
		{"a frame glued behind text is saved", "hello " + pong + "\n", 1, []string{"hello "},
			Counts{Frames: 1, TextLines: 1, Salvaged: 1}},
		{"two frames on one line are both read", pong + pong + "\n", 2, nil, Counts{Frames: 2, Salvaged: 1}},
		{"text behind a frame is text", pong + " tail\n", 1, []string{" tail"}, Counts{Frames: 1, TextLines: 1}},
		{"half a frame glued before a whole one", pong[:20] + pong + "\n", 1, []string{Escape([]byte(pong[:20]))},
			Counts{Frames: 1, TextLines: 1, BadFrames: 1, Salvaged: 1}},
		{"NUL and invalid UTF-8 are escaped", "a\x00b\xffc\x1b[31m\n", 0, []string{`a\x00b\xffc\x1b[31m`}, Counts{TextLines: 1}},
		{"another version is text", `{"qie":2,"t":"pong"}` + "\n", 0, []string{`{"qie":2,"t":"pong"}`}, Counts{TextLines: 1}},
		{"JSON without magic is text", `{"t":"pong"}` + "\n", 0, []string{`{"t":"pong"}`}, Counts{TextLines: 1}},
		{"a wrong type of field is a bad frame", `{"qie":1,"t":"pong","id":"x"}` + "\n", 0,
			[]string{`{"qie":1,"t":"pong","id":"x"}`}, Counts{TextLines: 1, BadFrames: 1}},
		{"an unknown type is a frame without message", `{"qie":1,"t":"news","gen":1}` + "\n", 1, nil,
			Counts{Frames: 1, UnknownTypes: 1}},
		{"an unknown field is counted", `{"qie":1,"t":"pong","id":4,"x":1,"y":2}` + "\n", 1, nil,
			Counts{Frames: 1, UnknownFields: 2}},
		{"CR LF ends a line too", pong + "\r\n", 1, nil, Counts{Frames: 1}},
		{"deep nesting does not overflow", magic + `"a":` + strings.Repeat("[", 20000) + "\n" + pong + "\n", 1, nil,
			Counts{Frames: 1, TextLines: 1, BadFrames: 1}},
		{"a line of magics costs little", strings.Repeat(magic+`"a":[`, 50000) + "\n" + pong + "\n", 1, nil,
			Counts{Frames: 1, TextLines: 1, BadFrames: salvageMax}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in), EventLineMax, Events)
			var text []string
			frames := 0
			for _, line := range collect(t, r) {
				if line.Frame != nil {
					frames++
				}
				if line.Frame == nil || line.Text != "" {
					text = append(text, line.Text)
				}
				if line.Partial {
					t.Error("no line was cut")
				}
			}
			if frames != tt.frames || r.Counts() != tt.want || (tt.text != nil && !reflect.DeepEqual(text, tt.text)) {
				t.Fatalf("got %d frames, %+v, %q; want %d, %+v, %q", frames, r.Counts(), text, tt.frames, tt.want, tt.text)
			}
		})
	}
}

func TestReader_HalfALineAtTheEndIsNoFrame(t *testing.T) {
	whole := strings.TrimRight(mustEncode(t, Envelope{Gen: 1}, Result{Path: "/r.png"}), "\n")
	for _, in := range []string{whole[:30], whole} {
		lines := collect(t, NewReader(strings.NewReader(in), EventLineMax, Events))
		if len(lines) != 1 || !lines[0].Partial || lines[0].Frame != nil || lines[0].Text != in {
			t.Fatalf("got %+v", lines)
		}
	}
}

// junk gives n bytes without a newline, then tail, and allocates nothing.
type junk struct {
	left int64
	tail io.Reader
}

func (j *junk) Read(p []byte) (int, error) {
	if j.left == 0 {
		return j.tail.Read(p)
	}
	n := min(int64(len(p)), j.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	j.left -= n
	return int(n), nil
}

func TestReader_SkipsAHundredMegabyteLineInBoundedMemory(t *testing.T) {
	const size = 100 << 20
	tail := "\n" + mustEncode(t, Envelope{Gen: 1}, Pong{ID: 1})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(&junk{left: size, tail: strings.NewReader(tail)}, EventLineMax, Events)
	lines := collect(t, r)
	runtime.ReadMemStats(&after)
	if len(lines) != 2 || lines[0].SkippedBytes != size+1 || lines[1].Frame == nil || r.Counts().Oversize != 1 {
		t.Fatalf("got %d lines, counts %+v", len(lines), r.Counts())
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Fatalf("allocated %d bytes in all, the limit is 2 MiB", got)
	}
}

func TestReader_ALineOfExactlyTheLimitIsRead(t *testing.T) {
	frame := strings.TrimRight(mustEncode(t, Envelope{Gen: 1}, Log{Level: "info"}), "\n")
	pad := EventLineMax - len(frame)
	line := strings.Replace(frame, `"text":""`, `"text":"`+strings.Repeat("a", pad)+`"`, 1)
	lines := collect(t, NewReader(strings.NewReader(line+"\n"), EventLineMax, Events))
	if len(line) != EventLineMax || len(lines) != 1 || lines[0].Frame == nil {
		t.Fatalf("%d bytes gave %d lines", len(line), len(lines))
	}
}

// The golden lines are written by wire/gen and read by both halves; this side must give back equal JSON.
func TestGoldenLines(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var head struct {
			T string `json:"t"`
		}
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		table := Events
		if _, ok := Requests[head.T]; ok {
			table = Requests
		}
		r := NewReader(bytes.NewReader(line), EventLineMax, table)
		got := collect(t, r)
		if len(got) != 1 || got[0].Frame == nil || got[0].Frame.Msg == nil || r.Counts().UnknownFields != 0 {
			t.Fatalf("line %d: %+v, %+v", i+1, got, r.Counts())
		}
		again := mustEncode(t, got[0].Frame.Envelope, got[0].Frame.Msg)
		if a, b := canonical(t, line), canonical(t, []byte(again)); a != b {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, b, a)
		}
		seen[head.T] = true
	}
	for _, table := range []map[string]any{Requests, Events} {
		for name := range table {
			if !seen[name] {
				t.Errorf("no golden line for %s", name)
			}
		}
	}
}

func canonical(t *testing.T, line []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(line, &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func FuzzReader(f *testing.F) {
	pong := mustEncode(f, Envelope{Gen: 1}, Pong{ID: 4})
	for _, seed := range []string{pong, "x" + pong, pong[:12], "\x00\xff\n", magic + magic + "\n", strings.Repeat("y", 5000)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 10
		r := NewReader(bytes.NewReader(append(append([]byte{}, data...), "\n"+pong...)), limit, Events)
		var last Line
		for {
			line, err := r.Next()
			if err != nil {
				break
			}
			for _, c := range line.Text {
				if c < 0x20 && c != '\t' {
					t.Fatalf("control character %#x in %q", c, line.Text)
				}
			}
			last = line
		}
		if last.Frame == nil || last.Frame.T != "pong" {
			t.Fatalf("the frame after the noise was lost: %+v", last)
		}
	})
}

func ExampleEncode() {
	line, _ := Encode(Envelope{Seq: 1, Gen: 1}, Ping{ID: 7})
	fmt.Print(string(line))
	// Output: {"qie":1,"t":"ping","seq":1,"gen":1,"ms":0,"id":7}
}
