package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/preflight"
	st "qie/supervisor/supervisortest"
)

// Every fix that preflight can name, wherever it stands in its source, is a command that exists.
func TestFixes_AllAreCommands(t *testing.T) {
	files, err := filepath.Glob("../../supervisor/preflight/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		check := func(e ast.Expr) {
			line := lineOf(e)
			if strings.Trim(line, "x") == "" {
				return // a variable, whose own value is looked at where it is set
			}
			found++
			if why := unknownCommand(t, line); why != "" {
				t.Errorf("%s has the fix %q: %s", filepath.Base(path), line, why)
			}
		}
		ast.Inspect(source, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Fix" {
					check(n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					switch left := left.(type) {
					case *ast.Ident:
						if left.Name == "fix" {
							check(n.Rhs[i])
						}
					case *ast.SelectorExpr:
						if left.Sel.Name == "Fix" {
							check(n.Rhs[i])
						}
					}
				}
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("only %d fixes were found", found)
	}
}

var verb = regexp.MustCompile(`%[a-z]`)

// lineOf is the text of an expression; what is put in while it runs is x, and 1 for a number.
func lineOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return lineOf(e.X) + lineOf(e.Y)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return verb.ReplaceAllStringFunc(lineOf(e.Args[0]), func(v string) string {
				return map[string]string{"%d": "1"}[v] + map[string]string{"%s": "x"}[v]
			})
		}
	}
	return "x"
}

// uvOfTests makes environments whose Python is the fake worker.
const uvOfTests = `#!/bin/sh
set -eu
for last; do :; done
case "$1" in
venv) cp -r "$FAKE_PYTHON" "$last"; rm "$last"/lib/python3.12/site-packages/pyruntime.pth ;;
pip) ;;
esac
`

// startOfTests is ./start, without the set-up before it and on any free port.
const startOfTests = "#!/bin/sh\nexec qie --json serve \"$@\"\n"

// breakage is one thing that goes wrong, which doctor finds under the name.
type breakage struct {
	name, check string
	spoil       func(*patient) error
	level       preflight.Level
	fix         string            // a pattern
	env         map[string]string // while it is broken
	gone        map[string]string // with these settings the finding is gone, where the fix is a setting
}

// What doctor finds is gone after the command that it names, as far as that can be tried here: on a data folder with
// something broken in it. ./setup.sh is tried by cmd/dev/fresh.go; chown and the clock want another user or machine.
func TestFixes_EndTheirFinding(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	p := newPatient(t)
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, b := range []breakage{
		{"an environment without interpreter", "environment", func(p *patient) error {
			return os.Remove(p.one("python/*/bin/python"))
		}, preflight.Error, `^qie doctor --fix environment$`, nil, nil},
		{"an environment without a package", "environment", func(p *patient) error {
			return os.RemoveAll(p.one("python/*/lib/*/site-packages/torch"))
		}, preflight.Error, `^qie doctor --fix environment$`, nil, nil},
		{"an interpreter that only fails", "--verify worker", func(p *patient) error {
			return os.WriteFile(p.one("python/*/bin/python"), []byte("#!/bin/sh\nexit 1\n"), 0o700)
		}, preflight.Error, `^qie doctor --fix environment$`, nil, nil},
		{"the worker's source was changed", "source", func(p *patient) error {
			return os.WriteFile(p.one("python/src-*/pyruntime/edit.py"), []byte("print(1)\n"), 0o600)
		}, preflight.Error, `^qie doctor --fix environment$`, nil, nil},
		{"a file of the demo is cut short", "model", func(p *patient) error {
			return os.Truncate(p.one("models/demo-*/text_encoder/model.safetensors"), 1000)
		}, preflight.Error, `^qie doctor --fix model$`, nil, nil},
		{"a file of the demo is gone", "model", func(p *patient) error {
			return os.Remove(p.one("models/demo-*/vae/config.json"))
		}, preflight.Error, `^qie doctor --fix model$`, nil, nil},
		{"others can read the data", "data", func(p *patient) error {
			return os.Chmod(p.home, 0o755)
		}, preflight.Warning, `^qie doctor --fix data$`, nil, nil},
		{"the port is taken", "port", func(*patient) error { return nil }, preflight.Error, `^\./start --port \d+$`,
			map[string]string{"PORT": port}, map[string]string{"PORT": "0"}},
		{"a device that is not here", "device", func(*patient) error { return nil }, preflight.Error, `^QIE_DEVICE=auto \./start$`,
			map[string]string{"QIE_DEVICE": "mps"}, map[string]string{"QIE_DEVICE": "auto"}},
		{"a model that is not here", "model", func(*patient) error { return nil }, preflight.Error, `^QIE_MODEL=demo \./start$`,
			map[string]string{"QIE_MODEL": "qwen-image-edit"}, map[string]string{"QIE_MODEL": "demo"}},
		{"a process of an earlier run", "leftovers", (*patient).leaveProcess, preflight.Warning, `^\./start$`, nil, nil},
	} {
		if b.check == "leftovers" && runtime.GOOS != "linux" {
			continue // only Linux shows another process's environment
		}
		if b.check == "device" && runtime.GOOS != "linux" {
			b.env["QIE_DEVICE"] = "cuda"
		}
		t.Run(b.name, func(t *testing.T) {
			p.t = t
			if err := b.spoil(p); err != nil {
				t.Fatal(err)
			}
			f := p.finding(b.check, b.env)
			if f.Level != b.level || f.Cause == "" || !regexp.MustCompile(b.fix).MatchString(f.Fix) {
				t.Fatalf("broken: %+v", f)
			}
			p.run(f.Fix, b.env)
			if f := p.finding(b.check, b.gone); f.Level != preflight.OK {
				t.Errorf("after %q: %+v", f.Fix, f)
			}
		})
	}
}

