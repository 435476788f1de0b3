package download

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qie/supervisor/catalog"
	"qie/supervisor/job"
)

func TestPull_MakesASnapshotThatIsAModel(t *testing.T) {
	files := model(1)
	h := newHub(t, files)
	h.storage = true
	d := newDownloader(t, h.options(t))
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	noBadBlob(t, d.o.Cache)
	if m.Commit != testCommit || w.last.State != StateComplete || w.last.Done != m.Bytes() || w.last.Fetched != m.Bytes() {
		t.Errorf("commit %s, last report %+v", m.Commit, w.last)
	}
	if n := h.tokens[storageHost]; n != 0 || h.tokens[hubHost] == 0 {
		t.Errorf("the token was sent %d times to the storage and %d times to the hub", n, h.tokens[hubHost])
	}
	// A second pull asks for nothing, not even for the list.
	before := len(h.seen)
	if _, err := d.Pull(t.Context(), testEntry, w.report); err != nil {
		t.Fatal(err)
	}
	if after := len(h.seen); after != before {
		t.Errorf("the second pull asked %v", h.seen[before:])
	}
}

// A network that breaks a hundred times costs no byte twice: a worker goes on at the byte where the connection ended.
func TestPull_FetchesNothingTwiceOverBreaks(t *testing.T) {
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(7, 24*blockSize+5)}
	h := newHub(t, files)
	h.behave = func(w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
		if n < 100 && len(data) > blockSize {
			h.cut(w, r, data, dripBytes+n*1000)
		}
		return false
	}
	d := newDownloader(t, h.options(t))
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	asked, _ := h.count()
	if most := m.Bytes() * 101 / 100; w.last.Fetched > most || asked < 100 {
		t.Errorf("%d bytes were fetched for %d, over %d requests", w.last.Fetched, m.Bytes(), asked)
	}
}

// A pause keeps what was fetched, also of a block that is not whole in any other place than the journal says.
func TestPull_GoesOnAfterAPause(t *testing.T) {
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(8, 40*blockSize)}
	h := newHub(t, files)
	o := h.options(t)
	var fetched int64
	for pause := int64(1); ; pause++ {
		d := newDownloader(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		var last Progress
		begun := int64(-1)
		h.behave = func(w http.ResponseWriter, r *http.Request, _ int, data []byte) bool {
			if _, sent := h.count(); sent > pause*8*blockSize {
				cancel()
			}
			return false
		}
		m, err := d.Pull(ctx, testEntry, func(p Progress) {
			if last = p; p.State == StateDownloading && begun < 0 {
				begun = p.Done
			}
		})
		cancel()
		fetched += last.Fetched
		if err == nil {
			isWhole(t, d, m, files)
			if pause < 4 {
				t.Errorf("paused only %d times", pause-1)
			}
			// Each pause may cost what each connection had of a block, and what was not reported any more.
			if most := m.Bytes() + (pause-1)*int64(o.Connections)*2*blockSize; fetched > most {
				t.Errorf("fetched %d bytes of %d over %d pauses", fetched, m.Bytes(), pause-1)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		noBadBlob(t, o.Cache)
	}
}

// What a power cut or a bad disk took from a part is found by its checksum, and only that is fetched again. A torn
// journal costs what it does not name any more, and nothing else.
func TestPull_FindsWhatAPowerCutLost(t *testing.T) {
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(14, 20*blockSize)}
	for _, c := range []struct {
		name string
		hurt func(t *testing.T, part, journal *os.File)
		lost int64 // blocks
	}{
		{"a byte flipped", func(t *testing.T, part, _ *os.File) {
			_, _ = part.WriteAt([]byte{^files["vae/w.safetensors"][3*blockSize+9]}, 3*blockSize+9)
		}, 1},
		{"a hole of zeros", func(t *testing.T, part, _ *os.File) { _, _ = part.WriteAt(make([]byte, 2*blockSize), blockSize) }, 2},
		{"a short file", func(t *testing.T, part, _ *os.File) { _ = part.Truncate(5*blockSize + 17) }, 11},
		{"a torn journal", func(t *testing.T, _, journal *os.File) { _ = journal.Truncate(16*recordSize - 5) }, 1},
		{"garbage in the journal", func(t *testing.T, _, journal *os.File) { _, _ = journal.WriteAt([]byte("garbage!"), 10*recordSize) }, 6},
		{"no journal", func(t *testing.T, _, journal *os.File) { _ = journal.Truncate(0) }, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, files)
			o := h.options(t)
			o.Connections = 1
			d := newDownloader(t, o)
			e, err := d.resolve(t.Context(), testEntry, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			f := e.Files[1]
			data, journal := d.ownFile(testRepo, f.Blob()+".part"), d.ownFile(testRepo, f.Blob()+".journal")
			if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
				t.Fatal(err)
			}
			p, _, err := openPart(data, journal, f.Size, newHash(f), func(int64) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			for i := range 16 {
				b := files["vae/w.safetensors"][i*blockSize : (i+1)*blockSize]
				if _, err := p.data.WriteAt(b, int64(i)*blockSize); err != nil {
					t.Fatal(err)
				}
				if err := p.finished(i, crc32.Checksum(b, castagnoli)); err != nil {
					t.Fatal(err)
				}
			}
			p.close()
			a, errA := os.OpenFile(data, os.O_RDWR, 0)
			b, errB := os.OpenFile(journal, os.O_RDWR, 0)
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			c.hurt(t, a, b)
			if err := errors.Join(a.Close(), b.Close()); err != nil {
				t.Fatal(err)
			}
			w := &watch{t: t}
			m, err := d.Pull(t.Context(), testEntry, w.report)
			if err != nil {
				t.Fatal(err)
			}
			isWhole(t, d, m, files)
			if want := 2 + (4+c.lost)*blockSize; w.last.Fetched != want {
				t.Errorf("%d bytes were fetched, want %d", w.last.Fetched, want)
			}
		})
	}
}

