package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type rig struct {
	t    *testing.T
	home string
	src  Sources
	live *Live
}

func newRig(t *testing.T, files map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, home: t.TempDir()}
	for name, text := range files {
		r.write(name, text)
	}
	r.src = Sources{Env: []string{"QIE_HOME=" + r.home}, HomeDir: r.home}
	c, err := Load(r.src)
	if err != nil {
		t.Fatal(err)
	}
	r.live = NewLive(r.src, c)
	return r
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.home, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) setting(key string) Setting {
	r.t.Helper()
	for _, s := range r.live.View().Settings {
		if s.Key == key {
			return s
		}
	}
	r.t.Fatalf("no %s in the view", key)
	return Setting{}
}

// Every live setting is adopted, and nothing else: what the table says and what adopt copies are the same.
func TestLive_TableAndCopyAgree(t *testing.T) {
	r := newRig(t, nil)
	other := map[string]string{"QIE_HOME": r.home, "HF_HOME": "/h", "HF_HUB_CACHE": "/hub", "JOBS_DIR": "/j", "HOST": "127.0.0.2", "PORT": "1",
		"QIE_TOKEN": "0123456789abcdef", "QIE_ORIGINS": "http://a", "QIE_MODEL": "m", "QIE_DEVICE": "cpu", "HF_ENDPOINT": "http://e",
		"HF_TOKEN": "t", "INPUT_FOLDER": "/i", "OUTPUT_FOLDER": "/o", "QIE_IDLE_UNLOAD": "1", "QIE_MEMORY_OVERRIDE": "1",
		"QIE_KEEP_JOBS": "1", "QIE_KEEP_GB": "1"}
	for key := range defaults {
		if other[key] == "" {
			t.Errorf("%s is not in this test", key)
		}
		if key == "QIE_HOME" {
			continue
		}
		before := r.live.Config()
		next, err := Load(Sources{Env: []string{"QIE_HOME=" + r.home}, Flags: map[string]string{key: other[key]}, HomeDir: r.home})
		if err != nil {
			t.Fatal(err)
		}
		adopted := before.adopt(next)
		// The understood fields, without the list of what was written.
		strip := func(c Config) Config { c.Values, c.secrets, c.Notices = nil, nil, nil; return c }
		changed := !equal(strip(before), strip(adopted))
		if want := slices.Contains(live, key); changed != want {
			t.Errorf("%s: changed %v, live %v", key, changed, want)
		}
		if got := differ(before, next); !slices.Equal(got, []string{key}) {
			t.Errorf("%s: differ says %v", key, got)
		}
	}
}

func equal(a, b Config) bool {
	same := slices.Equal(a.Origins, b.Origins)
	a.Origins, b.Origins = nil, nil
	return same && strings.Compare(show(a), show(b)) == 0
}

func TestLive_ReloadsWhatItCanAndTellsWhatItCannot(t *testing.T) {
	r := newRig(t, map[string]string{TOMLFile: "port = 4004\n"})
	r.write(TOMLFile, "\nport = 5005\nqie_keep_jobs = 7\noutput_folder = \"~/out\"\n")
	change := r.live.Reload()
	if !slices.Equal(change.Applied, []string{"OUTPUT_FOLDER", "QIE_KEEP_JOBS"}) || !slices.Equal(change.Pending, []string{"PORT"}) {
		t.Errorf("got %+v", change)
	}
	if c := r.live.Config(); c.Port != 4004 || c.KeepJobs != 7 || c.OutputFolder != filepath.Join(r.home, "out") {
		t.Errorf("in force: %+v", c)
	}
	port := r.setting("PORT")
	if port.Value != "4004" || port.Next != "5005" || port.Live {
		t.Errorf("PORT %+v", port)
	}
	keep := r.setting("QIE_KEEP_JOBS")
	if keep.Value != "7" || keep.Next != "" || !keep.Live || keep.Line != 3 || keep.From != filepath.Join(r.home, TOMLFile) {
		t.Errorf("QIE_KEEP_JOBS %+v", keep)
	}
	// A secret that is written differently is a change, and is not shown.
	r.write(DotenvFile, "HF_TOKEN=hf_first\n")
	r.live.Reload()
	r.write(DotenvFile, "HF_TOKEN=hf_second\n")
	if change := r.live.Reload(); !slices.Contains(change.Pending, "HF_TOKEN") || strings.Contains(show(r.live.View()), "hf_") {
		t.Errorf("secret: %+v %v", change, r.live.View())
	}
	// Back as it was: nothing waits.
	_ = os.Remove(filepath.Join(r.home, DotenvFile))
	r.write(TOMLFile, "port = 4004\n")
	if change := r.live.Reload(); len(change.Pending) != 0 || r.setting("PORT").Next != "" || r.live.Config().KeepJobs != 10000 {
		t.Errorf("got %+v", change)
	}
}

