package doctor

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"qie/supervisor/model"
	"qie/supervisor/python"
)

// tested is written when set-up's self-test passed, so that it runs once for each environment, worker and model.
type tested struct {
	Lock   string    `json:"lock"`
	Source string    `json:"source"`
	Demo   string    `json:"demo"`
	At     time.Time `json:"at"`
}

func stampOf(home string) string { return filepath.Join(home, "run", "self-test.json") }

func wanted(home string, env python.Env, demo fs.FS) (tested, error) {
	dir, err := model.Unpacked(demo, home)
	if err != nil {
		return tested{}, err
	}
	source, err := env.SourceHash()
	return tested{Lock: env.LockHash(), Source: source, Demo: filepath.Base(dir)}, err
}

// Passed tells when the self-test passed for this environment, worker and demo; zero: never.
func Passed(home string, env python.Env, demo fs.FS) time.Time {
	now, err := wanted(home, env, demo)
	if err != nil {
		return time.Time{}
	}
	var last tested
	data, err := os.ReadFile(stampOf(home))
	if err != nil || json.Unmarshal(data, &last) != nil {
		return time.Time{}
	}
	at := last.At
	if last.At = now.At; last != now {
		return time.Time{}
	}
	return at
}

// SetPassed notes that it did.
func SetPassed(home string, env python.Env, demo fs.FS, at time.Time) error {
	now, err := wanted(home, env, demo)
	if err != nil {
		return err
	}
	now.At = at.UTC()
	data, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(stampOf(home)), 0o700); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	part := stampOf(home) + ".part"
	if err := os.WriteFile(part, data, 0o600); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return os.Rename(part, stampOf(home))
}
