package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A failed test is shown with what it said, a skipped one is named with its reason, and one that passed is silent.
func TestVerdicts_OfARealRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "m_test.go": `package m

import "testing"

func TestGood(t *testing.T) { t.Log("nobody reads this") }
func TestBad(t *testing.T)  { t.Error("two is not three") }
func TestNot(t *testing.T)  { t.Skip("no loop devices here") }
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", ".")
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("a failed test counts as passed")
	}
	text, skipped := verdicts(output)
	all := strings.Join(text, "\n")
	if !strings.Contains(all, "two is not three") || !strings.Contains(all, "FAIL") || strings.Contains(all, "nobody reads this") {
		t.Errorf("it shows:\n%s", all)
	}
	if len(skipped) != 1 || !strings.HasPrefix(skipped[0], "m TestNot: ") || !strings.HasSuffix(skipped[0], "no loop devices here") {
		t.Errorf("skipped are %q", skipped)
	}
}
