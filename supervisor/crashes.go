package supervisor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"qie/supervisor/job"
)

// Crash is one report of an abnormal end of the worker, as a list shows it.
type Crash struct {
	Name  string    `json:"name" doc:"of the report, for /api/v1/crashes/{name}"`
	Time  time.Time `json:"time"`
	Code  job.Code  `json:"code"`
	Cause string    `json:"cause"`
	Done  string    `json:"done" doc:"what qie did about it"`
}

var crashName = regexp.MustCompile(`^crash-[0-9T.]+-[0-9]+\.json$`)

func (s *Supervisor) crashDir() string {
	if s.cfg.Worker.CrashDir != "" {
		return s.cfg.Worker.CrashDir
	}
	return filepath.Join(s.cfg.Home, "logs")
}

// Crashes lists the reports, newest first. They hold no prompt, no file name and no path.
func (s *Supervisor) Crashes() ([]Crash, error) {
	crashes := []Crash{}
	entries, err := os.ReadDir(s.crashDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return crashes, job.Errorf(job.CodeInternal, "the crash reports cannot be read: %w", err)
	}
	for _, e := range slices.Backward(entries) {
		if !crashName.MatchString(e.Name()) {
			continue
		}
		c := Crash{Name: e.Name()}
		data, err := s.CrashReport(c.Name)
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if err != nil { // removed a moment ago, or cut off by a full disk: the others are there
			s.log.Warn("a crash report cannot be read", "name", e.Name(), "err", err)
			continue
		}
		crashes = append(crashes, c)
	}
	return crashes, nil
}

// CrashReport reads one report.
func (s *Supervisor) CrashReport(name string) (json.RawMessage, error) {
	gone := job.Errorf(job.CodeNotFound, "there is no crash report %q; the newest 20 are kept", name).WithHint("list them: qie crashes")
	if !crashName.MatchString(name) {
		return nil, gone
	}
	data, err := os.ReadFile(filepath.Join(s.crashDir(), name))
	if err != nil {
		return nil, gone
	}
	if !json.Valid(data) {
		return nil, job.Errorf(job.CodeInternal, "the crash report %s is damaged", name)
	}
	return data, nil
}
