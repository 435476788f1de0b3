package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"qie/supervisor/failpoint"
)

// childRole makes this test binary a process that a test limits or kills.
const childRole = "QIE_STORE_CHILD"

var children = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		args := strings.Split(role, "\n")
		children[args[0]](args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killAt ends this process at the nth time that it is at the point, as a power switch would.
func killAt(point string, nth int) {
	failpoint.Arm(func(at string) {
		if at != point {
			return
		}
		if nth--; nth == 0 {
			fmt.Println("at the point")
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
}
