package supervisor_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"qie/supervisor"
	"qie/supervisor/failpoint"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

const failpointChild = "QIE_TEST_FAILPOINT" // home, point and count, between newlines

func init() {
	roles = append(roles, func() {
		if os.Getenv(failpointChild) != "" {
			failpointMain()
		}
	})
}

// points are around every insert, dispatch, result and state that is written.
var points = []string{
	"folder.made", "upload.placed", "file.synced", "settle.begin", "settle.folder", // the files of a submit
	"insert.begin", "insert.commit", "insert.done", "keep", // its row
	"record.begin", "record.commit", "record.done", // dispatch, accept, end, each after the other
	"result.verified", "result.renamed", "result.durable", // the result
	"setting.begin", "setting.commit", "setting.done", // pause, and what was learned
	"reorder.begin", "reorder.commit", "reorder.done", "delete.begin", "delete.commit", "delete.done",
}

// failpointMain is a supervisor that lives until it comes to its point. It says on stdout what it was promised.
func failpointMain() {
	args := strings.Split(os.Getenv(failpointChild), "\n")
	home, point := args[0], args[1]
	count, err := strconv.Atoi(args[2])
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	failpoint.Arm(func(at string) {
		mu.Lock() // nobody says anything while the process ends
		defer mu.Unlock()
		if at != point {
			return
		}
		if count--; count == 0 {
			fmt.Println("point")
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	say := func(verb string, id job.ID) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(verb, id)
	}
	ctx := context.Background()
	cfg := supervisor.Config{Home: home, Version: "test", Device: "cpu", DiskFloor: -1}
	st.Fake(&cfg, filepath.Join(home, "..", "model"))
	s, err := supervisor.Open(ctx, cfg)
	if err != nil {
		panic(err)
	}
	submit := func() job.ID {
		u, err := s.NewUpload(ctx, "p.png", strings.NewReader(string(st.Picture(32, 32))))
		if err != nil {
			panic(err)
		}
		j, err := s.Submit(ctx, supervisor.Submission{Recipe: job.Recipe{Prompt: "make it sepia", Steps: 1}, Uploads: []supervisor.Upload{u}})
		if err != nil {
			panic(err)
		}
		say("acked", j.ID)
		return j.ID
	}
	for {
		if _, err := s.Pause(ctx, "to reorder"); err != nil {
			panic(err)
		}
		a, b, c := submit(), submit(), submit()
		if _, err := s.Move(ctx, c, ""); err != nil {
			panic(err)
		}
		if _, err := s.Resume(ctx); err != nil {
			panic(err)
		}
		for _, id := range []job.ID{c, a, b} {
			sub := s.Subscribe("", -1)
			for {
				j, err := s.Job(ctx, id)
				if err != nil {
					panic(err)
				}
				if j.State.Terminal() {
					break
				}
				<-sub.C()
				if _, err := sub.Next(); err != nil {
					break
				}
			}
			sub.Close()
			say("ended", id)
		}
		say("removing", a)
		if err := s.Remove(ctx, a); err != nil {
			panic(err)
		}
		say("removed", a)
	}
}

// Killed at every point, five times each at another pass: what was acknowledged is there and ends once, and the files
// are whole.
func TestFailpoints_KilledAtEachFiveTimes(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	if err := os.CopyFS(filepath.Join(base, "model"), os.DirFS(st.NewModel(t, 1))); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(base, "data") // one history for all: each kill meets what the others left
	acked, ended, removed, unsure := map[job.ID]bool{}, map[job.ID]bool{}, map[job.ID]bool{}, map[job.ID]bool{}
	kills := 0
	for _, point := range points {
		for _, count := range []int{1, 1, 2, 2, 3} { // the later ones meet it on the way
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), failpointChild+"="+strings.Join([]string{home, point, strconv.Itoa(count)}, "\n"))
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			met := false
			for lines := bufio.NewScanner(out); lines.Scan(); {
				verb, text, _ := strings.Cut(lines.Text(), " ")
				id := job.ID(text)
				switch verb {
				case "acked":
					acked[id] = true
				case "ended":
					ended[id] = true
				case "removing":
					unsure[id] = true
				case "removed":
					removed[id] = true
				case "point":
					met = true
				}
			}
			_ = cmd.Wait()
			if !met {
				t.Fatalf("%s was not met %d times: %s", point, count, stderr.String())
			}
			kills++
		}
	}
	s := st.New(t, st.Home(home), st.Model(filepath.Join(base, "model")), func(c *supervisor.Config) { c.DiskFloor = -1 })
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id := range acked {
		j, err := s.Job(t.Context(), id)
		if removed[id] || err != nil && unsure[id] {
			if err == nil || job.AsError(err).Code != job.CodeNotFound {
				t.Errorf("a removed job is %s, %v", j.State, err)
			}
			if _, err := os.Stat(filepath.Join(home, "jobs", string(id))); err == nil && removed[id] {
				t.Errorf("the files of a removed job are there: %s", id)
			}
			continue
		}
		if err != nil {
			t.Errorf("acknowledged job %s is lost: %v", id, err)
			continue
		}
		if ended[id] && !j.State.Terminal() {
			t.Errorf("job %s had ended and is %s", id, j.State)
		}
		if j = st.WaitEnd(t, s, id); j.State != job.Succeeded {
			t.Errorf("job %s ended as %s: %+v", id, j.State, j.Error)
			continue
		}
		data, err := os.ReadFile(filepath.Join(home, "jobs", string(id), "result.png"))
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != j.Result.SHA256 {
			t.Errorf("the result of %s is not what was stated, %v", id, err)
		}
	}
	for _, pattern := range []string{".spool/*", "*/.pending", "*/*.part", "*/.*.part", "*/attempt-*"} {
		if left, _ := filepath.Glob(filepath.Join(home, "jobs", pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	t.Logf("%d kills at %d points, %d jobs acknowledged, %d removed", kills, len(points), len(acked), len(removed))
}
