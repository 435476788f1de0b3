package doctor

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"qie/supervisor/wire"
)

// scrubber takes out of a text what could tell of a person: words that are known to be private, and what looks like a
// path, an address with a password or a token.
type scrubber struct {
	known map[string]bool // as they may stand in a text, also escaped
	words map[string]bool // names: only where they stand alone
}

func newScrubber() scrubber {
	return scrubber{known: map[string]bool{}, words: map[string]bool{}}
}

const (
	removed = "[removed]"
	// knownMin is the shortest text that is looked for: "a" is everywhere.
	knownMin = 3
)

func (s scrubber) add(texts ...string) {
	for _, t := range texts {
		if t = strings.TrimSpace(t); len(t) < knownMin || t == "/" {
			continue
		}
		s.known[t] = true
		s.known[wire.Escape([]byte(t))] = true
		if quoted, err := json.Marshal(t); err == nil {
			s.known[string(quoted[1:len(quoted)-1])] = true
		}
		if line, err := wire.Encode(wire.Envelope{}, wire.Log{Text: t}); err == nil { // all ASCII, as on the wire
			if _, text, ok := strings.Cut(string(line), `"text":"`); ok {
				s.known[strings.TrimSuffix(text, "\"}\n")] = true
			}
		}
	}
}

func (s scrubber) word(texts ...string) {
	for _, t := range texts {
		if t = strings.TrimSpace(t); len(t) >= knownMin && t != "localhost" && t != "/" && t != "." {
			s.words[t] = true
		}
	}
}

var (
	credentials = regexp.MustCompile(`://[^/\s"@]*@`)
	bearer      = regexp.MustCompile(`(?i)(bearer |token["']?\s*[:=]\s*["']?|[?&]token=|password["']?\s*[:=]\s*["']?|authorization:\s*)[^\s"'&,}]+`)
	hubToken    = regexp.MustCompile(`\bhf_[A-Za-z0-9]{8,}`)
	aPath       = regexp.MustCompile(`(?:~|\b[A-Za-z]:)?(?:/[^\s/"'<>|:,;()\\]+){2,}/?`)
	pictureFile = regexp.MustCompile(`(?i)[^\s/"'<>|:,;()=]+\.(jpe?g|png|webp|bmp|heic|tiff?|gif)\b`)
	aFile       = regexp.MustCompile(`^[A-Za-z0-9_.+-]+\.(py|pyx|so|dylib|go|cpp|cc|c|h|mm|m|metal|safetensors|whl|lock|sh)[0-9.]*$`)
)

func (s scrubber) clean(text string) string {
	// The longest first, so that nothing of a path is left behind its own beginning.
	for _, k := range longestFirst(s.known) {
		text = strings.ReplaceAll(text, k, removed)
	}
	for _, w := range longestFirst(s.words) {
		text = wordOf(w).ReplaceAllString(text, "${1}"+removed+"${2}")
	}
	text = credentials.ReplaceAllString(text, "://"+removed+"@")
	text = bearer.ReplaceAllString(text, "${1}"+removed)
	text = hubToken.ReplaceAllString(text, removed)
	text = aPath.ReplaceAllStringFunc(text, func(path string) string {
		if strings.HasPrefix(path, "/api/") {
			return path
		}
		if name := path[strings.LastIndexByte(path, '/')+1:]; aFile.MatchString(name) {
			return name
		}
		return "[path]"
	})
	return pictureFile.ReplaceAllString(text, "[picture]")
}

func longestFirst(set map[string]bool) []string {
	var all []string
	for t := range set {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return all
}

func wordOf(w string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[^\pL\pN_])` + regexp.QuoteMeta(w) + `($|[^\pL\pN_])`)
}

// finds tells whether something known is still there.
func (s scrubber) finds(data []byte) bool {
	text := string(data)
	for k := range s.known {
		if strings.Contains(text, k) {
			return true
		}
	}
	for w := range s.words {
		if wordOf(w).MatchString(text) {
			return true
		}
	}
	return false
}

// keys are what a line of qie's own log may keep. Others are unknown here, and what is unknown stays out.
var keys = []string{"time", "level", "msg", "job", "attempt", "generation", "phase", "err", "pid", "name", "part", "count", "bytes", "start",
	"code", "state", "status", "method", "signal", "exit", "seconds", "event", "took"}

// log cleans line by line: of qie's JSON lines only known keys stay.
func (s scrubber) log(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		var fields map[string]any
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] != nil {
			for k := range fields {
				if !slices.Contains(keys, k) {
					delete(fields, k)
				}
			}
			if kept, err := json.Marshal(fields); err == nil {
				line = string(kept) + "\n"
			}
		}
		b.WriteString(s.clean(line))
	}
	return b.String()
}
