package main

import (
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// openerLimit is how long an opener has to say that it found no browser.
const openerLimit = 2 * time.Second

func (a *app) open() *cobra.Command {
	return &cobra.Command{
		Use: "open", Short: "Open the page of the running server, or print its address",
		RunE: func(cmd *cobra.Command, _ []string) error {
			address := a.instance(cmd.Context())
			if address == "" {
				return notReady("qie does not run").WithHint("start it with ./start, or for good: qie service install")
			}
			if a.out.json {
				return a.out.value(map[string]any{"url": address, "opened": a.browse(a.withToken(address))})
			}
			if a.browse(a.withToken(address)) {
				a.out.result("%s", address)
				return nil
			}
			a.out.result("%s", a.forPerson(address))
			a.out.say("there is no browser to open here; open the address yourself")
			return nil
		},
	}
}

// withToken is the address that lets a browser in.
func (a *app) withToken(address string) string {
	if a.cfg.Token == "" {
		return address
	}
	return address + "/?token=" + url.QueryEscape(a.cfg.Token)
}

// forPerson is what is printed: with the token on a terminal only, for what is no terminal is kept somewhere.
func (a *app) forPerson(address string) string {
	if !term.IsTerminal(int(os.Stdout.Fd())) {
		return address
	}
	return a.withToken(address)
}

// browse opens the page where a person sits in front of a display, and tells whether it did.
func (a *app) browse(address string) bool {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	} else if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return false
	}
	cmd := exec.Command(opener, address)
	if cmd.Start() != nil {
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err == nil
	case <-time.After(openerLimit): // some stay as long as the browser does
		return true
	}
}
