package download

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"qie/supervisor/job"
)

const (
	redirectsMax = 5
	// listMax bounds a page of a listing, and pagesMax how many there may be.
	listMax, pagesMax = 16 << 20, 20
	// listTries is how often the list of files is asked for before a pull gives up.
	listTries = 4
	answerMax = 60 * time.Second
	userAgent = "qie"
)

// Downloader fetches from one hub into one cache. Several pulls may use it.
type Downloader struct {
	o        Options
	endpoint *url.URL
	client   *http.Client
	proxies  sync.Map     // host:port of proxies that the environment named
	far      atomic.Int32 // reach of the endpoint itself, once it was called
}

// New makes a downloader. An endpoint that is no http or https address is an error.
func New(o Options) (*Downloader, error) {
	o = o.orDefaults()
	u, err := url.Parse(strings.TrimSuffix(o.Endpoint, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, job.Errorf(job.CodeInputBad, "HF_ENDPOINT is %q; it must be the https address of a hub", o.Endpoint)
	}
	d := &Downloader{o: o, endpoint: u}
	d.far.Store(int32(public))
	d.client = &http.Client{
		// Redirects are followed by get, one by one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: d.proxy, DialContext: d.dial, DisableCompression: true, MaxIdleConnsPerHost: o.Connections,
			IdleConnTimeout: o.Stall, TLSHandshakeTimeout: o.Stall, ResponseHeaderTimeout: o.Stall,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			// One connection that stalls must not stall the others, as the streams of one HTTP/2 connection do.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
	}
	return d, nil
}

// Close drops connections that wait for another request.
func (d *Downloader) Close() { d.client.CloseIdleConnections() }

func (d *Downloader) proxy(r *http.Request) (*url.URL, error) {
	u, err := d.o.Proxy(r)
	if u != nil {
		d.proxies.Store(target(u), true)
	}
	return u, err
}

// asked is what went wrong with one request.
type asked struct {
	err   error
	kind  trouble
	after time.Duration // that the hub asked to wait
}

type trouble int

const (
	fatal    trouble = iota // another try cannot help
	network                 // it comes and goes: wait, and try again
	limited                 // the hub asked to wait
	nonsense                // an answer that cannot be right; a few are forgiven
)

func (a *asked) Error() string { return a.err.Error() }
func (a *asked) Unwrap() error { return a.err }

func askedf(kind trouble, format string, args ...any) *asked {
	return &asked{err: fmt.Errorf(format, args...), kind: kind}
}

// answer is a response, and where it came from.
type answer struct {
	*http.Response
	first http.Header // of the hub itself, before any redirect
	from  *url.URL
}

// get asks one address and follows redirects by our own rules: the token goes to the endpoint's origin and nowhere else,
// nothing unencrypted, nothing on this machine or its network unless the hub itself is there.
func (d *Downloader) get(ctx context.Context, u *url.URL, header http.Header) (*answer, error) {
	var first http.Header
	for range redirectsMax + 1 {
		if err := d.allowed(u); err != nil {
			return nil, &asked{err: err}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, &asked{err: err}
		}
		req.Header = header.Clone()
		req.Header.Set("User-Agent", userAgent)
		req.Header.Set("Accept-Encoding", "identity")
		if d.o.Token != "" && origin(u) == origin(d.endpoint) {
			req.Header.Set("Authorization", "Bearer "+d.o.Token)
		}
		res, err := d.client.Do(req)
		if err != nil {
			return nil, d.unreachable(ctx, u, err)
		}
		if first == nil {
			first = res.Header
		}
		if res.StatusCode < 300 || res.StatusCode >= 400 || res.StatusCode == http.StatusNotModified {
			return &answer{Response: res, first: first, from: u}, nil
		}
		next, err := res.Location()
		_ = res.Body.Close()
		if err != nil {
			return nil, askedf(nonsense, "%s answered %s without a place to go", u.Host, res.Status)
		}
		u = next
	}
	return nil, askedf(nonsense, "the hub sent us on more than %d times", redirectsMax)
}

// unreachable tells what a failed request means.
func (d *Downloader) unreachable(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var typed *job.Error
	if errors.As(err, &typed) {
		return &asked{err: typed} // refused by the guard
	}
	var (
		wrongName x509.HostnameError
		expired   x509.CertificateInvalidError
		unknown   x509.UnknownAuthorityError
		verify    *tls.CertificateVerificationError
	)
	if errors.As(err, &wrongName) || errors.As(err, &expired) || errors.As(err, &unknown) || errors.As(err, &verify) {
		return &asked{err: job.Errorf(job.CodeHubBroken, "%s is not who it says: %w", u.Host, lastOf(err)).
			WithHint("check the clock and the network (a hotel or a company may stand between); this check cannot be switched off")}
	}
	return askedf(network, "%s cannot be reached: %w", u.Host, lastOf(err))
}

// lastOf drops method and address from an error of net/http: addresses of storage carry signatures.
func lastOf(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// status judges a response that is no answer. It never closes the body.
func status(res *answer, now time.Time) error {
	host := res.from.Host
	switch code := res.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return &asked{err: job.Errorf(job.CodeHubDenied, "%s refuses access (%s)", host, res.Status).
			WithHint("accept the model's licence on its page, and set HF_TOKEN to a token of that account")}
	case code == http.StatusNotFound, code == http.StatusGone:
		return &asked{err: job.Errorf(job.CodeHubBroken, "%s does not have it any more (%s)", host, res.Status).
			WithHint("if HF_ENDPOINT is set, check it; else the publisher has moved it")}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		a := askedf(limited, "%s asks to wait (%s)", host, res.Status)
		a.after = retryAfter(res.Header.Get("Retry-After"), now)
		return a
	case code >= 500, code == http.StatusRequestTimeout:
		return askedf(network, "%s is in trouble (%s)", host, res.Status)
	}
	return askedf(nonsense, "%s answered %s", host, res.Status)
}

// retryAfter reads the header in both of its forms.
func retryAfter(text string, now time.Time) time.Duration {
	d := waitMax
	if s, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && s >= 0 && s < 1<<30 {
		d = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return max(time.Second, min(d, waitAsked))
}

var nextPage = regexp.MustCompile(`<([^<>]+)>\s*;\s*rel="?next"?`)

// list asks the hub for JSON, page by page; each page is given to take.
func (d *Downloader) list(ctx context.Context, path string, waiting func(why string), take func([]byte) error) error {
	u, err := url.Parse(d.endpoint.String() + path)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	for range pagesMax {
		var body []byte
		var header http.Header
		err := d.insist(ctx, listTries, waiting, func() (err error) {
			body, header, err = d.page(ctx, u)
			return err
		})
		if err == nil {
			err = take(body)
		}
		if err != nil {
			return err
		}
		m := nextPage.FindStringSubmatch(header.Get("Link"))
		if m == nil {
			return nil
		}
		next, err := u.Parse(m[1])
		if err != nil || origin(next) != origin(u) {
			return refused("the hub's list goes on at another host")
		}
		u = next
	}
	return refused("the hub lists more than %d pages of files", pagesMax)
}

func (d *Downloader) page(ctx context.Context, u *url.URL) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, max(answerMax, d.o.Stall), errStalled)
	defer cancel()
	res, err := d.get(ctx, u, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, nil, stalled(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, nil, status(res, time.Now())
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, listMax+1))
	switch {
	case err != nil:
		return nil, nil, stalled(d.unreachable(ctx, u, err))
	case len(body) > listMax:
		return nil, nil, &asked{err: refused("the hub's list has more than %d MB", listMax>>20)}
	case !json.Valid(body):
		return nil, nil, askedf(nonsense, "%s answered what is no JSON", u.Host)
	}
	return body, res.Header, nil
}

