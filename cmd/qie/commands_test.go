package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"qie/supervisor/config"
)

var (
	fixLine = regexp.MustCompile(`(?m)^     ?fix: (.+)$`)
	fences  = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	spans   = regexp.MustCompile("`((?:qie|\\./setup\\.sh|\\./start)(?: [^`]*)?)`")
	setting = regexp.MustCompile(`^[A-Z_]+=`)
)

// Every command that a finding or README names exists, and its flags are known.
func TestCommands_ThatAreNamedExist(t *testing.T) {
	lines := map[string]string{}
	goldens, err := filepath.Glob("../../supervisor/preflight/testdata/*.txt")
	if err != nil || len(goldens) < 12 {
		t.Fatalf("%d golden files, %v", len(goldens), err)
	}
	for _, path := range goldens {
		for _, m := range fixLine.FindAllStringSubmatch(readFile(t, path), -1) {
			lines[m[1]] = path
		}
	}
	const readme = "../../README.md"
	for _, span := range spans.FindAllStringSubmatch(readFile(t, readme), -1) {
		lines[strings.Join(strings.Fields(span[1]), " ")] = readme
	}
	for _, block := range fences.FindAllStringSubmatch(readFile(t, readme), -1) {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimSpace(line); line != "" {
				lines[line] = readme
			}
		}
	}
	if len(lines) < 15 {
		t.Errorf("only %d commands were found", len(lines))
	}
	for line, from := range lines {
		if why := unknownCommand(t, line); why != "" {
			t.Errorf("%s names %q: %s", from, line, why)
		}
	}
	for _, bad := range []string{"qie docter", "qie doctor --fixx", "NOPE=1 ./start", "./setup.sh --all", "frobnicate"} {
		if unknownCommand(t, bad) == "" {
			t.Errorf("%q passes", bad)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// unknownCommand tells what is wrong with a line for a shell; empty when nothing is.
func unknownCommand(t *testing.T, line string) string {
	t.Helper()
	if out, err := exec.Command("sh", "-n", "-c", line).CombinedOutput(); err != nil {
		return string(out)
	}
	line, _, _ = strings.Cut(line, " #")
	words := shellWords(t, line)
	for len(words) > 0 && setting.MatchString(words[0]) {
		key, _, _ := strings.Cut(words[0], "=")
		cfg, err := config.Load(config.Sources{HomeDir: "/nowhere", Flags: map[string]string{}})
		if err != nil {
			return err.Error()
		}
		known := false
		for _, v := range cfg.Values {
			known = known || v.Key == key
		}
		if !known {
			return "no setting " + key
		}
		words = words[1:]
	}
	switch words[0] {
	case "qie", ".qie/bin/qie":
		return unknownVerb(words[1:])
	case "./start":
		return unknownVerb(append([]string{"serve"}, words[1:]...))
	case "./setup.sh":
		script := readFile(t, "../../setup.sh")
		for _, w := range words[1:] {
			if !strings.Contains(script, "\t"+w+")") {
				return "setup.sh knows no " + w
			}
		}
		return ""
	case "go", "curl", "sudo", "chmod":
		return "" // of the system; whether it is there is not ours to say
	}
	return "no such program"
}

func shellWords(t *testing.T, line string) []string {
	t.Helper()
	settings := ""
	rest := line
	for setting.MatchString(rest) && strings.Contains(rest, " ./") { // assignments before a command are no words of it
		at := strings.Index(rest, " ./")
		settings, rest = strings.TrimSpace(rest[:at])+"\n", strings.TrimSpace(rest[at:])
	}
	out, err := exec.Command("sh", "-c", `printf '%s\n' `+strings.NewReplacer("ID", "x").Replace(rest)).Output()
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return strings.Split(strings.TrimSpace(settings+string(out)), "\n")
}

func unknownVerb(args []string) string {
	root := (&app{}).root(args)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	if cmd == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "no verb " + rest[0]
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	return ""
}
