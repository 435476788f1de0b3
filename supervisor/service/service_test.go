package service

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor/job"
)

var update = flag.Bool("update", false, "write the golden files")

var specs = map[string]Spec{
	"plain": {"/opt/qie/.qie/bin/qie", []string{"serve", "--quiet", "--data", "/home/me/qwen-image-editor"}, "/home/me/qwen-image-editor/logs/service.log"},
	"odd": {"/Users/Zoë Müller/My \"Apps\"/100% <qie> & co/$HOME\\bin/qie", []string{"serve", "--quiet", "--data", "/Volumes/照片 盘/it's 50%"},
		"/Volumes/照片 盘/it's 50%/logs/service.log"},
}

func TestFiles_AreTheGoldenOnes(t *testing.T) {
	for name, spec := range specs {
		for system, ending := range map[string]string{"linux": ".service", "darwin": ".plist"} {
			path := filepath.Join("testdata", name+ending)
			got := System{OS: system}.Text(spec)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || got != string(want) {
				t.Errorf("%s is not what is written now (%v); look, then run with -update:\n%s", path, err, got)
			}
		}
	}
}

// What launchd reads out of the file is what was meant: the words survive XML.
func TestAgent_KeepsTheWords(t *testing.T) {
	spec := specs["odd"]
	d := xml.NewDecoder(strings.NewReader(agent(spec)))
	var words []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "string" {
			var text string
			if err := d.DecodeElement(&text, &start); err != nil {
				t.Fatal(err)
			}
			words = append(words, text)
		}
	}
	want := append(append([]string{label, spec.Program}, spec.Args...), "Interactive", spec.LogFile, spec.LogFile)
	if !slices.Equal(words, want) {
		t.Errorf("got %q\nwant %q", words, want)
	}
}

// systemd splits the line by its rules (systemd.service, "Command lines"): the words survive them too.
func TestUnit_KeepsTheWords(t *testing.T) {
	spec := specs["odd"]
	_, line, _ := strings.Cut(unit(spec), "ExecStart=:")
	line, _, _ = strings.Cut(line, "\n")
	line, ok := strings.CutPrefix(line, "/bin/sh ")
	got := splitUnit(t, line)
	if want := append([]string{"-c", `exec "$0" "$@"`, spec.Program}, spec.Args...); !ok || !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	// The shell hands them over as they are.
	got[2] = "printf"
	out, err := exec.Command("/bin/sh", slices.Insert(got, 3, `%s\n`)...).Output()
	if want := strings.Join(spec.Args, "\n") + "\n"; err != nil || string(out) != want {
		t.Errorf("the shell gives %q, want %q: %v", out, want, err)
	}
	if path, err := exec.LookPath("systemd-analyze"); err == nil {
		file := filepath.Join(t.TempDir(), unitName)
		if err := os.WriteFile(file, []byte(unit(spec)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "--user", "verify", file)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze: %v\n%s", err, out)
		}
	}
}

// splitUnit reads double-quoted words with \\ and \" inside, and %% for %.
func splitUnit(t *testing.T, line string) (words []string) {
	t.Helper()
	word, inside := "", false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			if inside {
				words, word = append(words, word), ""
			}
			inside = !inside
		case c == '\\', c == '%':
			i++
			if line[i] != c && (c == '%' || line[i] != '"') {
				t.Fatalf("a stray %c in %s", c, line)
			}
			word += line[i : i+1]
		case inside:
			word += line[i : i+1]
		case c != ' ':
			t.Fatalf("%c outside of quotes in %s", c, line)
		}
	}
	return words
}

// machine is a system whose commands are written down; answers are by the beginning of the command.
type machine struct {
	System
	ran     []string
	answers map[string]string
	refuses map[string]error
}

func newMachine(t *testing.T, system string) *machine {
	t.Helper()
	m := &machine{answers: map[string]string{}, refuses: map[string]error{}}
	m.System = System{OS: system, HomeDir: filepath.Join(t.TempDir(), "Zoë M"), UID: 501,
		Run: func(_ context.Context, name string, args ...string) (string, error) {
			line := strings.Join(append([]string{name}, args...), " ")
			m.ran = append(m.ran, strings.ReplaceAll(line, m.HomeDir, "~"))
			for begin, err := range m.refuses {
				if strings.HasPrefix(line, begin) {
					return m.answers[begin], err
				}
			}
			for begin, answer := range m.answers {
				if strings.HasPrefix(line, begin) {
					return answer, nil
				}
			}
			return "", nil
		}}
	return m
}

