package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"qie/supervisor"
	"qie/supervisor/config"
	"qie/supervisor/doctor"
	"qie/supervisor/event"
	"qie/supervisor/folder"
	"qie/supervisor/job"
	"qie/supervisor/preflight"
	st "qie/supervisor/supervisortest"
)

func TestMain(m *testing.M) {
	st.Main()
	// net/http waits half a second behind a connection that it refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// rig is qie as a client meets it: a real supervisor with a fake worker, behind a real listener.
type rig struct {
	sup    *supervisor.Supervisor
	home   string
	host   string // 127.0.0.1:port
	client *http.Client
	http   *http.Server
}

type rigConfig struct {
	api       Config
	options   []st.Option
	home      string
	listener  func(net.Listener) net.Listener
	wholeLife bool // the test ends the server and the supervisor itself
}

var testDist = fstest.MapFS{
	"index.html":        {Data: []byte("<!doctype html><title>page</title>")},
	"assets/app-123.js": {Data: []byte("export {}")},
}

func newRig(t testing.TB, cfg rigConfig) *rig {
	t.Helper()
	if cfg.home == "" {
		cfg.home = t.TempDir()
	}
	sup, err := supervisor.Open(t.Context(), st.Config(t, append(cfg.options, st.Home(cfg.home))...))
	if err != nil {
		t.Fatal(err)
	}
	cfg.api.Supervisor, cfg.api.Version = sup, "test"
	if cfg.api.Host == "" {
		cfg.api.Host = "127.0.0.1"
	}
	if cfg.api.Dist == nil {
		cfg.api.Dist = testDist
	}
	if cfg.api.Doctor == nil {
		cfg.api.Doctor = func(context.Context) doctor.Diagnosis { return doctor.Diagnosis{Findings: []preflight.Finding{}} }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{sup: sup, home: cfg.home, host: l.Addr().String(), client: &http.Client{Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if cfg.listener != nil {
		l = cfg.listener(l)
	}
	r.http = NewServer(context.WithoutCancel(t.Context()), New(cfg.api))
	served := make(chan struct{})
	go func() { defer close(served); _ = r.http.Serve(l) }()
	t.Cleanup(func() {
		if !cfg.wholeLife {
			st.Close(t, sup)
		}
		r.client.CloseIdleConnections()
		_ = r.http.Close()
		<-served
	})
	st.WaitModel(t, sup)
	return r
}

// answer is one reply, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("status %d, body %.300q: %v", r.status, r.body, err)
	}
	return v
}

func (r reply) code(t testing.TB) string {
	t.Helper()
	code, _ := r.json(t)["code"].(string)
	return code
}

func (r reply) job(t testing.TB) job.Job {
	t.Helper()
	var j job.Job
	if err := json.Unmarshal(r.body, &j); err != nil || !j.ID.Valid() {
		t.Fatalf("status %d, no job: %.300q %v", r.status, r.body, err)
	}
	return j
}

// do sends one request; header lines are "Name: value", and Host is one of them.
func (r *rig) do(t testing.TB, method, path string, body io.Reader, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t testing.TB, resp *http.Response) reply {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, data}
}

func (r *rig) get(t testing.TB, path string, header ...string) reply {
	t.Helper()
	return r.do(t, "GET", path, nil, header...)
}

// raw writes bytes as they are and reads one answer: for what an http.Client refuses to send.
func (r *rig) raw(t testing.TB, text string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", r.host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(st.Patience))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Logf("the server stopped reading: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// part is one part of a form; a file has a file name.
type part struct {
	name, file string
	data       []byte
}

func text(name, value string) part { return part{name: name, data: []byte(value)} }
func file(name, file string, data []byte) part {
	return part{name, file, data}
}

func formOf(parts ...part) (io.Reader, string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q", p.name)}}
		if p.file != "" {
			h = textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", p.name, p.file)},
				"Content-Type": {"application/octet-stream"}}
		}
		out, _ := w.CreatePart(h) // a buffer takes everything
		_, _ = out.Write(p.data)
	}
	_ = w.Close()
	return &b, w.FormDataContentType()
}

