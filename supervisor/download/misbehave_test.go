package download

import (
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"qie/supervisor/job"
)

// first misbehaves for the first n requests for bytes of a file, and lets the hub be good from then on; below 0 for ever.
func first(n int, bad func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool) func(*hub, http.ResponseWriter, *http.Request, int, []byte) bool {
	return func(h *hub, w http.ResponseWriter, r *http.Request, i int, data []byte) bool {
		return (n < 0 || i < n) && bad(h, w, r, data)
	}
}

func answerWith(code int, header ...string) func(*hub, http.ResponseWriter, *http.Request, []byte) bool {
	return func(_ *hub, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		return true
	}
}

func sendTo(address string) func(*hub, http.ResponseWriter, *http.Request, []byte) bool {
	return func(_ *hub, w http.ResponseWriter, r *http.Request, _ []byte) bool {
		http.Redirect(w, r, address, http.StatusFound)
		return true
	}
}

// stalls sends half of an answer and then nothing until the client goes away.
func stalls(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
	from, to, ranged := span(r, len(data))
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	if ranged {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	h.write(w, data[from:from+(to-from)/2])
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
	return true
}

// lies sends a true part under a false Content-Range.
func lies(contentRange func(from, to, size int) string) func(*hub, http.ResponseWriter, *http.Request, []byte) bool {
	return func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
		from, to, ranged := span(r, len(data))
		if !ranged {
			return false
		}
		w.Header().Set("Content-Range", contentRange(from, to, len(data)))
		w.WriteHeader(http.StatusPartialContent)
		h.write(w, data[from:to])
		return true
	}
}

