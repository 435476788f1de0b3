package python

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"qie/supervisor/job"
	"qie/supervisor/wire"
)

// Answer is what a worker said when it was started for a look.
type Answer struct {
	Hello   wire.Hello
	Ready   wire.Ready
	Seconds float64 // from the start to ready
}

// Handshake starts the worker of the environment at dir, takes its hello and ready, and ends it. It is how an
// environment is tried before it replaces another. The imports take seconds; ctx bounds them.
func Handshake(ctx context.Context, dir, device string) (Answer, error) {
	const nonce, generation = "handshake", 1
	start := time.Now()
	own := Command(dir, generation, nonce)
	cmd := exec.CommandContext(ctx, own.Path, own.Args[1:]...)
	cmd.Env, cmd.WaitDelay = own.Env, 5*time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	var out io.ReadCloser
	if err == nil {
		out, err = cmd.StdoutPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return Answer{}, broken("the worker cannot be started: "+err.Error(), err)
	}
	a, err := converse(in, out, nonce, device)
	_ = in.Close() // end-of-file is the worker's sign to go
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // what counts was said above
	if ctx.Err() != nil {
		return a, context.Cause(ctx)
	}
	if err != nil && job.AsError(err).Code == job.CodeInternal {
		err = broken(fmt.Sprintf("the worker ends before it is ready: %s", lastLine(stderr.String(), err)), err)
	}
	a.Seconds = time.Since(start).Seconds()
	return a, err
}

func converse(in io.Writer, out io.Reader, nonce, device string) (a Answer, err error) {
	lines := wire.NewReader(out, wire.EventLineMax, wire.Events)
	for {
		next, err := lines.Next()
		if err != nil {
			return a, err
		}
		if next.Frame == nil { // something that was printed
			continue
		}
		switch msg := next.Frame.Msg.(type) {
		case *wire.Hello:
			if msg.Nonce != nonce || msg.Protocol != wire.Version {
				return a, job.Errorf(job.CodeEnvBroken, "the worker speaks protocol %d, this program %d", msg.Protocol, wire.Version)
			}
			a.Hello = *msg
			line, err := wire.Encode(wire.Envelope{Seq: 1, Gen: 1}, wire.Configure{Device: device})
			if err == nil {
				_, err = in.Write(line)
			}
			if err != nil {
				return a, err
			}
		case *wire.Ready:
			a.Ready = *msg
			return a, nil
		case *wire.Fatal:
			return a, job.Errorf(job.CodeEnvBroken, "%s", msg.Message)
		}
	}
}

func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}

// Numeric is what the device's own computation is worth.
type Numeric struct {
	Device string        `json:"device"`
	Checks []NumericStep `json:"checks"`
}

// NumericStep is one operation, compared with the CPU in float32.
type NumericStep struct {
	Name  string  `json:"name"`
	Error float64 `json:"error"` // largest difference, relative to the largest value
	Limit float64 `json:"limit"`
}

// Compute lets the device of the environment at dir do the operations that an edit is made of, small ones, and compares
// them with the CPU's.
func Compute(ctx context.Context, dir, device string) (Numeric, error) {
	cmd := exec.CommandContext(ctx, interpreterOf(dir), "-I", "-m", "pyruntime.numeric", device)
	cmd.Env = Command(dir, 0, "").Env
	out, err := cmd.Output()
	var n Numeric
	if err != nil {
		var exit *exec.ExitError
		text := err.Error()
		if errors.As(err, &exit) {
			text = lastLine(string(exit.Stderr), err)
		}
		return n, broken("the device's self-test does not run: "+text, err)
	}
	if err := json.Unmarshal(out, &n); err != nil || len(n.Checks) == 0 {
		return n, broken("the device's self-test gives no answer", err)
	}
	return n, nil
}

// Worst is the operation that is nearest to its limit, or beyond it.
func (n Numeric) Worst() NumericStep {
	worst := n.Checks[0]
	for _, c := range n.Checks {
		if !(c.Error/c.Limit <= worst.Error/worst.Limit) { // NaN is the worst
			worst = c
		}
	}
	return worst
}