func (r *rig) post(t testing.TB, path string, parts []part, header ...string) reply {
	t.Helper()
	body, kind := formOf(parts...)
	return r.do(t, "POST", path, body, append(header, "Content-Type: "+kind)...)
}

var photo = st.Picture(96, 64)

// submit queues an edit over HTTP.
func (r *rig) submit(t testing.TB, prompt string) job.Job {
	t.Helper()
	recipe, _ := json.Marshal(map[string]any{"prompt": prompt})
	a := r.post(t, "/api/v1/jobs", []part{file("image", "p.png", photo), text("recipe", string(recipe))})
	if a.status != 202 {
		t.Fatalf("submit: %d %s", a.status, a.body)
	}
	return a.job(t)
}

// held submits a job that runs until it is canceled.
func (r *rig) held(t testing.TB) job.Job {
	t.Helper()
	j := r.submit(t, "fake: at step 2: wait /nowhere")
	return st.WaitJob(t, r.sup, j.ID, "running", func(j job.Job) bool { return j.State == job.Running && j.Step == 1 && j.Preview != "" })
}

func (r *rig) cancel(t testing.TB, id job.ID) {
	t.Helper()
	if a := r.do(t, "POST", "/api/v1/jobs/"+string(id)+"/cancel", nil); a.status != 200 {
		t.Errorf("cancel: %d %s", a.status, a.body)
	}
	st.WaitEnd(t, r.sup, id)
}

// files lists a folder with its sizes, so that two moments can be compared.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			list = append(list, fmt.Sprintf("%s %d", strings.TrimPrefix(path, dir), info.Size()))
		} else {
			list = append(list, strings.TrimPrefix(path, dir)+"/")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// socket is a WebSocket client that reads whole frames.
type socket struct {
	*websocket.Conn
}

func (r *rig) dial(t testing.TB, path string, header ...string) socket {
	t.Helper()
	conn, resp, err := r.tryDial(path, header...)
	if err != nil {
		if resp != nil {
			t.Fatalf("dial %s: %v, status %d", path, err, resp.StatusCode)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return socket{conn}
}

func (r *rig) tryDial(path string, header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	d := websocket.Dialer{HandshakeTimeout: st.Patience}
	return d.Dial("ws://"+r.host+path, h)
}

func (s socket) frame(t testing.TB) []byte {
	t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(st.Patience))
	_, data, err := s.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s socket) event(t testing.TB) event.Event {
	t.Helper()
	var e event.Event
	if err := json.Unmarshal(s.frame(t), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// until reads events up to the one that is wanted, and gives all of them.
func (s socket) until(t testing.TB, wanted func(event.Event) bool) []event.Event {
	t.Helper()
	var seen []event.Event
	for {
		e := s.event(t)
		seen = append(seen, e)
		if wanted(e) {
			return seen
		}
	}
}

func ended(id job.ID) func(event.Event) bool {
	return func(e event.Event) bool {
		return e.Type == event.TypeJobChanged && e.Job.ID == id && e.Job.State.Terminal()
	}
}

func queueOf(n int) st.Option { return func(c *supervisor.Config) { c.QueueMax = n } }

func inForce(c config.Config) *config.Live { return config.NewLive(config.Sources{}, c) }

// input watches a folder until the test ends, and waits for the pictures named.
func input(t testing.TB, dir string, names ...string) *folder.Input {
	t.Helper()
	changes := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	in := folder.OpenInput(ctx, slog.New(slog.DiscardHandler), func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	})
	t.Cleanup(func() { cancel(); in.Wait() })
	in.Watch(dir)
	limit := time.After(st.Patience)
	for in.Dir() != dir || !slices.ContainsFunc(names, in.Has) && len(names) > 0 {
		select {
		case <-changes:
		case <-limit:
			t.Fatalf("%v are not offered", names)
		}
	}
	return in
}
