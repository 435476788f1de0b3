package download

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"qie/supervisor/job"
)

// reach is how far away an address is. A hub may send a client on only to what is at least as far away as itself.
type reach int

const (
	never    reach = iota // link-local, multicast, unspecified: where clouds keep their secrets
	loopback              // this machine
	private               // its network
	public
)

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	// inside are ranges that Go calls global and that no public hub lives in.
	inside = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b:1::/48"),
		netip.MustParsePrefix("2001::/32")}
)

// reachOf judges an address, also one that is wrapped in another kind of address.
func reachOf(a netip.Addr) reach {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return reachOf(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(a):
		return reachOf(netip.AddrFrom4([4]byte(b[2:6])))
	case !a.IsValid() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.Is4() && b[12] == 0:
		return never
	case a.IsLoopback():
		return loopback
	case a.IsPrivate():
		return private
	}
	for _, p := range inside {
		if p.Contains(a) {
			return private
		}
	}
	return public
}

func refused(format string, args ...any) *job.Error {
	return job.Errorf(job.CodeHubBroken, format, args...).WithHint("if HF_ENDPOINT is set, check it; else try again later")
}

// target is host:port of an address, with the port that its scheme means.
func target(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// origin is scheme, host and port: only this exact one gets the token.
func origin(u *url.URL) string { return u.Scheme + "://" + target(u) }

// allowed refuses addresses by their words. Where their names lead is judged when the connection is made.
func (d *Downloader) allowed(u *url.URL) error {
	own := origin(u) == origin(d.endpoint)
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	switch {
	case own:
		return nil
	case u.User != nil:
		return refused("the hub sent us to an address with a password in it")
	case u.Scheme != "https":
		return refused("the hub sent us to %s://%s, which is not encrypted", u.Scheme, u.Host)
	case host == "":
		return refused("the hub sent us to an address without a host")
	case host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal"):
		return refused("the hub sent us to %s, which is no public host", host)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return d.reachable(host, ip)
	}
	return nil
}

// reachable refuses a host that the hub has no business to send us to.
func (d *Downloader) reachable(host string, ip netip.Addr) error {
	r := reachOf(ip)
	if r == public || r != never && r >= reach(d.far.Load()) {
		return nil
	}
	return refused("the hub sent us to %s (%s), which is no public address", host, ip)
}

// dial connects to what a name leads to, after it was judged: the address that was judged is the one that is called.
func (d *Downloader) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, ok := d.proxies.Load(address); ok {
		return d.o.Dial(ctx, network, address) // the person's own proxy may be anywhere
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, ip)
	} else if addrs, err = d.o.Resolve(ctx, host); err != nil {
		return nil, err
	}
	own := strings.ToLower(address) == target(d.endpoint)
	var errs []error
	for _, ip := range addrs {
		if own {
			d.far.Store(int32(reachOf(ip)))
		} else if err := d.reachable(host, ip); err != nil {
			return nil, err
		}
		conn, err := d.o.Dial(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return nil, errors.Join(errs...)
}
