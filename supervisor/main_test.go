package supervisor_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"qie/supervisor/supervisortest"
)

func TestMain(m *testing.M) {
	supervisortest.Main()
	if os.Getenv(failpointChild) != "" {
		failpointMain()
	}
	goleak.VerifyTestMain(m)
}
