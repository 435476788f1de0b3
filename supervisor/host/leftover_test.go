package host

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestWithEnv_FindsByValueAndEnds(t *testing.T) {
	if runtime.GOOS != "linux" {
		if got := WithEnv("HOME", map[string]bool{os.Getenv("HOME"): true}); len(got) > 0 {
			t.Logf("this system shows environments after all: %d", len(got))
		}
		return
	}
	start := func(value string) *exec.Cmd {
		cmd := exec.Command("sleep", "60")
		cmd.Env = []string{"QIE_TEST_MARK=" + value}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	ours, other := start("a"), start("ab")
	find := func() []Named { return WithEnv("QIE_TEST_MARK", map[string]bool{"a": true}) }
	got := find()
	if len(got) != 1 || got[0].PID != ours.Process.Pid || got[0].Name != "sleep" || got[0].Env != "a" {
		t.Fatalf("found %+v, want process %d", got, ours.Process.Pid)
	}
	if !End(ours.Process.Pid, 10*time.Second, func() bool { return len(find()) > 0 }) {
		t.Error("it does not end")
	}
	_ = ours.Wait()
	if got := WithEnv("QIE_TEST_MARK", map[string]bool{"ab": true}); len(got) != 1 {
		t.Errorf("the stranger: %+v", got)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	if got := WithEnv("QIE_TEST_MARK", nil); got != nil {
		t.Errorf("nothing was asked for, found %+v", got)
	}
}