// TestPull_Misbehaviour plays every way in which a hub was seen to be wrong, each ten times. The end is a good file or a
// typed error, never a wrong blob, and the token never leaves the hub.
func TestPull_Misbehaviour(t *testing.T) {
	const good = job.Code("")
	var wrongByte atomic.Int64
	flip := func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
		bad := append([]byte{}, data...)
		bad[int(wrongByte.Add(7919))%len(bad)] ^= 1
		h.range206(w, r, bad)
		return true
	}
	for _, c := range []struct {
		name   string
		behave func(h *hub, w http.ResponseWriter, r *http.Request, n int, data []byte) bool
		want   job.Code
		stall  time.Duration
	}{
		{name: "cuts every connection somewhere", behave: func(h *hub, w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
			if n < 30 {
				h.cut(w, r, data, rand.IntN(2*blockSize))
			}
			return false
		}},
		{name: "cuts before the first byte, for ever", want: job.CodeHubUnreachable,
			behave: first(-1, func(*hub, http.ResponseWriter, *http.Request, []byte) bool { panic(http.ErrAbortHandler) })},
		{name: "stalls in the middle", stall: 60 * time.Millisecond, behave: first(-1, func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
			return h.firstLarge(3, data) && stalls(h, w, r, data)
		})},
		{name: "drips a byte at a time", stall: 60 * time.Millisecond, behave: first(-1, func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
			if !h.firstLarge(2, data) {
				return false
			}
			from, to, ranged := span(r, len(data))
			w.Header().Set("Content-Length", strconv.Itoa(to-from))
			if ranged {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
				w.WriteHeader(http.StatusPartialContent)
			}
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for ; from < to; from++ {
				if _, err := w.Write(data[from : from+1]); err != nil {
					return true
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return true
				}
			}
			return true
		})},
		{name: "flips a byte once", behave: first(1, flip)},
		{name: "flips a byte for ever", want: job.CodeHubBroken, behave: first(-1, flip)},
		{name: "announces another hash", want: job.CodeHubBroken, behave: first(-1, func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Header().Set("X-Linked-Etag", `"`+strings.Repeat("a", 64)+`"`)
			h.range206(w, r, data)
			return true
		})},
		{name: "changes its ETag with every answer, and the bytes stay", behave: func(h *hub, w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
			h.range206(w, r, data)
			return true
		}},
		{name: "changes ETag and bytes in the middle", want: job.CodeHubBroken, behave: func(h *hub, w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, min(n, 2)))
			if n > 2 {
				data = random(99, len(data))
			}
			h.range206(w, r, data)
			return true
		}},
		{name: "announces too few bytes", behave: first(3, func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
			from, to, ranged := span(r, len(data))
			if ranged {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
			}
			w.Header().Set("Content-Length", strconv.Itoa((to-from)/2))
			w.WriteHeader(map[bool]int{true: 206, false: 200}[ranged])
			h.write(w, data[from:from+(to-from)/2])
			return true
		})},
		{name: "announces too many bytes and sends them", behave: first(-1, func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
			from, to, ranged := span(r, len(data))
			if !ranged {
				return false
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
			w.Header().Set("Content-Length", strconv.Itoa(to-from+1000))
			w.WriteHeader(http.StatusPartialContent)
			h.write(w, append(append([]byte{}, data[from:to]...), make([]byte, 1000)...))
			return true
		})},
		{name: "announces too many bytes for a whole file", want: job.CodeHubBroken, behave: first(-1, func(h *hub, w http.ResponseWriter, r *http.Request, data []byte) bool {
			if _, _, ranged := span(r, len(data)); ranged {
				return false
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
			h.write(w, append(append([]byte{}, data...), 0))
			return true
		})},
		{name: "sends whole files in the place of parts", behave: first(-1, func(h *hub, w http.ResponseWriter, _ *http.Request, data []byte) bool {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			h.write(w, data)
			return true
		})},
		{name: "sends whole files and cuts them", behave: func(h *hub, w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
			r.Header.Del("Range")
			if n < 12 {
				h.cut(w, r, data, n*blockSize/3)
			}
			h.range206(w, r, data)
			return true
		}},
		{name: "sends a whole file once", behave: first(1, func(h *hub, w http.ResponseWriter, _ *http.Request, data []byte) bool {
			h.write(w, data)
			return true
		})},
		{name: "sends another part, for ever", want: job.CodeHubBroken, behave: first(-1, lies(func(from, to, size int) string {
			return fmt.Sprintf("bytes %d-%d/%d", from+1, to, size)
		}))},
		{name: "sends a part of a larger file", want: job.CodeHubBroken, behave: first(-1, lies(func(from, to, size int) string {
			return fmt.Sprintf("bytes %d-%d/%d", from, to-1, size+1)
		}))},
		{name: "sends a part without saying which", behave: first(4, lies(func(int, int, int) string { return "" }))},
		{name: "416 for a while", behave: first(4, answerWith(416))},
		{name: "416 for ever", want: job.CodeHubBroken, behave: first(-1, answerWith(416))},
		{name: "429 with seconds", behave: first(4, answerWith(429, "Retry-After", "7"))},
		{name: "429 for ever", want: job.CodeHubUnreachable, behave: first(-1, answerWith(429, "Retry-After", "7"))},
		{name: "503 with Retry-After", behave: first(4, answerWith(503, "Retry-After", "1"))},
		{name: "500, 502 and 504 for a while", behave: func(h *hub, w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
			return n < 6 && answerWith([]int{500, 502, 504}[n%3])(h, w, r, data)
		}},
		{name: "500 for ever", want: job.CodeHubUnreachable, behave: first(-1, answerWith(500))},
		{name: "401", want: job.CodeHubDenied, behave: first(-1, answerWith(401))},
		{name: "403", want: job.CodeHubDenied, behave: first(-1, answerWith(403))},
		{name: "404", want: job.CodeHubBroken, behave: first(-1, answerWith(404))},
		{name: "204", want: job.CodeHubBroken, behave: first(-1, answerWith(204))},
		{name: "packs the file", want: job.CodeHubBroken, behave: first(-1, func(_ *hub, w http.ResponseWriter, _ *http.Request, data []byte) bool {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(data)
			_ = z.Close()
			return true
		})},
		{name: "packs the file for a while", behave: first(3, answerWith(200, "Content-Encoding", "gzip"))},
		{name: "sends us to another host", behave: first(-1, func(_ *hub, w http.ResponseWriter, r *http.Request, _ []byte) bool {
			if r.Host == storageHost {
				return false
			}
			http.Redirect(w, r, "https://"+storageHost+"/blob/"+strings.TrimPrefix(r.URL.Path, "/"+testRepo+"/resolve/"+testCommit+"/"), http.StatusFound)
			return true
		})},
		{name: "sends us to itself for ever", want: job.CodeHubBroken, behave: first(-1, func(_ *hub, w http.ResponseWriter, r *http.Request, _ []byte) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		})},
		{name: "sends us nowhere", want: job.CodeHubBroken, behave: first(-1, answerWith(302))},
		{name: "sends us to http", want: job.CodeHubBroken, behave: first(-1, sendTo("http://"+hubHost+"/x"))},
		{name: "sends us to this machine", want: job.CodeHubBroken, behave: first(-1, sendTo("https://127.0.0.1/x"))},
		{name: "sends us to this machine by name", want: job.CodeHubBroken, behave: first(-1, sendTo("https://localhost/x"))},
		{name: "sends us to this machine by a public name", want: job.CodeHubBroken, behave: first(-1, sendTo("https://rebound.example.com/x"))},
		{name: "sends us to the cloud's secrets", want: job.CodeHubBroken, behave: first(-1, sendTo("https://169.254.169.254/latest"))},
		{name: "sends us into the network", want: job.CodeHubBroken, behave: first(-1, sendTo("https://10.1.2.3/x"))},
		{name: "sends us into the network by IPv6", want: job.CodeHubBroken, behave: first(-1, sendTo("https://[fd00::1]/x"))},
		{name: "sends us to this machine through NAT64", want: job.CodeHubBroken, behave: first(-1, sendTo("https://[64:ff9b::7f00:1]/x"))},
		{name: "sends us to this machine as IPv4 in IPv6", want: job.CodeHubBroken, behave: first(-1, sendTo("https://[::ffff:127.0.0.1]/x"))},
		{name: "sends us on with a password", want: job.CodeHubBroken, behave: first(-1, sendTo("https://me:secret@"+storageHost+"/x"))},
		{name: "sends us to another scheme", want: job.CodeHubBroken, behave: first(-1, sendTo("file:///etc/passwd"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files := model(uint64(len(c.name)))
			h := newHub(t, files)
			h.names["rebound.example.com"] = "127.0.0.1"
			// Once: the end of an earlier pull may still be answered while the next begins.
			h.behave = func(w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
				return c.behave(h, w, r, n, data)
			}
			for range 10 {
				h.mu.Lock()
				h.asked, h.large = 0, 0
				h.mu.Unlock()
				o := h.options(t)
				if c.stall != 0 {
					o.Stall = c.stall
				}
				d := newDownloader(t, o)
				w := &watch{t: t}
				m, err := d.Pull(t.Context(), testEntry, w.report)
				var typed *job.Error
				switch {
				case c.want == good && err != nil:
					t.Fatal(err)
				case c.want == good:
					isWhole(t, d, m, files)
				case !errors.As(err, &typed) || typed.Code != c.want:
					t.Fatalf("got %v, want %s", err, c.want)
				case typed.Hint == "" || strings.Contains(typed.Message, secret):
					t.Errorf("the error %q has no hint, or tells a secret", typed.Message)
				}
				// Refused by our own judgement of the address, not by chance.
				if strings.HasPrefix(c.name, "sends us ") && c.want != good && !strings.Contains(typed.Message, "the hub sent us") &&
					!strings.Contains(typed.Message, "without a place to go") {
					t.Errorf("the error is %q", typed.Message)
				}
				noBadBlob(t, o.Cache)
				d.Close()
			}
			h.mu.Lock() // a request that was given up may still be served
			defer h.mu.Unlock()
			for host, n := range h.tokens {
				if host != hubHost {
					t.Errorf("the token was sent to %s %d times", host, n)
				}
			}
		})
	}
}
