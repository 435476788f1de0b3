package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"qie/supervisor/job"
)

const (
	bodyMax      = 1 << 20
	multipartMax = 410 << 20 // three pictures and a mask of 100 MB each, and the form around them
	cookieName   = "qie"
	pagePolicy   = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; " +
		"font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// guard stands in front of every route: Host, origin, token, limits, headers, and a 500 instead of a panic.
func (s *server) guard(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.Log.Error("a handler panicked", "method", r.Method, "panic", p, "stack", string(debug.Stack()))
			writeProblem(w, problemOf(job.Errorf(job.CodeInternal, "something went wrong inside qie; the log has the details")))
		}()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		refuse := func(code job.Code, text string) {
			p := problemOf(job.Errorf(code, "%s", text))
			s.metrics.answered(p.Status)
			writeProblem(w, p)
		}
		if !s.hostAllowed(r.Host) {
			refuse(job.CodeMisdirected, "qie answers to its own address only, not to this Host")
			return
		}
		original := isOriginal(r.URL.Path)
		trusted := original && s.trusted(r)
		named := trusted && r.Header.Get("Origin") != "" // not only by a Referer
		if named {
			s.cors(h, r)
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		if trusted {
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		if !named && protection.Check(r) != nil || !trusted && foreignRead(r) || isUpgrade(r) && !trusted && !sameOrigin(r) {
			refuse(job.CodeForbiddenOrigin, "another page asked for this; qie answers its own page and programs on this machine")
			return
		}
		if s.Token != "" && r.URL.Path != "/healthz" {
			if r.Method == http.MethodGet && r.URL.Path == "/" && s.tokenIs(r.URL.Query().Get("token")) {
				http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.cookie(), Path: "/", HttpOnly: true,
					SameSite: http.SameSiteStrictMode, MaxAge: 30 * 24 * 3600})
				http.Redirect(w, r, "/", http.StatusSeeOther)
				return
			}
			if !s.authorized(r) {
				if r.Method == http.MethodGet && r.URL.Path == "/" && strings.Contains(r.Header.Get("Accept"), "text/html") {
					s.metrics.answered(http.StatusUnauthorized)
					askToken(w)
					return
				}
				h.Set("WWW-Authenticate", `Bearer realm="qie"`)
				refuse(job.CodeUnauthorized, "this needs the token that qie printed at its start")
				return
			}
		}
		limit := int64(bodyMax)
		if r.Method == http.MethodPost && (r.URL.Path == "/api/v1/jobs" || r.URL.Path == "/api/edit") {
			limit = multipartMax
		}
		if r.ContentLength > limit { // said before a byte of it is read
			w.Header().Set("Connection", "close")
			refuse(job.CodeBodyTooLarge, fmt.Sprintf("the request has %d bytes, the limit is %d", r.ContentLength, limit))
			return
		}
		if r.Body != nil && !isUpgrade(r) {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		counted := &statusWriter{ResponseWriter: w}
		if isUpgrade(r) { // a hijacked connection has no status to count
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(counted, r)
		s.metrics.answered(counted.status)
	})
}

// hostAllowed is the one thing that stops DNS rebinding: after it Origin equals Host and nothing else notices. An
// address written as digits cannot be rebound.
func (s *server) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if name == "localhost" || name == "127.0.0.1" || name == "::1" {
		return true
	}
	bound := net.ParseIP(s.Host)
	if bound != nil && bound.IsUnspecified() {
		return net.ParseIP(name) != nil
	}
	return name != "" && name == strings.ToLower(s.Host)
}

func foreignRead(r *http.Request) bool {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/ws/") && path != "/metrics" && path != "/openapi.json" {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// isUpgrade also sees a WebSocket among other protocols: gorilla would take it, so the origin check must not miss it.
func isUpgrade(r *http.Request) bool {
	for _, line := range r.Header.Values("Upgrade") {
		for protocol := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}

func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true // no browser
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// trusted: the origin is one of QIE_ORIGINS. A picture in a page has no Origin, so its Referer counts.
func (s *server) trusted(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if u, err := url.Parse(r.Header.Get("Referer")); origin == "" && err == nil && u.Host != "" {
		origin = u.Scheme + "://" + u.Host
	}
	return origin != "" && slices.Contains(s.origins(), origin)
}

func (s *server) cors(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Expose-Headers", "X-QIE-Ignored, Content-Disposition")
}

func (s *server) tokenIs(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// cookie is derived, so that the token itself lies in no browser profile.
func (s *server) cookie() string {
	sum := sha256.Sum256([]byte("qie cookie " + s.Token))
	return hex.EncodeToString(sum[:])
}

func (s *server) authorized(r *http.Request) bool {
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.tokenIs(given)
	}
	c, err := r.Cookie(cookieName)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.cookie())) == 1
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
