package download

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"qie/supervisor/catalog"
)

var roles []func()

func TestMain(m *testing.M) {
	for _, asked := range roles {
		asked()
	}
	goleak.VerifyTestMain(m)
}

const (
	testRepo   = "org/name"
	testCommit = "0123456789abcdef0123456789abcdef01234567"
	secret     = "hf_secret-that-stays-home"

	hubHost     = "hub.example.com"
	storageHost = "storage.example.com"
)

// hub is a small Hugging Face: it lists a repository, sends files in ranges, and sends on to a storage host, as the real
// one does for large files. behave may answer a request for file bytes in another way; it says whether it did.
type hub struct {
	t       testing.TB
	server  *httptest.Server
	files   map[string][]byte
	storage bool // weights come from storageHost
	behave  func(w http.ResponseWriter, r *http.Request, n int, data []byte) bool
	listing func() any // instead of the true one

	mu     sync.Mutex
	asked  int   // requests for file bytes
	large  int   // of them, those for files of more than a block
	sent   int64 // bytes of files that were handed to the system
	tokens map[string]int
	seen   []string
	names  map[string]string // host to address, for the resolver
}

func newHub(t testing.TB, files map[string][]byte) *hub {
	t.Helper()
	h := &hub{t: t, files: files, tokens: map[string]int{}, names: map[string]string{hubHost: "203.0.113.1", storageHost: "203.0.113.2"}}
	h.server = httptest.NewUnstartedServer(h)
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up are what is tested
	h.server.StartTLS()
	t.Cleanup(func() { h.server.CloseClientConnections(); h.server.Close() })
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.seen = append(h.seen, r.Host+r.URL.Path)
	if r.Header.Get("Authorization") != "" {
		h.tokens[r.Host]++
	}
	h.mu.Unlock()
	path := r.URL.Path
	switch {
	case path == "/api/models/"+testRepo+"/revision/main":
		_ = json.NewEncoder(w).Encode(map[string]string{"sha": testCommit})
	case path == "/api/models/"+testRepo+"/tree/"+testCommit:
		_ = json.NewEncoder(w).Encode(h.tree())
	case strings.HasPrefix(path, "/"+testRepo+"/resolve/"+testCommit+"/"):
		name := strings.TrimPrefix(path, "/"+testRepo+"/resolve/"+testCommit+"/")
		data, ok := h.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if h.storage && filepath.Ext(name) == weights {
			w.Header().Set("X-Linked-Etag", `"`+sha256Of(data)+`"`)
			http.Redirect(w, r, "https://"+storageHost+"/blob/"+url.PathEscape(name)+"?signature=x", http.StatusFound)
			return
		}
		h.send(w, r, data)
	case strings.HasPrefix(path, "/blob/"):
		h.send(w, r, h.files[strings.TrimPrefix(path, "/blob/")])
	default:
		http.NotFound(w, r)
	}
}

func (h *hub) tree() any {
	if h.listing != nil {
		return h.listing()
	}
	list := []map[string]any{{"type": "directory", "path": "transformer", "oid": strings.Repeat("0", 40), "size": 0}}
	for name, data := range h.files {
		list = append(list, entryOf(name, data))
	}
	return list
}

// entryOf is what the hub lists for a file.
func entryOf(name string, data []byte) map[string]any {
	e := map[string]any{"type": "file", "path": name, "oid": gitOID(data), "size": len(data)}
	if filepath.Ext(name) == weights || filepath.Ext(name) == weightsGGUF {
		e["lfs"] = map[string]any{"oid": sha256Of(data), "size": len(data), "pointerSize": 135}
	}
	return e
}

func sha256Of(data []byte) string { s := sha256.Sum256(data); return hex.EncodeToString(s[:]) }

func gitOID(data []byte) string {
	s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
	return hex.EncodeToString(s[:])
}

func (h *hub) send(w http.ResponseWriter, r *http.Request, data []byte) {
	h.mu.Lock()
	n := h.asked
	h.asked++
	h.mu.Unlock()
	if h.behave != nil && h.behave(w, r, n, data) {
		return
	}
	h.range206(w, r, data)
}