func TestPull_HostileListing(t *testing.T) {
	good := model(3)
	entry := func(path string, change ...func(map[string]any)) map[string]any {
		e := entryOf(path, random(1, 10))
		for _, c := range change {
			c(e)
		}
		return e
	}
	lfs := func(oid any, size any) func(map[string]any) {
		return func(e map[string]any) { e["lfs"] = map[string]any{"oid": oid, "size": size} }
	}
	many := make([]map[string]any, 0, 10_000)
	for i := range 10_000 {
		many = append(many, entry(fmt.Sprintf("a/%d.json", i)))
	}
	for _, c := range []struct {
		name    string
		add     []map[string]any
		refused bool // else the names are left alone and the model is fetched
	}{
		{name: "out of the folder", add: []map[string]any{entry("../x.json"), entry("a/../../x.json"), entry("../../../../x.safetensors")}},
		{name: "absolute", add: []map[string]any{entry("/etc/x.json"), entry("//x/y.json")}},
		{name: "backslashes", add: []map[string]any{entry(`..\x.json`), entry(`a/..\..\x.json`), entry(`C:\x/y.json`)}},
		{name: "control characters", add: []map[string]any{entry("a/x\x00.json"), entry("a/x\n.json"), entry("a/\x1b[0m.json")}},
		{name: "hidden and strange", add: []map[string]any{entry("a/.bashrc.json"), entry(".git/x.json"), entry("a/ü.json"), entry("a/x .json"), entry("a/-rf.json")}},
		{name: "code and pickles", add: []map[string]any{entry("a/x.py"), entry("a/x.bin"), entry("a/x.pt"), entry("model.ckpt")}},
		{name: "a very long name", add: []map[string]any{entry("a/" + strings.Repeat("x", 300) + ".json")}},
		{name: "a link", add: []map[string]any{entry("a/x.json", func(e map[string]any) { e["type"] = "symlink" })}},
		{name: "two names that differ in case", add: []map[string]any{entry("Transformer/config.json"), entry("transformer/CONFIG.json")}, refused: true},
		{name: "the same name twice", add: []map[string]any{entry("transformer/config.json")}, refused: true},
		{name: "a file and a folder of one name", add: []map[string]any{entry("transformer/model-1.safetensors/x.json"), entry("transformer.json")}},
		{name: "ten thousand files", add: many, refused: true},
		{name: "a negative size", add: []map[string]any{entry("a/x.safetensors", lfs(strings.Repeat("a", 64), -1))}, refused: true},
		{name: "an endless size", add: []map[string]any{entry("a/x.safetensors", lfs(strings.Repeat("a", 64), int64(1)<<50))}, refused: true},
		{name: "a hash that is a path", add: []map[string]any{entry("a/x.safetensors", lfs("../../../../x", 1))}, refused: true},
		{name: "an object id that is a path", add: []map[string]any{entry("a/x.json", func(e map[string]any) { e["oid"] = "../../x" })}, refused: true},
		{name: "weights without a sha256", add: []map[string]any{entry("a/x.safetensors", func(e map[string]any) { delete(e, "lfs") })}, refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, good)
			h.listing = func() any {
				list := append([]map[string]any{}, c.add...)
				for name, data := range good {
					list = append(list, entryOf(name, data))
				}
				return list
			}
			o := h.options(t)
			d := newDownloader(t, o)
			m, err := d.Pull(t.Context(), testEntry, (&watch{t: t}).report)
			switch {
			case c.refused && job.AsError(err).Code != job.CodeHubBroken, !c.refused && err != nil:
				t.Fatalf("got %v", err)
			case !c.refused:
				isWhole(t, d, m, good)
			}
			// Whatever happened, nothing lies anywhere but where a manifest of good names puts it.
			home := filepath.Dir(o.Cache)
			err = filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
				if rel, _ := filepath.Rel(home, path); err == nil && !e.IsDir() && !strings.HasPrefix(rel, "hub/models--org--name/") &&
					!strings.HasPrefix(rel, "hub/.locks/models--org--name/") && rel != "pins/test.json" {
					t.Errorf("a file at %s", rel)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What the hub said at the first pull is what the next one fetches, whatever the hub says then.
func TestPull_PinsWhatTheHubSaidFirst(t *testing.T) {
	files := model(4)
	h := newHub(t, files)
	o := h.options(t)
	d := newDownloader(t, o)
	m, err := d.Pull(t.Context(), testEntry, (&watch{t: t}).report)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(m, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.repo(testRepo)); err == nil {
		t.Error("the folder of a removed model is still there")
	}
	h.listing = func() any { return []any{entryOf("model_index.json", []byte("another"))} }
	if _, err := d.Pull(t.Context(), testEntry, (&watch{t: t}).report); err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	// A catalogue that knows better refuses before a byte of weights is fetched.
	known := testEntry
	known.ID = "known"
	known.Files = []catalog.File{{Path: "transformer/model-1.safetensors", Size: 3*blockSize + 77, SHA256: strings.Repeat("b", 64)}}
	h.listing = nil
	if _, err := d.Pull(t.Context(), known, (&watch{t: t}).report); job.AsError(err).Code != job.CodeHubBroken {
		t.Errorf("the hub has another file than the catalogue: %v", err)
	}
}

func TestPull_AdoptsWhatOthersFetched(t *testing.T) {
	files := model(5)
	h := newHub(t, files)
	shard, torn := files["transformer/model-1.safetensors"], files["transformer/model-2.safetensors"]
	comfy, hf := t.TempDir(), t.TempDir()
	put := func(path string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(comfy, "loras", "decoy.safetensors"), random(77, len(shard)))
	put(filepath.Join(comfy, "diffusion_models", "renamed.safetensors"), shard)
	other := filepath.Join(hf, "models--org--name", blobs)
	put(filepath.Join(other, sha256Of(torn)), append([]byte{1}, torn[1:]...)) // right name and size, wrong bytes
	put(filepath.Join(other, sha256Of(torn)+".incomplete"), torn[:len(torn)/2])
	o := h.options(t)
	o.Also = []string{comfy, hf, filepath.Join(comfy, "is-not-there")}
	d := newDownloader(t, o)
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	if want := m.Bytes() - int64(len(shard)); w.last.Fetched != want {
		t.Errorf("%d bytes were fetched, want %d: the shard was here and the torn file was not", w.last.Fetched, want)
	}
	a, _ := os.Stat(filepath.Join(comfy, "diffusion_models", "renamed.safetensors"))
	b, _ := os.Stat(d.blob(testRepo, sha256Of(shard)))
	if !os.SameFile(a, b) {
		t.Error("the shard was copied, though both lie on one disk")
	}
}

// A complete cache of another program is used in place: nothing is fetched, moved or copied.
func TestPull_UsesACompleteCacheInPlace(t *testing.T) {
	files := model(6)
	h := newHub(t, files)
	o := h.options(t)
	shard := files["transformer/model-1.safetensors"]
	blob := filepath.Join(o.Cache, "models--org--name", blobs, sha256Of(shard))
	if err := os.MkdirAll(filepath.Dir(blob), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, shard, 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(blob)
	d := newDownloader(t, o)
	w := &watch{t: t}
	m, err := d.Pull(t.Context(), testEntry, w.report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	if after, _ := os.Stat(blob); !os.SameFile(before, after) || w.last.Fetched != m.Bytes()-int64(len(shard)) {
		t.Errorf("%d bytes were fetched", w.last.Fetched)
	}
	// A bit that flips later makes it incomplete, and the next pull repairs it.
	flipped := append([]byte{}, shard...)
	flipped[12345] ^= 4
	if err := os.WriteFile(blob, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	if d.Complete(m) {
		t.Error("a file that changed is called whole")
	}
	if _, err := d.Pull(t.Context(), testEntry, w.report); err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
}

// Two downloaders at once, as two processes would be: each file is fetched by one of them, and both end with a whole model.
func TestPull_TwoAtOnceFetchOnce(t *testing.T) {
	files := model(9)
	h := newHub(t, files)
	o := h.options(t)
	var both sync.WaitGroup
	var fetched atomic.Int64
	for range 2 {
		both.Go(func() {
			d := newDownloader(t, o)
			w := &watch{t: t}
			m, err := d.Pull(t.Context(), testEntry, w.report)
			if err != nil {
				t.Error(err)
				return
			}
			isWhole(t, d, m, files)
			fetched.Add(w.last.Fetched)
		})
	}
	both.Wait()
	var want int64
	for _, data := range files {
		want += int64(len(data))
	}
	if fetched.Load() != want {
		t.Errorf("%d bytes were fetched, want %d", fetched.Load(), want)
	}
}

// A certificate that is for another name ends the pull at once; nothing switches that off.
func TestPull_RefusesAWrongCertificate(t *testing.T) {
	h := newHub(t, model(1))
	h.names["hub.other.test"] = "203.0.113.9"
	for _, change := range []func(*Options){
		func(o *Options) { o.Endpoint = "https://hub.other.test" },
		func(o *Options) { o.RootCAs = x509.NewCertPool() },
	} {
		o := h.options(t)
		change(&o)
		_, err := newDownloader(t, o).Pull(t.Context(), testEntry, (&watch{t: t}).report)
		if e := job.AsError(err); e.Code != job.CodeHubBroken || !strings.Contains(e.Message, "not who it says") {
			t.Errorf("got %v", err)
		}
	}
	if len(h.seen) != 0 {
		t.Errorf("asked %v", h.seen)
	}
}

// A proxy of the environment is used, wherever it is, and does not open the way to what it stands beside.
func TestPull_ThroughAProxy(t *testing.T) {
	files := model(2)
	h := newHub(t, files)
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		tunnels.Add(1)
		to, err := net.Dial("tcp", h.server.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		var copies sync.WaitGroup
		copies.Go(func() { _, _ = io.Copy(to, conn); _ = to.Close() })
		copies.Go(func() { _, _ = io.Copy(conn, to); _ = conn.Close() })
		copies.Wait()
	}))
	defer proxy.Close()
	address, _ := url.Parse(proxy.URL)
	o := h.options(t)
	o.Proxy = http.ProxyURL(address)
	o.Dial = (&net.Dialer{}).DialContext
	d := newDownloader(t, o)
	m, err := d.Pull(t.Context(), testEntry, (&watch{t: t}).report)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	if tunnels.Load() == 0 {
		t.Error("the proxy was not used")
	}
	d.Close()
}

func TestReachOf(t *testing.T) {
	for text, want := range map[string]reach{
		"8.8.8.8": public, "2606:4700::1": public, "203.0.113.7": public, "64:ff9b::808:808": public,
		"127.0.0.1": loopback, "127.9.9.9": loopback, "::1": loopback, "::ffff:127.0.0.1": loopback, "64:ff9b::7f00:1": loopback, "2002:7f00:1::": loopback,
		"10.0.0.1": private, "172.16.3.4": private, "192.168.1.1": private, "100.64.0.1": private, "198.18.0.1": private, "fd00::1": private,
		"64:ff9b::a00:1": private, "240.0.0.1": private,
		"169.254.169.254": never, "fe80::1%eth0": never, "0.0.0.0": never, "::": never, "224.0.0.1": never, "ff02::1": never, "0.1.2.3": never,
		"64:ff9b::a9fe:a9fe": never,
	} {
		if got := reachOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := time.Unix(1000, 0)
	if perS, eta := m.read(100, at); perS != 0 || eta != nil {
		t.Error("a speed before a byte")
	}
	for s := range 60 { // 10 MB a second for half a minute, then 1 MB
		rate := int64(10e6)
		if s >= 30 {
			rate = 1e6
		}
		m.add(rate, at.Add(time.Duration(s)*time.Second))
	}
	perS, eta := m.read(330e6, at.Add(60*time.Second))
	if perS < 0.9e6 || perS > 1.3e6 {
		t.Errorf("speed over 30 s is %.0f", perS)
	}
	if len(eta) != 2 || eta[0] < 55 || eta[0] > 65 || eta[1] < 250 || eta[1] > 370 {
		t.Errorf("the rest takes %v", eta)
	}
	if perS, _ := m.read(1, at.Add(10*time.Minute)); perS != 0 {
		t.Errorf("after ten silent minutes the speed is %.0f", perS)
	}
}
