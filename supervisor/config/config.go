// Package config owns the settings: where each value comes from (flag, environment, .env, config.toml, default) and
// what it means. It starts nothing and writes nothing.
package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"qie/supervisor/job"
)

// Origin tells where a value came from.
type Origin struct {
	Key   string `json:"key"`
	Value string `json:"value" doc:"secrets read (set)"`
	From  string `json:"from" doc:"flag, environment, path of a file, or default"`
	Line  int    `json:"line,omitempty" doc:"in that file, from 1"`
	Note  string `json:"note,omitempty" doc:"for a setting of other programs: why it changes nothing here"`
}

// Place is where the value stands, for a person: a file with its line.
func (o Origin) Place() string {
	if o.Line == 0 {
		return o.From
	}
	return fmt.Sprintf("%s line %d", o.From, o.Line)
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
	// KeepJobs and KeepBytes are how much of ended jobs is kept; 0 is all.
	KeepJobs  int
	KeepBytes int64

	// Notices explain what was understood in another way than written.
	Notices []job.Notice
	// Values lists each setting with its origin; secrets are masked.
	Values []Origin

	secrets []Origin // as written, to see that one changed
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
	"QIE_IDLE_UNLOAD": "10", "QIE_MEMORY_OVERRIDE": "0", "QIE_KEEP_JOBS": "10000", "QIE_KEEP_GB": "20",
}

// aliases are the original program's names; noEffect are its settings that change nothing here, each with the reason,
// and known are those that other parts of qie read by themselves.
var (
	aliases  = map[string]string{"ALLOWED_ORIGINS": "QIE_ORIGINS"}
	noEffect = map[string]string{
		"TRANSFORMERS_CACHE":  "no effect: models lie in HF_HOME",
		"HF_DATASETS_CACHE":   "no effect: qie reads no data sets",
		"REPLICATE_API_TOKEN": "no effect: nothing leaves this machine",
		"RUNPOD_POD_ID":       "no effect: pages of other origins are named in QIE_ORIGINS",
	}
	known  = []string{"PYTORCH_CUDA_ALLOC_CONF", "VITE_API_URL", "QIE_PYTHON_ENV", "ENV"}
	secret = []string{"QIE_TOKEN", "HF_TOKEN", "REPLICATE_API_TOKEN"}
)

// Load decides every setting. An error names the key, the value and where it stands.
func Load(src Sources) (Config, error) {
	l := loader{src: src, found: map[string]Origin{}}
	for key, value := range src.Flags {
		l.set(Origin{Key: key, Value: value, From: "flag"})
	}
	for _, pair := range src.Env {
		if key, value, ok := strings.Cut(pair, "="); ok && value != "" {
			l.set(Origin{Key: key, Value: value, From: "environment"})
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
func (l *loader) set(o Origin) {
	if to, ok := aliases[o.Key]; ok {
		o.Key = to
	}
	if _, ok := defaults[o.Key]; !ok && noEffect[o.Key] == "" {
		return
	}
	if _, ok := l.found[o.Key]; !ok {
		l.found[o.Key] = o
	}
}

func (l *loader) get(key string) Origin {
	if o, ok := l.found[key]; ok {
		return o
	}
	return Origin{Key: key, Value: defaults[key], From: "default"}
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
		return "", fmt.Errorf("%s=%q (%s): only ~/ is understood, not another user's folder", key, o.Value, o.Place())
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", fmt.Errorf("%s=%q (%s): %w", key, o.Value, o.Place(), err)
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
		return fmt.Errorf("%s=%q (%s) is not understood: %s", key, o.Value, o.Place(), want)
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
	if c.KeepJobs, err = strconv.Atoi(l.get("QIE_KEEP_JOBS").Value); err != nil || c.KeepJobs < 0 {
		return Config{}, bad("QIE_KEEP_JOBS", "how many ended jobs are kept; 0 is all")
	}
	gigabytes, err := strconv.ParseFloat(l.get("QIE_KEEP_GB").Value, 64)
	if err != nil || !(gigabytes >= 0 && gigabytes <= 1e9) {
		return Config{}, bad("QIE_KEEP_GB", "gigabytes that ended jobs may take; 0 is no limit")
	}
	c.KeepBytes = int64(gigabytes * 1e9)
	c.Token, c.Model = l.get("QIE_TOKEN").Value, l.get("QIE_MODEL").Value
	c.HFEndpoint, c.HFToken = l.get("HF_ENDPOINT").Value, l.get("HF_TOKEN").Value
	if c.Token != "" && len(c.Token) < 16 {
		return Config{}, fmt.Errorf("QIE_TOKEN (%s) has %d characters, it needs at least 16", l.get("QIE_TOKEN").Place(), len(c.Token))
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
		c.Values = append(c.Values, l.get(key))
	}
	for key, why := range noEffect {
		if o, ok := l.found[key]; ok {
			o.Note = why
			c.Values = append(c.Values, o)
		}
	}
	for i, o := range c.Values {
		if slices.Contains(secret, o.Key) && o.Value != "" {
			c.secrets = append(c.secrets, o)
			c.Values[i].Value = "(set)"
		}
	}
	slices.SortFunc(c.Values, func(a, b Origin) int { return strings.Compare(a.Key, b.Key) })
	return c, nil
}