// span reads the Range header; all of the file without one.
func span(r *http.Request, size int) (from, to int, ranged bool) {
	text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !ok {
		return 0, size, false
	}
	a, b, _ := strings.Cut(text, "-")
	from, _ = strconv.Atoi(a)
	last, err := strconv.Atoi(b)
	if err != nil || last >= size {
		last = size - 1
	}
	return from, last + 1, true
}

func (h *hub) range206(w http.ResponseWriter, r *http.Request, data []byte) {
	from, to, ranged := span(r, len(data))
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	if ranged {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	h.write(w, data[from:to])
}

func (h *hub) write(w http.ResponseWriter, data []byte) {
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 64<<10)])
		h.mu.Lock()
		h.sent += int64(n)
		h.mu.Unlock()
		if err != nil {
			return
		}
		data = data[n:]
	}
}

// cut sends so many bytes of the answer and breaks the connection.
func (h *hub) cut(w http.ResponseWriter, r *http.Request, data []byte, after int) {
	from, to, ranged := span(r, len(data))
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	if ranged {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	h.write(w, data[from:min(to, from+after)])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// firstLarge tells whether this is one of the first n requests for a large file.
func (h *hub) firstLarge(n int, data []byte) bool {
	if len(data) <= blockSize {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.large++
	return h.large <= n
}

func (h *hub) count() (asked int, sent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked, h.sent
}

// options of a downloader that finds the hub under public addresses.
func (h *hub) options(t testing.TB) Options {
	t.Helper()
	home := t.TempDir()
	pool := x509.NewCertPool()
	pool.AddCert(h.server.Certificate())
	return Options{
		Endpoint: "https://" + hubHost, Token: secret, Cache: filepath.Join(home, "hub"), Pins: filepath.Join(home, "pins"),
		Stall: 10 * time.Second, DiskFloor: -1, Patience: 40, RootCAs: pool, Connections: 3,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if ip, ok := h.names[host]; ok {
				return []netip.Addr{netip.MustParseAddr(ip)}, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, h.server.Listener.Addr().String())
		},
		Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	}
}

func newDownloader(t testing.TB, o Options) *Downloader {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// random gives bytes that are the same for a seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

var testEntry = catalog.Entry{ID: "test", Name: "Test", Kind: catalog.Full, Repository: testRepo, Revision: catalog.Main,
	Licence: "Apache-2.0", Bytes: 1, Wants: []string{"model_index.json", "*/*.json", "*/*.safetensors"}}

// model is a small repository: an index, a config and weights in two shards.
func model(seed uint64) map[string][]byte {
	return map[string][]byte{
		"model_index.json":                []byte(`{"_class_name":"QwenImageEditPlusPipeline"}`),
		"transformer/config.json":         []byte(`{"n":1}`),
		"transformer/model-1.safetensors": random(seed, 3*blockSize+77),
		"transformer/model-2.safetensors": random(seed+1, blockSize/2),
	}
}

// watch keeps what a pull reports, and holds it to the truth.
type watch struct {
	t    testing.TB
	mu   sync.Mutex
	last Progress
	all  []State
	whys []string
}

func (w *watch) report(p Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.Done > p.Total {
		w.t.Errorf("%d of %d bytes are said to be here", p.Done, p.Total)
	}
	if len(w.all) == 0 || w.all[len(w.all)-1] != p.State {
		w.all = append(w.all, p.State)
	}
	if p.Why != "" {
		w.whys = append(w.whys, p.Why)
	}
	w.last = p
}

// noBadBlob proves that every file in blobs has the bytes that its name says, and that nothing partial is there.
func noBadBlob(t testing.TB, cache string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(cache, "models--*", blobs, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(path); name != sha256Of(data) && name != gitOID(data) {
			t.Errorf("blob %s has other bytes", name)
		}
	}
}

// isWhole proves that the snapshot has every file, byte for byte.
func isWhole(t testing.TB, d *Downloader, m Manifest, files map[string][]byte) {
	t.Helper()
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(d.Snapshot(m), name))
		if err != nil {
			t.Error(err)
		} else if sha256Of(got) != sha256Of(want) {
			t.Errorf("%s has %d other bytes, want %d", name, len(got), len(want))
		}
	}
	if !d.Complete(m) {
		t.Error("a whole model is not called complete")
	}
	err := filepath.WalkDir(filepath.Join(d.repo(m.Repository), own), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(path) != ".ok" {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
