package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	st "qie/supervisor/supervisortest"
)

// The test binary poses as qie, and so is its own worker guard.
func TestMain(m *testing.M) {
	st.Main() // a link to this binary leads to it by its own name: that one has to know every role, or it would run the tests
	if len(os.Args) > 1 && filepath.Base(os.Args[0]) != "qie" && !strings.HasPrefix(os.Args[1], "-test.") {
		fmt.Fprintln(os.Stderr, "this test binary was started as something that it is not:", os.Args)
		os.Exit(1)
	}
	testscript.Main(m, map[string]func(){"qie": main})
}

// TestScripts plays sessions at the command line. Those that edit start the real worker.
func TestScripts(t *testing.T) {
	python := os.Getenv("QIE_PYTHON_ENV")
	if python == "" {
		t.Fatal("QIE_PYTHON_ENV names no Python environment; ./setup.sh --test makes one and sets it")
	}
	photos, err := filepath.Abs("../../pyruntime/demo/testdata/photos")
	if err != nil {
		t.Fatal(err)
	}
	hub := fakeHub(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("QIE_PYTHON_ENV", python)
			env.Setenv("QIE_HOME", filepath.Join(env.WorkDir, "data"))
			env.Setenv("PHOTOS", photos)
			env.Setenv("HF_ENDPOINT", hub.URL)
			for _, name := range []string{"HF_HOME", "HF_HUB_CACHE", "HF_TOKEN"} {
				env.Setenv(name, "")
			}
			env.Setenv("HOME", env.WorkDir)
			// For sessions that are not about pictures: a worker that starts at once.
			fake := filepath.Join(env.WorkDir, "fake")
			env.Setenv("FAKE_PYTHON", fake)
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			return st.PythonEnv(fake, exe, "", env.WorkDir)
		},
	})
}