func (m *machine) took() string {
	ran := strings.Join(m.ran, "\n")
	m.ran = nil
	return ran
}

func TestService_OnAMac(t *testing.T) {
	m, spec := newMachine(t, "darwin"), specs["plain"]
	if v, err := m.Status(t.Context(), spec); err != nil || v.Installed || m.took() != "" {
		t.Errorf("before: %+v %v", v, err)
	}
	if err := m.Install(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	want := "launchctl bootout gui/501/local.qie\nlaunchctl enable gui/501/local.qie\n" +
		"launchctl bootstrap gui/501 ~/Library/LaunchAgents/local.qie.plist"
	if got := m.took(); got != want {
		t.Errorf("ran\n%s", got)
	}
	m.answers["launchctl print gui/501/local.qie"] = "local.qie = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 4711\n}\n"
	if v, err := m.Status(t.Context(), spec); err != nil || !v.Running || v.PID != 4711 || !v.Current {
		t.Errorf("running: %+v %v", v, err)
	}
	m.answers["launchctl print gui/501/local.qie"] = "local.qie = {\n\tstate = not running\n}\n"
	other := spec
	other.Program = "/elsewhere/qie"
	if v, err := m.Status(t.Context(), other); err != nil || v.Running || v.Current || !v.Installed {
		t.Errorf("stopped, and of another checkout: %+v %v", v, err)
	}
	m.took()
	m.refuses["launchctl bootout"] = errors.New("exit status 3")
	if was, err := m.Remove(t.Context()); err != nil || !was {
		t.Errorf("remove: %v %v", was, err)
	}
	if _, err := os.Stat(m.File()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if was, err := m.Remove(t.Context()); err != nil || was {
		t.Errorf("twice: %v %v", was, err)
	}
}

func TestService_OnLinux(t *testing.T) {
	m, spec := newMachine(t, "linux"), specs["odd"]
	for range 2 { // twice is once
		if err := m.Install(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if got := m.took(); got != "systemctl --user daemon-reload\nsystemctl --user enable qie.service\nsystemctl --user restart qie.service" {
			t.Errorf("ran\n%s", got)
		}
	}
	m.answers["systemctl --user show"] = "ActiveState=active\nMainPID=99\n"
	if v, err := m.Status(t.Context(), spec); err != nil || !v.Running || v.PID != 99 || !v.Current || v.File != filepath.Join(m.HomeDir, ".config/systemd/user/qie.service") {
		t.Errorf("running: %+v %v", v, err)
	}
	m.took()
	if was, err := m.Remove(t.Context()); err != nil || !was || m.took() != "systemctl --user disable --now qie.service\nsystemctl --user daemon-reload" {
		t.Errorf("remove: %v %v", was, err)
	}
	m.ConfigHome = "/etc/mine"
	if m.File() != "/etc/mine/systemd/user/qie.service" {
		t.Errorf("XDG_CONFIG_HOME: %s", m.File())
	}
}

// A system that refuses leaves the machine as it was, and its words reach the person.
func TestInstall_Refused(t *testing.T) {
	m := newMachine(t, "linux")
	m.refuses["systemctl --user enable"] = errors.New("exit status 1")
	m.answers["systemctl --user enable"] = "Failed to connect to bus: No medium found\n"
	err := m.Install(t.Context(), specs["plain"])
	if e := job.AsError(err); e.Code != job.CodeNotReady || !strings.Contains(e.Message, "No medium found") || !strings.Contains(e.Hint, "enable-linger") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(m.File()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stayed: %v", err)
	}
	clear(m.refuses)
	if err := m.Install(t.Context(), specs["plain"]); err != nil {
		t.Fatal(err)
	}
	m.refuses["systemctl"] = fmt.Errorf("run: %w", exec.ErrNotFound)
	if err := m.Install(t.Context(), specs["odd"]); !strings.Contains(err.Error(), "systemctl is not on this machine") {
		t.Errorf("got %v", err)
	}
	clear(m.refuses)
	if v, err := m.Status(t.Context(), specs["plain"]); err != nil || !v.Current {
		t.Errorf("the file before was not put back: %+v %v", v, err)
	}
	bad := specs["plain"]
	bad.Args = []string{"serve", "--data", "/a\nExecStartPre=/bin/evil"}
	if err := m.Install(t.Context(), bad); job.AsError(err).Code != job.CodeInputBad {
		t.Errorf("a line break in a path: %v", err)
	}
}
