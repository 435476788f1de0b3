package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"qie/supervisor"
	"qie/supervisor/event"
	"qie/supervisor/host"
	"qie/supervisor/job"
)

func (a *app) serve() *cobra.Command {
	var open bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve the page and the API until Ctrl+C",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runServe(cmd.Context(), open) },
	}
	f := cmd.Flags()
	f.BoolVar(&open, "open", false, "open the page in the browser")
	f.String("host", "", "address to bind (default 127.0.0.1)")
	f.Int("port", 0, "port to bind (default 8000; 0 is any free one)")
	f.String("device", "", "auto, mps, cuda or cpu")
	f.String("model", "", "model to serve")
	for _, name := range []string{"host", "port", "device", "model"} {
		_ = f.SetAnnotation(name, "setting", []string{"yes"}) // the flag is there
	}
	return cmd
}

func (a *app) runServe(ctx context.Context, open bool) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(a.cfg.Host, strconv.Itoa(a.cfg.Port)))
	if err != nil {
		if r := a.instance(ctx); r != "" {
			return a.alreadyRunning(ctx, r, open)
		}
		return a.taken(ctx, err)
	}
	l, err := a.startLocal(ctx, serverOptions{listener: listener, serving: true})
	if r := running(err); r != nil {
		_ = listener.Close()
		if r.URL == "" {
			return notReady("%s; it is starting or ending, try again in a moment", r)
		}
		return a.alreadyRunning(ctx, r.URL, open)
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := trimLog(serviceLog(a.cfg.Home), serviceBytes); err != nil {
		a.out.say("note: the service's log cannot be cut: %v", err)
	}
	a.welcome(ctx, l, open)
	a.watchSettings(ctx, l)
	select {
	case <-ctx.Done():
		a.out.say("\nstopping; what waits or runs goes on at the next start")
		err = nil
	case err = <-l.done:
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
	}
	return errors.Join(err, l.close(context.WithoutCancel(ctx)))
}

func (a *app) welcome(ctx context.Context, l *local, open bool) {
	for _, n := range a.cfg.Notices {
		a.out.say("note: %s", n.Message)
	}
	if len(a.cfg.Origins) == 0 {
		a.out.say("note: pages from other ports are refused; an old page needs QIE_ORIGINS=http://localhost:3000 (its own address)")
	}
	address := a.forPerson(l.url)
	if a.out.json {
		_ = a.out.value(map[string]any{"url": l.url, "pid": os.Getpid()})
	} else {
		a.out.result("qie is at %s", address)
	}
	a.out.say("data: %s; stop with Ctrl+C", a.cfg.Home)
	go a.narrate(ctx, l.sup)
	if open && !a.browse(a.withToken(l.url)) {
		a.out.say("there is no browser to open here; open the address yourself")
	}
}

// forPages are notices that only a page can do something with.
var forPages = []string{"models_changed", "input_folder_changed"}

// narrate tells in the terminal what the page tells in the browser: what is prepared, and when it is ready.
func (a *app) narrate(ctx context.Context, sup *supervisor.Supervisor) {
	sub := sup.Subscribe("", -1)
	defer sub.Close()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-sub.C():
		}
		events, err := sub.Next()
		if err != nil {
			return
		}
		for _, e := range events {
			text := ""
			switch {
			case e.Type == event.TypeNotice && e.Notice != nil && e.Notice.Message == "":
				said = "" // something is over; if it comes again it is news
			case e.Type == event.TypeNotice && e.Notice != nil && !slices.Contains(forPages, e.Notice.Code):
				text = e.Notice.Message
			case e.Type == event.TypeWorkerChanged && e.Worker != nil && e.Worker.Reason != "":
				text = strings.Join(workerLines(*e.Worker), "\n")
			case e.Type == event.TypeWorkerChanged && len(sup.Ready()) == 0:
				m := sup.Model()
				text = fmt.Sprintf("ready: model %s on %s", m.ID, sup.State().Worker.Device)
				if m.Notice != "" {
					text += "\n" + m.Notice
				}
			}
			if text != "" && text != said {
				said = text
				a.out.say("%s", text)
			}
		}
	}
}

// alreadyRunning is a second start: it leads to the first one.
func (a *app) alreadyRunning(_ context.Context, address string, open bool) error {
	if a.out.json {
		return a.out.value(map[string]any{"url": address, "running": true})
	}
	a.out.result("qie already runs at %s", address)
	if open {
		a.browse(a.withToken(address))
	}
	return nil
}

// taken names who holds the port. qie never moves to another one and never ends a stranger.
func (a *app) taken(ctx context.Context, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return exit(exitNotReady, fmt.Errorf("cannot bind %s port %d: %w", a.cfg.Host, a.cfg.Port, err))
	}
	who := host.PortHolder(ctx, a.cfg.Port)
	if who == "" {
		who = "another program"
	}
	return exit(exitNotReady, &job.Error{Code: job.CodeNotReady,
		Message: fmt.Sprintf("port %d is taken by %s", a.cfg.Port, who),
		Hint:    fmt.Sprintf("stop it, or choose another port: ./start --port %d", a.cfg.Port+1)})
}