var errStalled = errors.New("nothing came for too long")

func stalled(err error) error {
	if errors.Is(err, errStalled) {
		return askedf(network, "the connection stalled: %w", errStalled)
	}
	return err
}

// insist tries again what may succeed at another time, at most so many times.
func (d *Downloader) insist(ctx context.Context, most int, waiting func(why string), do func() error) error {
	for failed := 0; ; failed++ {
		err := do()
		var a *asked
		if err == nil || !errors.As(err, &a) || a.kind == fatal {
			return typed(err)
		}
		if failed+1 >= most {
			return gaveUp(a)
		}
		waiting(a.Error())
		pause := backoff(failed)
		if a.kind == limited {
			pause = a.after
		}
		if err := d.o.Wait(ctx, pause); err != nil {
			return err
		}
	}
}

// typed gives the error inside that a person is told.
func typed(err error) error {
	var a *asked
	if errors.As(err, &a) {
		return a.err
	}
	return err
}

// gaveUp is the end of patience.
func gaveUp(a *asked) error {
	if a.kind == nonsense {
		return refused("the hub's answers cannot be right: %w", a.err)
	}
	return job.Errorf(job.CodeHubUnreachable, "the hub cannot be reached: %w", a.err).
		WithHint("check the network; what was fetched is kept, and the same command goes on there")
}
