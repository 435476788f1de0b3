package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"qie/supervisor/download"
	"qie/supervisor/download/downloadtest"
)

const (
	// pulledSize is the file that is fetched under kills.
	pulledSize = 1_000_000_000
	// refetchMax is what one kill may cost.
	refetchMax = 8 << 20
	pulledName = "lightning-edit-4"
	pulledFile = "Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors"
	pulledRepo = "lightx2v/Qwen-Image-Lightning"
)

// pulls kills the program at random instants of one download, from a network that breaks every few megabytes, and tells
// whether the file came out right and what the kills cost.
func (s *soaker) pulls(ctx context.Context, kills int) error {
	hub, err := downloadtest.New(map[string]map[string]*downloadtest.File{pulledRepo: {pulledFile: {Size: pulledSize}}})
	if err != nil {
		return err
	}
	defer hub.Close()
	hub.BreakEvery = 40 << 20
	cache := filepath.Join(s.dir, "cache")
	command := func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, s.binary, "pull", pulledName, "--yes", "--quiet")
		cmd.Env = append(os.Environ(), "QIE_HOME="+s.home(), "HOME="+s.dir, "HF_ENDPOINT="+hub.URL, "HF_HUB_CACHE="+cache, "HF_HOME=",
			"NO_PROXY=*", "QIE_MODEL=demo", "QIE_PYTHON_ENV="+filepath.Join(s.dir, "env"))
		cmd.Stderr = os.Stderr
		return cmd
	}
	rnd := rand.New(rand.NewPCG(s.seed, 2))
	began := time.Now()
	var last, worst int64
	for kill := range kills {
		cmd := command()
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// A random piece further, so that the kills are spread over the whole file and each falls into the fetching.
		goal := last + rnd.Int64N(2*pulledSize*95/100/int64(kills)+1)
		over := false
		for tick := time.NewTicker(time.Millisecond); !over; {
			select {
			case err := <-ended:
				tick.Stop()
				return fmt.Errorf("it ended before kill %d: %w", kill+1, err)
			case <-tick.C:
				if over = hub.Sent() > goal; over {
					tick.Stop()
				}
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		if err := <-ended; err == nil {
			return fmt.Errorf("it ended before kill %d", kill+1)
		}
		if left, _ := filepath.Glob(filepath.Join(cache, "models--*", "blobs", "*")); len(left) > 0 {
			return fmt.Errorf("behind kill %d a file is in blobs that is not whole: %v", kill+1, left)
		}
		journals, _ := filepath.Glob(filepath.Join(cache, "models--*", ".qie", "*.journal"))
		var have int64
		for _, j := range journals {
			if info, err := os.Stat(j); err == nil {
				have += download.Journaled(info.Size())
			}
		}
		worst = max(worst, hub.Sent()-last-(have-s.pulledHave))
		last, s.pulledHave = hub.Sent(), have
		if last > pulledSize*12/10+int64(kills)*refetchMax {
			return errors.New("it fetches without end")
		}
	}
	if err := command().Run(); err != nil {
		return fmt.Errorf("the last pull: %w", err)
	}
	// Its own word, and ours: a second program hashes what lies there.
	check := command()
	check.Args = append(check.Args[:1], "show", pulledName)
	out, err := check.Output()
	if err != nil {
		return fmt.Errorf("show: %w", err)
	}
	sent := hub.Sent()
	s.say("%d kills of a download of %d bytes in %s: %d bytes were sent, %d kB more than the file a kill; the worst kill cost %d kB", kills,
		pulledSize, time.Since(began).Round(time.Second), sent, (sent-pulledSize)/int64(max(kills, 1))/1000, worst/1000)
	sum, err := exec.CommandContext(ctx, "sh", "-c", `sha256sum "$1"/models--*/blobs/* | while read -r sum path; do [ "$sum" = "${path##*/}" ] || exit 1; done`, "sh", cache).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the sha256 of the file is another one than its name: %w %s\n%s", err, sum, out)
	}
	if worst > refetchMax {
		return fmt.Errorf("one kill cost %d bytes, the limit is %d", worst, refetchMax)
	}
	return nil
}
