// Package config owns the settings: where each value comes from (flag, environment, .env, config.toml, default) and
// what it means. It starts nothing and writes nothing.
package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"qie/supervisor/job"
)

// Origin tells where a value came from.
type Origin struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"` // flag, environment, path of a file, or default
}

// Config is every setting, understood.
type Config struct {
	Home, HFHome, JobsDir     string
	Host                      string
	Port                      int
	Token                     string
	Origins                   []string
	Model, Device             string
	HFEndpoint, HFToken       string
	HubCache                  string // where the hub's files lie: HF_HUB_CACHE, else hub below HFHome
	InputFolder, OutputFolder string
	// IdleUnload is how long weights stay in memory without a job; below 0 is for ever.
	IdleUnload time.Duration
	// MemoryOverride loads a model also when it needs nearly all memory.
	MemoryOverride bool

	// Notices explain what was understood in another way than written.
	Notices []job.Notice
	// Values lists each setting with its origin; secrets are masked.
	Values []Origin
}

// Sources is where Load looks, all of it passed in so that tests need no process environment.
type Sources struct {
	Flags    map[string]string
	Env      []string // os.Environ
	Checkout string   // folder with a .env; empty: none
	HomeDir  string   // what ~ means
}

var defaults = map[string]string{
	"QIE_HOME": "~/qwen-image-editor", "HF_HOME": "$QIE_HOME/huggingface_cache", "JOBS_DIR": "$QIE_HOME/jobs",
	"HOST": "127.0.0.1", "PORT": "8000", "QIE_TOKEN": "", "QIE_ORIGINS": "", "QIE_MODEL": "", "QIE_DEVICE": "auto",
	"HF_HUB_CACHE": "", "HF_ENDPOINT": "", "HF_TOKEN": "", "INPUT_FOLDER": "", "OUTPUT_FOLDER": "",
	"QIE_IDLE_UNLOAD": "10", "QIE_MEMORY_OVERRIDE": "0",
}

// aliases are the original program's names; known are its settings that qie has no use for.
var (
	aliases = map[string]string{"ALLOWED_ORIGINS": "QIE_ORIGINS"}
	known   = []string{"TRANSFORMERS_CACHE", "HF_DATASETS_CACHE", "PYTORCH_CUDA_ALLOC_CONF", "REPLICATE_API_TOKEN",
		"VITE_API_URL", "QIE_PYTHON_ENV"}
	secret = []string{"QIE_TOKEN", "HF_TOKEN"}
)

// Load decides every setting. An error names the key, the value and where it stands.
func Load(src Sources) (Config, error) {
	l := loader{src: src, found: map[string]Origin{}}
	for key, value := range src.Flags {
		l.set(key, value, "flag")
	}
	for _, pair := range src.Env {
		if key, value, ok := strings.Cut(pair, "="); ok && value != "" {
			l.set(key, value, "environment")
		}
	}
	if src.Checkout != "" {
		if err := l.dotenv(filepath.Join(src.Checkout, ".env")); err != nil {
			return Config{}, err
		}
	}
	home, err := l.path("QIE_HOME", "")
	if err != nil {
		return Config{}, err
	}
	if err := l.dotenv(filepath.Join(home, ".env")); err != nil {
		return Config{}, err
	}
	if err := l.toml(filepath.Join(home, "config.toml")); err != nil {
		return Config{}, err
	}
	return l.understand(home)
}

type loader struct {
	src   Sources
	found map[string]Origin
}

// set keeps the first value of a key: sources come in the order of precedence.
func (l *loader) set(key, value, from string) {
	if to, ok := aliases[key]; ok {
		key = to
	}
	if _, ok := defaults[key]; !ok {
		return
	}
	if _, ok := l.found[key]; !ok {
		l.found[key] = Origin{Key: key, Value: value, From: from}
	}
}

func (l *loader) get(key string) Origin {
	if o, ok := l.found[key]; ok {
		return o
	}
	return Origin{Key: key, Value: defaults[key], From: "default"}
}

func (l *loader) dotenv(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	scan := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(scan.Text()), "export "))
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
			l.set(key, value, path)
		}
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
	var values map[string]any
	if err := toml.Unmarshal(data, &values); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for name, value := range values {
		key := strings.ToUpper(name)
		_, ok := defaults[key]
		if _, alias := aliases[key]; !ok && !alias && !slices.Contains(known, key) {
			return fmt.Errorf("%s: unknown setting %q", path, name)
		}
		switch v := value.(type) {
		case string, int64:
			l.set(key, fmt.Sprint(v), path)
		default:
			return fmt.Errorf("%s: %s has a value of a kind that is not understood", path, name)
		}
	}
	return nil
}