// A bad file keeps the settings before, and names its line; the next good one is used.
func TestLive_ABadFileChangesNothing(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"no TOML":         {TOMLFile, "# mine\nqie_keep_jobs = 5\nport = = 3\n", "line 3"},
		"an unknown key":  {TOMLFile, "qie_keep_jobs = 5\n\n\nprot = 3\n", "line 4: unknown setting \"prot\""},
		"a table":         {TOMLFile, "qie_keep_jobs = 5\n[port]\na = 1\n", "line 2: port has a value of a kind"},
		"a bad value":     {TOMLFile, "qie_keep_jobs = 5\nport = \"eighty\"\n", "line 2) is not understood: a number"},
		"a negative":      {TOMLFile, "qie_keep_gb = -1\n", "line 1) is not understood: gigabytes"},
		"no KEY=VALUE":    {DotenvFile, "QIE_KEEP_JOBS=5\nwhat is this\n", "line 2: \"what is this\" is not KEY=VALUE"},
		"a bad dot value": {DotenvFile, "\n\nQIE_KEEP_JOBS=many\n", "line 3) is not understood: how many"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]string{DotenvFile: "QIE_KEEP_JOBS=9\n"})
			good, err := os.ReadFile(filepath.Join(r.home, DotenvFile))
			if err != nil {
				t.Fatal(err)
			}
			r.write(c.file, c.text)
			change := r.live.Reload()
			if !strings.Contains(change.Problem, filepath.Join(r.home, c.file)) || !strings.Contains(change.Problem, c.want) {
				t.Errorf("problem %q, want %q", change.Problem, c.want)
			}
			if r.live.Config().KeepJobs != 9 || r.live.View().Problem != change.Problem {
				t.Errorf("in force: %d, view %q", r.live.Config().KeepJobs, r.live.View().Problem)
			}
			r.write(c.file, string(good))
			_ = os.Remove(filepath.Join(r.home, TOMLFile))
			if change := r.live.Reload(); change.String() != "" || r.live.View().Problem != "" {
				t.Errorf("mended: %+v", change)
			}
		})
	}
}

// What the original program's file holds and qie has no use for is shown with the reason, and secrets are not shown.
func TestOriginalSettingsAreShown(t *testing.T) {
	r := newRig(t, map[string]string{DotenvFile: "\ufeffTRANSFORMERS_CACHE=/x\r\nREPLICATE_API_TOKEN=r8_secret\r\nPORT=1\r\nPORT=2\r\n"})
	if s := r.setting("REPLICATE_API_TOKEN"); s.Value != "(set)" || !strings.Contains(s.Note, "nothing leaves") || s.Line != 2 {
		t.Errorf("got %+v", s)
	}
	if s := r.setting("TRANSFORMERS_CACHE"); s.Value != "/x" || s.Note == "" {
		t.Errorf("got %+v", s)
	}
	if s := r.setting("PORT"); s.Value != "2" || s.Line != 4 {
		t.Errorf("the last of two lines counts: %+v", s)
	}
	r.write(TOMLFile, "qie_idle_unload = 0.5\nqie_memory_override = true\nqie_origins = [\"http://a\", \"http://b\"]\n")
	c, err := Load(r.src)
	if err != nil || !c.MemoryOverride || len(c.Origins) != 2 || c.IdleUnload.Seconds() != 30 {
		t.Errorf("TOML's own kinds: %+v %v", c, err)
	}
}

func show(v any) string { return fmt.Sprintf("%+v", v) }
