package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"qie/api"
	"qie/supervisor/event"
	"qie/supervisor/job"
)

// client speaks HTTP to a supervisor: the one that runs, else one of this process. There is no second road to a job.
type client struct {
	base, token string
	http        http.Client
	own         *local
}

// connect finds the running server, or starts one in this process that ends with the client.
func (a *app) connect(ctx context.Context, idle bool) (*client, error) {
	c := &client{token: a.cfg.Token}
	if c.base = a.instance(ctx); c.base != "" {
		return c, nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", "0"))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	a.cfg.Host = "127.0.0.1"
	c.own, err = a.startLocal(ctx, serverOptions{listener: listener, idle: idle})
	if err != nil {
		_ = listener.Close()
		if r := running(err); r != nil {
			if c.base = a.instance(ctx); c.base != "" {
				return c, nil
			}
			return nil, notReady("%s, but it does not answer; try again in a moment", r)
		}
		return nil, err
	}
	c.base = c.own.url
	return c, nil
}

// instanceFacts is what a running supervisor wrote about itself.
func (a *app) instanceFacts() (facts struct {
	URL  string
	Port int
}) {
	if data, err := os.ReadFile(filepath.Join(a.cfg.Home, "run", "instance.json")); err == nil {
		_ = json.Unmarshal(data, &facts) // a file that is being replaced is as good as none
	}
	return facts
}

func (a *app) instancePort() int { return a.instanceFacts().Port }

// instance is the address of the server that uses this data folder, if it answers.
func (a *app) instance(ctx context.Context) string {
	facts := a.instanceFacts()
	if facts.URL == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, facts.URL+"/healthz", nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	var health api.Health
	if res.StatusCode != http.StatusOK || json.NewDecoder(res.Body).Decode(&health) != nil || health.Status != "ok" {
		return ""
	}
	return facts.URL
}

func (c *client) close(ctx context.Context) error {
	if c.own == nil {
		return nil
	}
	return c.own.close(context.WithoutCancel(ctx))
}

// do sends a request and decodes the answer into v; a refusal becomes the server's typed error.
func (c *client) do(ctx context.Context, method, path, contentType string, body io.Reader, v any) error {
	res, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		return fmt.Errorf("answer of %s: %w", path, err)
	}
	return nil
}

// post sends a small JSON body.
func (c *client) post(ctx context.Context, path string, body map[string]string, v any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, "application/json", bytes.NewReader(data), v)
}

func (c *client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	c.authorize(req.Header)
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, notReady("the server at %s does not answer: %v", c.base, errors.Unwrap(err))
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var p api.Problem
	if json.Unmarshal(text, &p) != nil || p.Code == "" {
		return nil, fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return nil, &job.Error{Code: p.Code, Message: p.Detail, Done: p.Done, Hint: p.Hint}
}

func (c *client) authorize(h http.Header) {
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
}

func (c *client) job(ctx context.Context, id job.ID) (job.Job, error) {
	var j job.Job
	return j, c.do(ctx, http.MethodGet, "/api/v1/jobs/"+string(id), "", nil, &j)
}

// allJobs walks every page of the list, newest first.
func (c *client) allJobs(ctx context.Context, state string, limit int) ([]job.Job, error) {
	jobs := []job.Job{}
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	for {
		query.Set("limit", "200")
		if limit > 0 {
			query.Set("limit", fmt.Sprint(min(limit-len(jobs), 200)))
		}
		var page api.JobPage
		if err := c.do(ctx, http.MethodGet, "/api/v1/jobs?"+query.Encode(), "", nil, &page); err != nil {
			return nil, err
		}
		jobs = append(jobs, page.Jobs...)
		if page.Next == "" || limit > 0 && len(jobs) >= limit {
			return jobs, nil
		}
		query.Set("cursor", page.Next)
	}
}

// sight is a job with what it may be waiting for.
type sight struct {
	job.Job
	queue  event.Queue
	worker event.Worker
	// blocked is why nothing can start on this machine before somebody repairs it.
	blocked []job.Notice
}

// follow calls seen with each change until the job has ended; an error of seen ends it too. It goes on after a lost connection, also over a restart
// of the server: the job is in its database.
func (c *client) follow(ctx context.Context, id job.ID, seen func(sight) error) (job.Job, error) {
	const patience = 60 * time.Second
	lost := time.Now()
	for {
		var stop error
		j, err := c.watch(ctx, id, func(s sight) error { lost, stop = time.Now(), seen(s); return stop })
		switch {
		case stop != nil:
			return j, stop
		case ctx.Err() != nil:
			return j, context.Cause(ctx)
		case err == nil:
			return j, nil
		case time.Since(lost) > patience:
			return j, notReady("the connection to %s is lost: %v", c.base, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (c *client) watch(ctx context.Context, id job.ID, seen func(sight) error) (job.Job, error) {
	header := http.Header{}
	c.authorize(header)
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(c.base, "http")+"/api/v1/live", header)
	if err != nil {
		return job.Job{}, fmt.Errorf("live events: %w", err)
	}
	_ = res.Body.Close() // gorilla has read it
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	// Read once behind the subscription, so that no change falls between.
	j, err := c.job(ctx, id)
	if err != nil {
		return j, err
	}
	var state event.State
	if err := c.do(ctx, http.MethodGet, "/api/v1/state", "", nil, &state); err != nil {
		return j, err
	}
	at := sight{j, state.Queue, state.Worker, blocking(state.Reasons)}
	for {
		at.Job = j
		if err := seen(at); err != nil {
			return j, err
		}
		if j.State.Terminal() {
			return j, nil
		}
		for changed := false; !changed; {
			var e event.Event
			if err := conn.ReadJSON(&e); err != nil {
				return j, fmt.Errorf("live events: %w", err)
			}
			switch {
			case e.Job != nil && e.Job.ID == id:
				j, changed = *e.Job, true
			case e.Progress != nil && e.Progress.Job == id:
				p := e.Progress
				j.Phase, j.Step, j.Steps, j.Percent, j.ETA, changed = p.Phase, p.Step, p.Steps, p.Percent, p.ETA, true
			case e.Queue != nil:
				at.queue, changed = *e.Queue, true
			case e.Worker != nil:
				at.worker, changed = *e.Worker, true
			case e.Notice != nil:
				at.blocked, changed = append(at.blocked, blocking([]job.Notice{*e.Notice})...), true
			case e.Type == event.TypeJobRemoved && e.ID == id:
				return j, job.Errorf(job.CodeNotFound, "the job was removed")
			}
		}
	}
}

// blocking picks those reasons that do not go away by themselves.
func blocking(reasons []job.Notice) (blocked []job.Notice) {
	for _, n := range reasons {
		if job.Code(n.Code).Words().What != "" {
			blocked = append(blocked, n)
		}
	}
	return blocked
}

// result reads the finished picture and compares its hash.
func (c *client) result(ctx context.Context, j job.Job) ([]byte, error) {
	res, err := c.send(ctx, http.MethodGet, j.Result.URL, "", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var data bytes.Buffer
	if _, err := data.ReadFrom(res.Body); err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	if hash := sha256Hex(data.Bytes()); hash != j.Result.SHA256 {
		return nil, job.Errorf(job.CodeInternal, "the result arrived damaged: its hash is %s instead of %s", hash, j.Result.SHA256)
	}
	return data.Bytes(), nil
}
