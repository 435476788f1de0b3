package supervisor_test

import (
	"testing"

	"go.uber.org/goleak"

	"qie/supervisor/supervisortest"
)

func TestMain(m *testing.M) {
	supervisortest.Main()
	goleak.VerifyTestMain(m)
}
