package download

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/failpoint"
)

const childCache = "QIE_TEST_PULL_INTO"

func init() { roles = append(roles, child) }

// child is this binary as a downloader that is going to be killed.
func child() {
	cache := os.Getenv(childCache)
	if cache == "" {
		return
	}
	if point := os.Getenv("QIE_TEST_KILL_AT"); point != "" {
		failpoint.Arm(func(at string) {
			if at == point {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it lands
			}
		})
	}
	d, err := New(Options{Endpoint: os.Getenv("QIE_TEST_HUB"), Cache: cache, Pins: filepath.Join(filepath.Dir(cache), "pins"), DiskFloor: -1,
		Connections: connections})
	if err == nil {
		_, err = d.Pull(context.Background(), testEntry, func(Progress) {})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// plainHub serves the same hub without TLS on this machine, as a mirror of one's own would be. What it hands to the system
// is not far ahead of what the client has read: else the system's buffers would count as fetched.
func plainHub(t *testing.T, h *hub) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnState: func(c net.Conn, state http.ConnState) {
		if tcp, ok := c.(*net.TCPConn); ok && state == http.StateNew {
			_ = tcp.SetWriteBuffer(16 << 10)
		}
	}}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-served })
	return "http://" + l.Addr().String()
}

func childOf(t *testing.T, endpoint, cache string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, childCache+"="+cache, "QIE_TEST_HUB="+endpoint, "NO_PROXY=*", "GORACE=atexit_sleep_ms=0")...)
	cmd.Stderr = os.Stderr
	return cmd
}

// A downloader that is killed at any instant, again and again: in the end the bytes are right, nothing partial was ever in
// blobs, and no kill cost more than 8 MiB. `go run ./cmd/dev soak --pulls 200` does it to the program with 1 GB.
func TestPull_KilledAtRandom(t *testing.T) {
	const kills, perKill = 25, 8 << 20
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(11, 160*blockSize+321)}
	h := newHub(t, files)
	rnd := rand.New(rand.NewPCG(20261125, 1))
	endpoint := plainHub(t, h)
	cache := filepath.Join(t.TempDir(), "hub")
	size := int64(len(files["vae/w.safetensors"]) + 2)
	o := h.options(t)
	o.Cache, o.Pins = cache, filepath.Join(filepath.Dir(cache), "pins")
	d := newDownloader(t, o)
	var worst, last, had int64 // fetched again by a kill; sent and on the disk at the kill before
	for kill := range kills {
		cmd := childOf(t, endpoint, cache)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		// Once it has fetched a random piece more, so that each kill falls into the middle of the work.
		goal := last + int64(rnd.IntN(int(size*3/2/kills)))
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case err := <-exited:
				t.Fatalf("kill %d came too late: %v", kill, err)
			case <-tick.C:
			}
			if _, sent := h.count(); sent > goal {
				tick.Stop()
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := <-exited; err == nil {
			t.Fatal("it ended before it was killed")
		}
		noBadBlob(t, cache)
		m, ok, err := d.Pinned(testEntry)
		if err != nil {
			t.Fatal(err)
		}
		if _, sent := h.count(); ok {
			have := d.Have(m)
			worst = max(worst, (sent-last)-(have-had))
			last, had = sent, have
		}
	}
	if err := childOf(t, endpoint, cache).Run(); err != nil {
		t.Fatal(err)
	}
	m, _, err := d.Pinned(testEntry)
	if err != nil {
		t.Fatal(err)
	}
	isWhole(t, d, m, files)
	_, sent := h.count()
	t.Logf("%d kills: %d bytes were sent for %d; the worst kill cost %d kB", kills, sent, size, worst/1000)
	if worst > perKill {
		t.Errorf("one kill cost %d bytes", worst)
	}
}

// Killed between comparing the hash and the last write, at every step: the next pull ends whole and fetches nothing again.
func TestPull_KilledAtEachStepOfTheEnd(t *testing.T) {
	files := map[string][]byte{"model_index.json": []byte(`{}`), "vae/w.safetensors": random(12, 3*blockSize)}
	for _, point := range []string{"download: block written", "download: hash compared", "download: blob placed", "download: before link", "download: before model_index"} {
		h := newHub(t, files)
		endpoint := plainHub(t, h)
		cache := filepath.Join(t.TempDir(), "hub")
		err := childOf(t, endpoint, cache, "QIE_TEST_KILL_AT="+point).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("at %q: %v", point, err)
		}
		noBadBlob(t, cache)
		if err := childOf(t, endpoint, cache).Run(); err != nil {
			t.Fatal(err)
		}
		o := h.options(t)
		o.Cache, o.Pins = cache, filepath.Join(filepath.Dir(cache), "pins")
		d := newDownloader(t, o)
		m, _, err := d.Pinned(testEntry)
		if err != nil {
			t.Fatal(err)
		}
		isWhole(t, d, m, files)
		// A block on each connection may come again, and what the system held for each.
		if _, sent := h.count(); sent > m.Bytes()+connections*blockSize {
			t.Errorf("at %q: %d bytes were sent for %d", point, sent, m.Bytes())
		}
	}
}