// path expands ~ and $QIE_HOME and makes the path absolute.
func (l *loader) path(key, home string) (string, error) {
	o := l.get(key)
	p := strings.Replace(o.Value, "$QIE_HOME", home, 1)
	if p == "" {
		return "", nil
	}
	if p == "~" || strings.HasPrefix(p, "~/") {
		p = filepath.Join(l.src.HomeDir, p[1:])
	}
	if strings.HasPrefix(p, "~") {
		return "", fmt.Errorf("%s=%q (%s): only ~/ is understood, not another user's folder", key, o.Value, o.From)
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", fmt.Errorf("%s=%q (%s): %w", key, o.Value, o.From, err)
	}
	return abs, nil
}

func (l *loader) understand(home string) (Config, error) {
	c := Config{Home: home}
	for key, into := range map[string]*string{"HF_HOME": &c.HFHome, "HF_HUB_CACHE": &c.HubCache, "JOBS_DIR": &c.JobsDir,
		"INPUT_FOLDER": &c.InputFolder, "OUTPUT_FOLDER": &c.OutputFolder} {
		p, err := l.path(key, home)
		if err != nil {
			return Config{}, err
		}
		*into = p
	}
	if c.HubCache == "" {
		c.HubCache = filepath.Join(c.HFHome, "hub")
	}
	bad := func(key, want string) error {
		o := l.get(key)
		return fmt.Errorf("%s=%q (%s) is not understood: %s", key, o.Value, o.From, want)
	}
	var err error
	if c.Port, err = strconv.Atoi(l.get("PORT").Value); err != nil || c.Port < 0 || c.Port > 65535 {
		return Config{}, bad("PORT", "a number from 0 (any free one) to 65535")
	}
	c.Device = l.get("QIE_DEVICE").Value
	if !slices.Contains([]string{"auto", "mps", "cuda", "cpu"}, c.Device) {
		return Config{}, bad("QIE_DEVICE", "auto, mps, cuda or cpu")
	}
	minutes, err := strconv.ParseFloat(l.get("QIE_IDLE_UNLOAD").Value, 64)
	if err != nil || !(minutes >= 0 && minutes <= 1e6) {
		return Config{}, bad("QIE_IDLE_UNLOAD", "minutes without a job before the model leaves memory; 0 is never")
	}
	if c.IdleUnload = time.Duration(minutes * float64(time.Minute)); c.IdleUnload == 0 {
		c.IdleUnload = -1
	}
	if c.MemoryOverride, err = strconv.ParseBool(l.get("QIE_MEMORY_OVERRIDE").Value); err != nil {
		return Config{}, bad("QIE_MEMORY_OVERRIDE", "1 or 0")
	}
	c.Token, c.Model = l.get("QIE_TOKEN").Value, l.get("QIE_MODEL").Value
	c.HFEndpoint, c.HFToken = l.get("HF_ENDPOINT").Value, l.get("HF_TOKEN").Value
	if c.Token != "" && len(c.Token) < 16 {
		return Config{}, fmt.Errorf("QIE_TOKEN (%s) has %d characters, it needs at least 16", l.get("QIE_TOKEN").From, len(c.Token))
	}
	for o := range strings.SplitSeq(l.get("QIE_ORIGINS").Value, ",") {
		if o = strings.TrimSuffix(strings.TrimSpace(o), "/"); o == "" {
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" {
			return Config{}, bad("QIE_ORIGINS", "exact origins such as http://localhost:3000, separated by commas")
		}
		c.Origins = append(c.Origins, o)
	}
	c.Host = l.get("HOST").Value
	if ip := net.ParseIP(c.Host); ip == nil && c.Host != "localhost" {
		return Config{}, bad("HOST", "an IP address or localhost")
	} else if c.Host != "localhost" && !ip.IsLoopback() && c.Token == "" {
		c.Notices = append(c.Notices, job.Notice{Code: "loopback_only", Message: fmt.Sprintf("HOST=%s would let everybody "+
			"on the network in. qie serves this machine only (127.0.0.1) until you set a token, for example QIE_TOKEN=%s",
			c.Host, strings.ReplaceAll(string(job.NewID()), "-", ""))})
		c.Host = "127.0.0.1"
	}
	for key := range defaults {
		o := l.get(key)
		if slices.Contains(secret, key) && o.Value != "" {
			o.Value = "(set)"
		}
		c.Values = append(c.Values, o)
	}
	slices.SortFunc(c.Values, func(a, b Origin) int { return strings.Compare(a.Key, b.Key) })
	return c, nil
}
