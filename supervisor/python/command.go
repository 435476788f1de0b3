package python

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// drop names what would change the worker's behaviour from outside.
var drop = []string{"PYTHON", "PYTORCH_MPS_PREFER_METAL", "PYTORCH_ENABLE_MPS_FALLBACK", "VIRTUAL_ENV", "HF_TOKEN",
	"HUGGING_FACE_HUB_TOKEN", "QIE_TOKEN", "QIE_NONCE", "QIE_GENERATION"}

// fixed keeps the worker offline and quiet.
var fixed = []string{
	"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1", "DO_NOT_TRACK=1",
	"HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_IMPLICIT_TOKEN=1", "DIFFUSERS_DISABLE_REMOTE_CODE=true",
	"DIFFUSERS_ATTN_BACKEND=native", "TRANSFORMERS_VERBOSITY=error", "DIFFUSERS_VERBOSITY=error",
	"TOKENIZERS_PARALLELISM=false", "PYTHONUNBUFFERED=1", "PYTHONFAULTHANDLER=1", "PYTHONNOUSERSITE=1",
	"PYTHONSAFEPATH=1",
}

// Command starts the worker of one generation in the environment at dir.
func Command(dir string, gen int64, nonce string) *exec.Cmd {
	cmd := exec.Command(interpreterOf(dir), "-I", "-u", "-X", "faulthandler", "-m", "pyruntime")
	cmd.Env = Environment(os.Environ(), gen, nonce)
	return cmd
}

// Environment of the worker, made from the supervisor's.
func Environment(base []string, gen int64, nonce string) []string {
	env := append(withoutPython(base), fixed...)
	return append(env, "QIE_NONCE="+nonce, "QIE_GENERATION="+strconv.FormatInt(gen, 10))
}

func withoutPython(base []string) []string {
	fixedNames := map[string]bool{}
	for _, pair := range fixed {
		name, _, _ := strings.Cut(pair, "=")
		fixedNames[name] = true
	}
	var env []string
	for _, pair := range base {
		name, _, _ := strings.Cut(pair, "=")
		dropped := fixedNames[name] || strings.HasPrefix(name, "PYTHON")
		for _, d := range drop {
			dropped = dropped || name == d
		}
		if !dropped {
			env = append(env, pair)
		}
	}
	return env
}