// patient is a data folder that was set up and used once.
type patient struct {
	t         *testing.T
	dir, home string
	env       []string
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	home, env := newHome(t, "")
	p := &patient{t: t, dir: filepath.Dir(home), home: home, env: env}
	p.env = append(p.env, "QIE_PYTHON_ENV=", "FAKE_PYTHON="+filepath.Join(p.dir, "env"), "HF_HOME=", "HF_HUB_CACHE=", "QIE_DEVICE=auto",
		"PATH="+filepath.Join(p.dir, "bin")+":"+p.dir+":"+os.Getenv("PATH"))
	for name, text := range map[string]string{"bin/uv": uvOfTests, "start": startOfTests} {
		path := filepath.Join(p.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.run("./start", nil)
	return p
}

func (p *patient) command(line string, settings map[string]string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), "sh", "-c", line)
	cmd.Dir, cmd.Env = p.dir, p.env
	for key, value := range settings {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	return cmd
}

// run does what the line says. A server is ended once it is ready to edit.
func (p *patient) run(line string, settings map[string]string) {
	p.t.Helper()
	if !strings.Contains(line, "./start") {
		if out, err := p.command(line, settings).CombinedOutput(); err != nil {
			p.t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return
	}
	cmd := p.command(regexp.MustCompile(`\./start`).ReplaceAllString(line, "exec ./start"), settings)
	if env, rest, ok := strings.Cut(line, " ./start"); ok { // a setting before exec would be the shell's own
		cmd = p.command("exec env "+env+" ./start"+rest, settings)
	}
	var stderr quiet
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	var said struct{ URL string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		_ = cmd.Wait()
		p.t.Fatalf("%s says no address: %v\n%s", line, err, stderr.String())
	}
	waitWorker(p.t, said.URL, "cold")
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		p.t.Fatalf("%s: %v\n%s", line, err, stderr.String())
	}
}

func (p *patient) finding(check string, settings map[string]string) preflight.Finding {
	p.t.Helper()
	out, _ := p.command("qie --json doctor "+check, settings).Output() // its exit code is the finding's level
	var d struct{ Findings []preflight.Finding }
	if err := json.Unmarshal(out, &d); err != nil || len(d.Findings) != 1 {
		p.t.Fatalf("doctor %s says %s, %v", check, out, err)
	}
	return d.Findings[0]
}

// one is the only file of the data folder that fits.
func (p *patient) one(pattern string) string {
	p.t.Helper()
	found, _ := filepath.Glob(filepath.Join(p.home, pattern))
	if len(found) != 1 {
		p.t.Fatalf("%s is %v", pattern, found)
	}
	return found[0]
}

// leaveProcess is a child that an earlier worker left: it carries a nonce of this data folder.
func (p *patient) leaveProcess() error {
	nonce := fmt.Sprintf("left-%d-%d", os.Getpid(), time.Now().UnixNano())
	cmd := exec.Command("sleep", "60")
	cmd.Env = []string{"QIE_NONCE=" + nonce}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		select {
		case <-ended:
		case <-time.After(st.Patience):
		}
	})
	return os.WriteFile(filepath.Join(p.home, "run", "nonces"), []byte(nonce+"\n"), 0o600)
}
