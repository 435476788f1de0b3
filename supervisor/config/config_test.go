package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPrecedence(t *testing.T) {
	home, checkout := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(checkout, ".env"), "PORT=3003\nHOST=0.0.0.0\nINPUT_FOLDER=~/input # photos\nALLOWED_ORIGINS=http://localhost:3000\nTRANSFORMERS_CACHE=x\n")
	write(filepath.Join(home, "config.toml"), "port = 4004\nqie_device = \"cpu\"\n")
	src := Sources{Env: []string{"QIE_HOME=" + home}, Checkout: checkout, HomeDir: "/home/me"}
	c, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 3003 || c.Device != "cpu" || c.InputFolder != "/home/me/input" || c.JobsDir != filepath.Join(home, "jobs") {
		t.Errorf("got %+v", c)
	}
	if len(c.Origins) != 1 || c.Origins[0] != "http://localhost:3000" {
		t.Errorf("origins %v", c.Origins)
	}
	if c.Host != "127.0.0.1" || len(c.Notices) != 1 || !strings.Contains(c.Notices[0].Message, "QIE_TOKEN=") {
		t.Errorf("0.0.0.0 without a token: %s %v", c.Host, c.Notices)
	}
	src.Env = append(src.Env, "PORT=2002", "QIE_TOKEN=0123456789abcdef")
	if c, _ = Load(src); c.Port != 2002 || c.Host != "0.0.0.0" || len(c.Notices) != 0 {
		t.Errorf("environment over .env: %+v", c)
	}
	src.Flags = map[string]string{"PORT": "1001"}
	if c, _ = Load(src); c.Port != 1001 {
		t.Errorf("flag over environment: %d", c.Port)
	}
	for _, o := range c.Values {
		if strings.Contains(o.Value, "0123456789abcdef") {
			t.Errorf("the token is shown: %v", o)
		}
		if o.Key == "PORT" && o.From != "flag" {
			t.Errorf("origin of PORT: %v", o)
		}
	}
}

func TestNotUnderstood(t *testing.T) {
	for _, pair := range []string{"PORT=eighty", "PORT=70000", "QIE_DEVICE=gpu", "QIE_IDLE_UNLOAD=soon",
		"QIE_IDLE_UNLOAD=-1", "QIE_IDLE_UNLOAD=NaN", "QIE_MEMORY_OVERRIDE=perhaps", "QIE_ORIGINS=*", "HOST=my host", "QIE_TOKEN=short",
		"JOBS_DIR=~other/jobs"} {
		_, err := Load(Sources{Env: []string{"QIE_HOME=" + t.TempDir(), pair}, HomeDir: t.TempDir()})
		key, _, _ := strings.Cut(pair, "=")
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v, want an error that names it", pair, err)
		}
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte("prot = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Sources{Env: []string{"QIE_HOME=" + home}}); err == nil || !strings.Contains(err.Error(), "prot") {
		t.Errorf("unknown key: %v", err)
	}
}

func TestIdleUnload(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 10 * time.Minute, "0": -1, "0.5": 30 * time.Second} {
		c, err := Load(Sources{Env: []string{"QIE_HOME=" + t.TempDir(), "QIE_IDLE_UNLOAD=" + text}})
		if err != nil || c.IdleUnload != want || c.MemoryOverride {
			t.Errorf("%q is %v, %v", text, c.IdleUnload, err)
		}
	}
}
