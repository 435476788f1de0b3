// Package downloadtest is a model hub for tests and for trying things out: it lists repositories that are made up, and
// sends their files in ranges, over a network as good or bad as is asked. Nothing of it is in the product.
package downloadtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Commit is the commit of every repository.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// File is one made-up file: its text, or so many random bytes.
type File struct {
	Text string
	Size int64

	sum string
}

// Hub is a hub on this machine.
type Hub struct {
	URL string
	// Gate, when set, holds each request for bytes until it is closed.
	Gate chan struct{}
	// BreakEvery is about how many bytes come until a connection breaks; 0: none does.
	BreakEvery int64

	mu    sync.Mutex
	repos map[string]map[string]*File
	sent  int64
	http  *http.Server
	done  chan struct{}
}

// New starts a hub.
func New(repos map[string]map[string]*File) (*Hub, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &Hub{URL: "http://" + l.Addr().String(), repos: repos, done: make(chan struct{})}
	for _, files := range repos {
		for name, f := range files {
			f.sum = f.hash(name)
		}
	}
	h.http = &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, state http.ConnState) {
		if tcp, ok := c.(*net.TCPConn); ok && state == http.StateNew {
			_ = tcp.SetWriteBuffer(16 << 10) // what the system holds would count as sent
		}
	}}
	go func() { defer close(h.done); _ = h.http.Serve(l) }()
	return h, nil
}

// Close ends the hub.
func (h *Hub) Close() {
	_ = h.http.Close()
	<-h.done
}

// Sent is how many bytes of files were handed to the system.
func (h *Hub) Sent() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

func (f *File) size() int64 {
	if f.Text != "" {
		return int64(len(f.Text))
	}
	return f.Size
}

const page = 1 << 16

// read gives the bytes of the file from at on, at most to the end of a page.
func (f *File) read(at int64) []byte {
	if f.Text != "" {
		return []byte(f.Text)[at:]
	}
	n := at / page
	b := make([]byte, min(page, f.Size-n*page))
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), byte(f.Size)}).Read(b)
	return b[at-n*page:]
}

func large(name string) bool {
	return slices.Contains([]string{".safetensors", ".gguf"}, path.Ext(name))
}

func (f *File) hash(name string) string {
	sum := sha256.New()
	if !large(name) {
		sum = sha1.New()
		sum.Write(fmt.Appendf(nil, "blob %d\x00", f.size()))
	}
	for at := int64(0); at < f.size(); {
		b := f.read(at)
		sum.Write(b)
		at += int64(len(b))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for repo, files := range h.repos {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/"+repo+"/revision/"):
			_ = json.NewEncoder(w).Encode(map[string]string{"sha": Commit})
			return
		case strings.HasPrefix(r.URL.Path, "/api/models/"+repo+"/tree/"):
			list := []map[string]any{}
			for name, f := range files {
				e := map[string]any{"type": "file", "path": name, "oid": f.sum, "size": f.size()}
				if large(name) {
					e["oid"], e["lfs"] = strings.Repeat("0", 40), map[string]any{"oid": f.sum, "size": f.size()}
				}
				list = append(list, e)
			}
			_ = json.NewEncoder(w).Encode(list)
			return
		case strings.HasPrefix(r.URL.Path, "/"+repo+"/resolve/"):
			_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+repo+"/resolve/"), "/")
			if f := files[name]; f != nil {
				h.send(w, r, f)
				return
			}
		}
	}
	http.NotFound(w, r)
}

func (h *Hub) send(w http.ResponseWriter, r *http.Request, f *File) {
	if h.Gate != nil {
		select {
		case <-h.Gate:
		case <-r.Context().Done():
			return
		}
	}
	from, to := int64(0), f.size()
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		a, b, _ := strings.Cut(text, "-")
		from, _ = strconv.ParseInt(a, 10, 64)
		if last, err := strconv.ParseInt(b, 10, 64); err == nil && last < to {
			to = last + 1
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, f.size()))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	if r.Header.Get("Range") != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	left := int64(1) << 62
	if h.BreakEvery > 0 {
		left = rand.Int64N(2 * h.BreakEvery)
	}
	for from < to {
		b := f.read(from)
		b = b[:min(int64(len(b)), to-from, max(left, 0))]
		n, err := w.Write(b)
		h.mu.Lock()
		h.sent += int64(n)
		h.mu.Unlock()
		if from += int64(n); err != nil {
			return
		}
		if left -= int64(n); left <= 0 {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

// Hash is the name of a file's bytes in a cache.
func (h *Hub) Hash(repo, name string) string { return h.repos[repo][name].sum }
