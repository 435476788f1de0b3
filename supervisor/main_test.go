package supervisor_test

import (
	"testing"

	"go.uber.org/goleak"

	"qie/supervisor/supervisortest"
)

// roles are what this binary may be started as besides; each runs, and never returns, when its environment asks for it.
var roles []func()

func TestMain(m *testing.M) {
	supervisortest.Main()
	for _, asked := range roles {
		asked()
	}
	goleak.VerifyTestMain(m)
}
