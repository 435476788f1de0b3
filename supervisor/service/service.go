package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"qie/supervisor/job"
)

// System is the machine that the service lives on, passed in so that tests give the facts of a Mac.
type System struct {
	OS         string // darwin or linux
	HomeDir    string // of the person
	ConfigHome string // XDG_CONFIG_HOME; empty: .config in HomeDir
	UID        int
	// Run runs a command of the system and gives what it printed, errors included.
	Run func(ctx context.Context, name string, args ...string) (string, error)
}

// Status is what is known about the service.
type Status struct {
	File      string `json:"file"`
	Installed bool   `json:"installed"`
	Current   bool   `json:"current" doc:"the file is what install would write now"`
	Running   bool   `json:"running"`
	PID       int    `json:"pid,omitempty"`
}

// Command is the Run of a real machine.
func Command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_PAGER=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m System) mac() bool { return m.OS == "darwin" }

// File is where the service is written.
func (m System) File() string {
	if m.mac() {
		return filepath.Join(m.HomeDir, "Library", "LaunchAgents", label+".plist")
	}
	config := m.ConfigHome
	if config == "" {
		config = filepath.Join(m.HomeDir, ".config")
	}
	return filepath.Join(config, "systemd", "user", unitName)
}

// Text is what File holds when the service is installed.
func (m System) Text(s Spec) string {
	if m.mac() {
		return agent(s)
	}
	return unit(s)
}

func (m System) domain() string { return "gui/" + strconv.Itoa(m.UID) }

// Install writes the file and starts the service, now and at each login. Twice is once. When the system refuses, the
// file is as it was before.
func (m System) Install(ctx context.Context, s Spec) error {
	for _, word := range append([]string{s.Program, s.LogFile}, s.Args...) {
		if strings.ContainsFunc(word, unicode.IsControl) {
			return job.Errorf(job.CodeInputBad, "the path %q holds a control character, which no service file can", word)
		}
	}
	before, err := os.ReadFile(m.File())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the service file: %w", err)
	}
	fresh := err != nil
	if err := write(m.File(), m.Text(s)); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		if fresh {
			err = errors.Join(err, os.Remove(m.File()))
		} else {
			err = errors.Join(err, write(m.File(), string(before)))
		}
		if !m.mac() {
			_, _ = m.Run(ctx, "systemctl", "--user", "daemon-reload") // it knows of the file by now
		}
		return err
	}
	return nil
}

func (m System) start(ctx context.Context) error {
	if m.mac() {
		_, _ = m.Run(ctx, "launchctl", "bootout", m.domain()+"/"+label) // an older one, if there is any
		return m.all(ctx, []string{"launchctl", "enable", m.domain() + "/" + label},
			[]string{"launchctl", "bootstrap", m.domain(), m.File()})
	}
	return m.all(ctx, []string{"systemctl", "--user", "daemon-reload"}, []string{"systemctl", "--user", "enable", unitName},
		[]string{"systemctl", "--user", "restart", unitName})
}

// Remove stops the service and removes its file; was tells whether there was one.
func (m System) Remove(ctx context.Context) (was bool, err error) {
	if _, err := os.Lstat(m.File()); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if m.mac() {
		_, _ = m.Run(ctx, "launchctl", "bootout", m.domain()+"/"+label) // it may not be loaded
	} else if err := m.all(ctx, []string{"systemctl", "--user", "disable", "--now", unitName}); err != nil {
		return true, err
	}
	if err := os.Remove(m.File()); err != nil {
		return true, fmt.Errorf("remove the service file: %w", err)
	}
	if m.mac() {
		return true, nil
	}
	return true, m.all(ctx, []string{"systemctl", "--user", "daemon-reload"})
}

var (
	macState = regexp.MustCompile(`(?m)^\s*state = running$`)
	macPID   = regexp.MustCompile(`(?m)^\s*pid = (\d+)$`)
	unitLine = regexp.MustCompile(`(?m)^(\w+)=(.*)$`)
)

// Status looks at the file and asks the system.
func (m System) Status(ctx context.Context, s Spec) (Status, error) {
	v := Status{File: m.File()}
	data, err := os.ReadFile(v.File)
	if errors.Is(err, os.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("read the service file: %w", err)
	}
	v.Installed, v.Current = true, string(data) == m.Text(s)
	if m.mac() {
		out, err := m.Run(ctx, "launchctl", "print", m.domain()+"/"+label)
		if found := macPID.FindStringSubmatch(out); err == nil && macState.MatchString(out) && found != nil {
			v.Running = true
			v.PID, _ = strconv.Atoi(found[1])
		}
		return v, nil // print fails for what is not loaded
	}
	out, err := m.Run(ctx, "systemctl", "--user", "show", "--property=ActiveState", "--property=MainPID", unitName)
	if err != nil {
		return v, failed([]string{"systemctl", "--user", "show", unitName}, out, err)
	}
	for _, line := range unitLine.FindAllStringSubmatch(out, -1) {
		switch line[1] {
		case "ActiveState":
			v.Running = line[2] == "active"
		case "MainPID":
			v.PID, _ = strconv.Atoi(line[2])
		}
	}
	return v, nil
}

// all runs the commands until one fails.
func (m System) all(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if out, err := m.Run(ctx, c[0], c[1:]...); err != nil {
			return failed(c, out, err)
		}
	}
	return nil
}

func failed(command []string, out string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return job.Errorf(job.CodeNotReady, "%s is not on this machine, so nothing can start qie by itself", command[0]).
			WithHint("start qie by hand: ./start")
	}
	said := strings.TrimSpace(out)
	if said == "" {
		said = err.Error()
	}
	e := job.Errorf(job.CodeNotReady, "%s: %s", strings.Join(command, " "), said)
	if strings.Contains(said, "bus") {
		return e.WithHint("systemd knows no session of this person here; log in at the machine, or run: loginctl enable-linger")
	}
	return e.WithHint("start qie by hand: ./start")
}

// write replaces a file as a whole.
func write(path, text string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".part", []byte(text), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		return fmt.Errorf("write the service file: %w", errors.Join(err, ignoreMissing(os.Remove(path+".part"))))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
