package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"qie/supervisor/config"
	st "qie/supervisor/supervisortest"
)

// outcome is what a command of README does here: beside a running server with the fake worker, on a model folder with
// preset and LoRA, and with a hub of the tests, which has none of the files whose hashes qie knows.
type outcome struct {
	exit  int
	says  string // of stdout and stderr together
	where string // it is run elsewhere, and nothing else here counts
}

const (
	byFresh = "cmd/dev/fresh.go runs it in a fresh clone; fresh_test.go there holds it against README"
	byCI    = "CI runs exactly this"
	byHand  = "a developer's; its figures in README were measured by it"
)

var readme = map[string]outcome{
	"./setup.sh": {where: byFresh},
	"./start":    {where: byFresh},
	`.qie/bin/qie edit -i photo.jpg "make it black and white" -o out.png`: {where: byFresh},
	"./setup.sh --test":                          {where: byCI},
	"go run ./cmd/dev check":                     {where: byCI},
	"go run ./cmd/dev gen":                       {where: byCI}, // as gen --check
	"go run ./cmd/dev bench":                     {where: byHand},
	"go run ./cmd/dev soak --pulls 200 --seed 1": {where: byHand},
	"qie list":                  {says: `qwen-image-edit-2511 +57.7 GB`},
	"qie pull":                  {exit: exitFailed, says: `licence: Apache-2.0`},
	"qie pull lightning-2511-4": {exit: exitFailed, says: `the hub has another .* than the one that qie knows`},
	"qie pull --from FOLDER":    {exit: exitFailed, says: `licence: Apache-2.0`},
	"qie show NAME":             {says: `Qwen/Qwen-Image-Edit-2511 at 6f3ccc0b56e4`},
	"qie models":                {says: `(?s)qwen-image-edit-2511.*--preset fast.*--lora ink`},
	`qie edit --model qwen-image-edit-2511 --preset fast -i photo.jpg "make it snow" -o out.png`:        {says: `out\.png`},
	`qie edit --preset fast --lora ink:0.8 -i photo.jpg "a boat" -o out.png`:                            {says: `out\.png`},
	`curl -F image=@photo.jpg -F 'recipe={"prompt":"make it sepia"}' http://127.0.0.1:8000/api/v1/jobs`: {says: `"state": ?"queued"`},
	"curl http://127.0.0.1:8000/api/v1/jobs/ID":                                                         {says: `"state": ?"`},
	"curl -o out.png http://127.0.0.1:8000/api/v1/jobs/ID/result":                                       {},
	"qie settings":                     {says: `PORT=0  \(environment\)`},
	"qie service":                      {exit: exitUsage, says: `choose one of`},
	"qie service install":              {exit: exitFailed, says: `started by hand`},
	"qie service status":               {exit: exitNotReady, says: `not installed`},
	"qie service remove":               {says: `there is no service to remove`},
	"qie open":                         {says: `http://127\.0\.0\.1:`},
	"qie cleanup --status":             {says: `succeeded +\d`},
	"qie cleanup --hours 24 --dry-run": {says: `would remove 0 jobs`},
	"qie cleanup --hours 24":           {says: `removed 0 jobs`},
	"qie status":                       {says: `qie runs at`},
	"qie worker restart":               {says: `is started again`},
	"qie crashes":                      {says: `no crashes`},
	"qie doctor":                       {says: `\[✓\] environment`},
	"qie doctor --verify":              {exit: exitFailed, says: `\[✗\]`},
	"qie doctor --fix":                 {says: `\[✓\] environment`},
	"qie doctor --report":              {says: `qie-report\.zip`},
}

// Every command of README and of the map for machines is run by a test: as it stands there, with the server's port, a job and a folder put in. One
// that no test runs, and one that is not named any more, is an error.
func TestReadme_EveryCommandIsRun(t *testing.T) {
	commands := readmeCommands(t)
	for line := range readme {
		if !slices.Contains(commands, line) {
			t.Errorf("README does not name %q", line)
		}
	}
	r := newReader(t)
	for _, line := range commands {
		want, known := readme[line]
		if !known {
			t.Errorf("README names %q, and no test runs it", line)
			continue
		}
		verb, dev := strings.CutPrefix(line, "go run ./cmd/dev ")
		switch verb, _, _ = strings.Cut(verb, " "); {
		case want.where == "":
			r.run(line, want)
		case dev && !strings.Contains(readFile(t, "../../cmd/dev/main.go"), `"`+verb+`": `):
			t.Errorf("cmd/dev has no %s", verb)
		case line == "./setup.sh --test" && !strings.Contains(readFile(t, "../../.ci/run"), "exec "+line+"\n"):
			t.Errorf("CI does not run %s", line)
		}
	}
}

