package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// File names that are read, in the data folder both, in the checkout the first.
const (
	DotenvFile = ".env"
	TOMLFile   = "config.toml"
)

// byteOrderMark begins what some editors write.
const byteOrderMark = "\ufeff"

func (l *loader) dotenv(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var lines []Origin
	scan := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; scan.Scan(); n++ {
		text := strings.TrimPrefix(scan.Text(), byteOrderMark)
		line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "export "))
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%s line %d: %q is not KEY=VALUE", path, n, line)
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		} else if before, _, cut := strings.Cut(value, " #"); cut {
			value = strings.TrimSpace(before)
		}
		if value != "" {
			lines = append(lines, Origin{Key: key, Value: value, From: path, Line: n})
		}
	}
	// Of two lines with one key the last one counts, as in every other reader of such files.
	for _, o := range slices.Backward(lines) {
		l.set(o)
	}
	return scan.Err()
}

// toml reads config.toml, whose keys are the environment's names in either case. An unknown key is an error: it is
// qie's own file, so a key that it does not know is a mistake.
func (l *loader) toml(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	var values map[string]any
	if err := toml.Unmarshal(data, &values); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			row, _ := bad.Position()
			return fmt.Errorf("%s line %d: %s", path, row, strings.TrimPrefix(bad.Error(), "toml: "))
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	for name, value := range values {
		key, line := strings.ToUpper(name), lineOf(data, name)
		_, ok := defaults[key]
		if _, alias := aliases[key]; !ok && !alias && noEffect[key] == "" && !slices.Contains(known, key) {
			return fmt.Errorf("%s line %d: unknown setting %q", path, line, name)
		}
		text, ok := plain(value)
		if !ok {
			return fmt.Errorf("%s line %d: %s has a value of a kind that is not understood", path, line, name)
		}
		l.set(Origin{Key: key, Value: text, From: path, Line: line})
	}
	return nil
}

// plain writes a TOML value as the environment would hold it: a list is joined by commas.
func plain(value any) (string, bool) {
	switch v := value.(type) {
	case string, int64, float64, bool:
		return fmt.Sprint(v), true
	case []any:
		var parts []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return "", false
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// lineOf finds where a key of the top level, or the head of its table, stands; 0 when it is not found.
func lineOf(data []byte, name string) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		key, _, _ := strings.Cut(strings.TrimLeft(string(line), " \t["), "=")
		if strings.Trim(strings.TrimSpace(key), `"']`) == name {
			return n
		}
	}
	return 0
}
