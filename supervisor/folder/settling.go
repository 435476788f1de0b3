package folder

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// look is what a file was at a moment; regular is false for a link, a pipe, a folder, or nothing at all.
type look struct {
	regular  bool
	bytes    int64
	modified time.Time
}

func lookAt(root *os.Root, name string) look {
	stat, err := root.Lstat(name)
	if err != nil {
		return look{}
	}
	return look{stat.Mode().IsRegular(), stat.Size(), stat.ModTime()}
}

// settling holds the files that may still be written, with what they were and when to look again. It reads no clock.
type settling map[string]unsettled

type unsettled struct {
	last look
	due  time.Time
}

func (s settling) has(name string) bool { _, ok := s[name]; return ok }

// touch notes a change.
func (s settling) touch(name string, now look, due time.Time) { s[name] = unsettled{now, due} }

// next is when to look again.
func (s settling) next() (due time.Time, ok bool) {
	for _, u := range s {
		if !ok || u.due.Before(due) {
			due, ok = u.due, true
		}
	}
	return due, ok
}

// due gives the names to look at now.
func (s settling) due(now time.Time) []string {
	var names []string
	for name, u := range s {
		if !u.due.After(now) {
			names = append(names, name)
		}
	}
	return names
}

// settled tells whether the file is as it was at the last look. If not, it waits until again; what is no file, or has
// no bytes, is forgotten until the next event.
func (s settling) settled(name string, now look, again time.Time) bool {
	last := s[name].last
	delete(s, name)
	switch {
	case !now.regular || now.bytes == 0:
		return false
	case now.bytes != last.bytes || !now.modified.Equal(last.modified):
		s.touch(name, now, again)
		return false
	}
	return true
}

// unfinished are the endings under which browsers and copy programs write.
var unfinished = []string{".part", ".partial", ".crdownload", ".download", ".tmp", "~"}

// hidden tells whether a file of this name is never offered.
func hidden(name string) bool {
	if strings.HasPrefix(name, ".") || filepath.Base(name) != name {
		return true
	}
	for _, end := range unfinished {
		if strings.HasSuffix(strings.ToLower(name), end) {
			return true
		}
	}
	return false
}