// README's table has every setting, and each is shown with its place.
func TestReadme_EverySettingIsShownWithItsPlace(t *testing.T) {
	cfg, err := config.Load(config.Sources{HomeDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{}
	for _, v := range cfg.Values {
		places[v.Key] = v.Place()
	}
	_, table, _ := strings.Cut(readFile(t, "../../README.md"), "| setting | default | |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var named []string
	for row := range strings.Lines(table) {
		names, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for name := range strings.SplitSeq(names, ",") {
			named = append(named, strings.Trim(name, " `"))
		}
	}
	for _, name := range named {
		if places[name] == "" {
			t.Errorf("README has the setting %s, qie settings shows no place of it", name)
		}
	}
	for name := range places {
		if !slices.Contains(named, name) && !strings.Contains(readFile(t, "../../README.md"), "`"+name) {
			t.Errorf("README does not name the setting %s", name)
		}
	}
	if len(named) < 15 {
		t.Errorf("the table has %v", named)
	}
}

// readmeCommands are those of the sh blocks and those inside the text, in README's order, and those of CLAUDE.md.
func readmeCommands(t *testing.T) (commands []string) {
	t.Helper()
	text := readFile(t, "../../README.md")
	add := func(line string) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.Join(strings.Fields(line), " "); line != "" && !slices.Contains(commands, line) {
			commands = append(commands, line)
		}
	}
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$|`((?:qie|\\./setup\\.sh|\\./start|go run)(?:\\s[^`]*)?)`").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			add(line)
		}
		add(m[2])
	}
	_, block, _ := strings.Cut(readFile(t, "../../CLAUDE.md"), "```\n")
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, "  ")
		add(line)
	}
	if len(commands) < 25 {
		t.Fatalf("only %d commands were found", len(commands))
	}
	return commands
}

// reader is somebody who types what README says, in a folder with a photo.
type reader struct {
	t        *testing.T
	dir, url string
	env      []string
	job      string
}

func newReader(t *testing.T) *reader {
	t.Helper()
	home, env := newHome(t, "")
	r := &reader{t: t, dir: filepath.Dir(home), env: env}
	const id = "qwen-image-edit-2511"
	dir := filepath.Join(home, "models", id)
	err := os.CopyFS(dir, os.DirFS(st.NewModel(t, 1)))
	var spec map[string]any
	if err == nil {
		err = json.Unmarshal([]byte(readFile(t, filepath.Join(dir, "qie.json"))), &spec)
	}
	spec["id"] = id
	spec["loras"] = append(spec["loras"].([]any), map[string]string{"id": "ink", "name": "Ink", "file": "warm.safetensors"})
	data, _ := json.Marshal(spec)
	for path, text := range map[string][]byte{filepath.Join(dir, "qie.json"): data, filepath.Join(r.dir, "photo.jpg"): st.Picture(300, 200),
		filepath.Join(r.dir, "bin", "systemctl"): []byte("#!/bin/sh\nexit 3\n")} {
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		if err == nil {
			err = os.WriteFile(path, text, 0o700)
		}
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(r.dir, "FOLDER"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, "QIE_MODEL="+id, "HF_ENDPOINT="+fakeHub(t).URL, "HF_HOME=", "HF_HUB_CACHE=", "HF_TOKEN=", "DISPLAY=",
		"WAYLAND_DISPLAY=", "PATH="+filepath.Join(r.dir, "bin")+":"+r.dir+":"+os.Getenv("PATH"))
	server := start(t, home, r.env, "--json", "serve")
	r.url = server.url(t)
	waitWorker(t, r.url, "cold")
	return r
}

func (r *reader) run(line string, want outcome) {
	r.t.Helper()
	if runtime.GOOS != "linux" && strings.HasPrefix(line, "qie service") {
		return // it would ask the machine's own launchd; service_test.go has it
	}
	if strings.Contains(line, "/ID") {
		r.finish()
	}
	typed := strings.NewReplacer("http://127.0.0.1:8000", r.url, "/ID", "/"+r.job, " NAME", " qwen-image-edit-2511").Replace(line)
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", typed)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != want.exit || !regexp.MustCompile(want.says).Match(out) {
		r.t.Errorf("%s: exit %d, %v, want %d and %q\n%s", line, code, err, want.exit, want.says, out)
	}
	if m := regexp.MustCompile(`"id": ?"([0-9a-f-]{36})"`).FindSubmatch(out); m != nil {
		r.job = string(m[1])
	}
	if strings.Contains(line, "-o out.png") {
		result := filepath.Join(r.dir, "out.png")
		if data, err := os.ReadFile(result); err != nil || !strings.HasPrefix(string(data), "\x89PNG") {
			r.t.Errorf("%s left no picture: %v, %.60q", line, err, data)
		}
		_ = os.Remove(result)
	}
}

// finish waits for the job that the last curl sent.
func (r *reader) finish() {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(st.Patience)
	for {
		var j struct{ State string }
		if getJSON(r.t, r.url+"/api/v1/jobs/"+r.job, &j) == http.StatusOK && j.State == "succeeded" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("job %q is %s", r.job, j.State)
		}
	}
}
