package download

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/shirou/gopsutil/v3/disk"
)

// PublicHub is asked when no endpoint is set.
const PublicHub = "https://huggingface.co"

// What a pull does when Options say nothing.
const (
	// connections times blockSize is what a kill may cost: 3 MiB, and what the system had received but not handed on.
	connections = 6
	// stall is how long a connection may bring next to nothing before another one is opened.
	stall = 30 * time.Second
	// DiskFloor stays free: the database and the pictures of jobs need it.
	DiskFloor = 2_000_000_000
	// tries is how often in a row a hub may answer what makes no sense: twice on each connection.
	tries = 2 * connections
	// waitMax bounds the pause between two tries, and waitAsked what a hub may ask for.
	waitMax, waitAsked = 30 * time.Second, time.Hour
)

// Options of a Downloader. Empty fields mean what a product wants; tests change the rest.
type Options struct {
	Endpoint string // HF_ENDPOINT; empty: PublicHub
	Token    string // HF_TOKEN; sent to the endpoint's own host and to no other
	Cache    string // HF_HUB_CACHE: the folder with models--org--name
	Pins     string // folder that keeps what the hub said at the first pull
	// Also are folders that may hold the same files: other Hugging Face caches, ComfyUI, mflux. They are read only.
	Also []string

	Connections int
	Stall       time.Duration
	DiskFloor   int64 // below 0: none
	// Patience is how many times in a row the network may fail without one new byte; 0: for ever, once a pull knows its
	// files. Asking for the list of files gives up sooner.
	Patience int

	DiskFree func(dir string) (int64, error)
	Proxy    func(*http.Request) (*url.URL, error)
	Resolve  func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	RootCAs  *x509.CertPool
	// Wait lets time pass before another try.
	Wait func(ctx context.Context, d time.Duration) error
	Log  *slog.Logger
}

func (o Options) orDefaults() Options {
	if o.Endpoint == "" {
		o.Endpoint = PublicHub
	}
	if o.Connections == 0 {
		o.Connections = connections
	}
	if o.Stall == 0 {
		o.Stall = stall
	}
	if o.DiskFloor == 0 {
		o.DiskFloor = DiskFloor
	}
	if o.DiskFree == nil {
		o.DiskFree = diskFree
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Stall, KeepAlive: 15 * time.Second}).DialContext
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff doubles from half a second, and spreads those that failed together.
func backoff(failed int) time.Duration {
	d := min(waitMax, 500*time.Millisecond<<min(failed, 10))
	return d*4/5 + rand.N(d*2/5)
}

func diskFree(dir string) (int64, error) {
	d, err := disk.Usage(dir)
	if err != nil {
		return 0, err
	}
	return int64(d.Free), nil
}
