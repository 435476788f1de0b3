package supervisor_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"qie/supervisor/failpoint"
	"qie/supervisor/job"
	"qie/supervisor/store"
)

const powerChild = "QIE_TEST_POWER" // home, jobs folder and the guards that are taken away, between newlines

func init() {
	roles = append(roles, func() {
		if os.Getenv(powerChild) != "" {
			powerMain()
		}
	})
}

// powerMain writes jobs as a submit and a finished attempt do, slowly: under a storm of writes the next one makes the
// one before durable, and a missing fsync would not show. It says on stdout what was promised.
func powerMain() {
	args := strings.Split(os.Getenv(powerChild), "\n")
	failpoint.Arm(nil, args[2:]...)
	ctx := context.Background()
	s, err := store.Open(ctx, args[0], args[1])
	must(err)
	for n := range 1 << 20 {
		id := job.NewID()
		must(s.NewFolder(id))
		picture := pictureOf(id)
		must(s.WriteFile(id, store.InputFile(1), picture))
		must(s.WriteFile(id, store.RecipeFile, []byte(`{"prompt":"make it sepia"}`)))
		must(s.Settle(id))
		row := store.Row{Job: job.Job{ID: id, State: job.Queued, Recipe: job.Recipe{Prompt: "make it sepia"}, CreatedAt: time.Now().UTC()}}
		must(s.Insert(ctx, &row))
		s.Keep(id)
		fmt.Println("acked", id)
		idle()
		if n%2 == 1 {
			continue
		}
		row.Job.State, row.Job.Attempt = job.Running, 1
		must(s.Record(ctx, row, &store.Attempt{Attempt: 1, Generation: 1, State: job.Running, Started: time.Now()}))
		// The worker's own: temporary file, fsync, rename.
		must(s.WriteFile(id, "attempt-1.png", picture))
		must(s.Rename(id, "attempt-1.png", store.ResultFile))
		sum := sha256.Sum256(picture)
		row.Job.State, row.Job.Result = job.Succeeded, &job.Result{SHA256: hex.EncodeToString(sum[:])}
		must(s.Record(ctx, row, nil))
		fmt.Println("ended", id)
		idle()
	}
}

func idle() {
	t := time.NewTimer(4 * time.Millisecond) // not a wait for something: the disk has to have nothing else to do
	<-t.C
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// pictureOf is different for each job, so that one file cannot stand for another.
func pictureOf(id job.ID) []byte {
	sum := sha256.Sum256([]byte(id))
	return append([]byte("picture of "+string(id)+" "), []byte(strings.Repeat(hex.EncodeToString(sum[:]), 100))...)
}

// disk is an ext4 file system in a file: what is in the file has reached the disk, what is not would be lost with the
// power.
type disk struct{ image, mount string }

func newDisk(t *testing.T, dir, name string) disk {
	t.Helper()
	d := disk{filepath.Join(dir, name+".img"), t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 48<<20); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", d.image)
	d.attach(t, "loop,commit=300")
	return d
}

func (d disk) attach(t *testing.T, options string) {
	t.Helper()
	mustRun(t, "mount", "-o", options, d.image, d.mount)
	t.Cleanup(func() { _ = exec.Command("umount", d.mount).Run() })
}

// powerRun cuts the power so often and gives what was promised and then missing, in words.
func powerRun(t *testing.T, cuts int, untilLoss bool, without ...string) (losses []string, promised, done int) {
	t.Helper()
	dir := tmpfs(t, "256m")
	// The database and the pictures lie on two disks, as QIE_HOME and JOBS_DIR may: on one, the commit of the row would
	// carry the names of the files with it.
	db, files := newDisk(t, dir, "db"), newDisk(t, dir, "files")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), powerChild+"="+strings.Join(append([]string{filepath.Join(db.mount, "home"),
		filepath.Join(files.mount, "jobs")}, without...), "\n"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var acked, ended []job.ID
	read := make(chan struct{})
	enough := make(chan int, 1)
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			verb, id, _ := strings.Cut(lines.Text(), " ")
			mu.Lock()
			if verb == "acked" {
				acked = append(acked, job.ID(id))
			} else {
				ended = append(ended, job.ID(id))
			}
			n := len(acked)
			mu.Unlock()
			select {
			case enough <- n:
			default:
			}
		}
	}()
	defer func() { _ = cmd.Process.Kill(); <-read; _ = cmd.Wait() }()
	rnd := rand.New(rand.NewPCG(3, uint64(len(without))))
	for cut := range cuts {
		// A random instant, some jobs later.
		mu.Lock()
		from := len(acked)
		mu.Unlock()
		for want := from + 1 + rnd.IntN(4); ; {
			if n := <-enough; n >= want {
				break
			}
		}
		<-time.After(time.Duration(rnd.IntN(12_000)) * time.Microsecond)
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		waitStopped(t, cmd.Process.Pid)
		at := filepath.Join(dir, "cut"+strconv.Itoa(cut))
		for _, d := range []disk{db, files} {
			mustRun(t, "cp", "--sparse=always", d.image, at+filepath.Base(d.image))
		}
		// What was said before the stop is what was promised; the pipe holds no more.
		mu.Lock()
		a, e := append([]job.ID{}, acked...), append([]job.ID{}, ended...)
		mu.Unlock()
		promised = len(a) + len(e)
		found := afterCut(t, at, a, e)
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		done++
		losses = append(losses, found...)
		if untilLoss && len(losses) > 0 {
			break
		}
	}
	return losses, promised, done
}

func waitStopped(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, _ := strings.Cut(string(data), ") "); strings.HasPrefix(rest, "T") {
			return
		}
		<-tick.C
	}
}

// afterCut mounts what had reached the disks and compares it with what was promised.
func afterCut(t *testing.T, at string, acked, ended []job.ID) (losses []string) {
	t.Helper()
	db, files := disk{at + "db.img", t.TempDir()}, disk{at + "files.img", t.TempDir()}
	for _, d := range []disk{db, files} {
		mustRun(t, "mount", "-o", "loop", d.image, d.mount)
		defer func() {
			mustRun(t, "umount", d.mount)
			_ = os.Remove(d.image)
		}()
	}
	lost := func(format string, args ...any) { losses = append(losses, fmt.Sprintf(format, args...)) }
	s, err := store.Open(t.Context(), filepath.Join(db.mount, "home"), filepath.Join(files.mount, "jobs"))
	if err != nil {
		t.Fatalf("it does not open after the cut: %v", err)
	}
	defer func() { _ = s.Close() }()
	for _, n := range s.Notices() {
		lost("notice %s", n.Message)
	}
	for _, id := range acked {
		if _, err := s.Row(t.Context(), id); err != nil {
			lost("row of %s: %v", id, err)
			continue
		}
		if data, err := os.ReadFile(filepath.Join(s.Dir(id), store.InputFile(1))); err != nil || string(data) != string(pictureOf(id)) {
			lost("picture of %s: %d bytes, %v", id, len(data), err)
		}
		if data, err := os.ReadFile(filepath.Join(s.Dir(id), store.RecipeFile)); err != nil || len(data) == 0 {
			lost("recipe of %s: %d bytes, %v", id, len(data), err)
		}
	}
	for _, id := range ended {
		row, err := s.Row(t.Context(), id)
		if err != nil || row.Job.State != job.Succeeded {
			lost("end of %s: %s, %v", id, row.Job.State, err)
		}
		if data, err := os.ReadFile(filepath.Join(s.Dir(id), store.ResultFile)); err != nil || string(data) != string(pictureOf(id)) {
			lost("result of %s: %d bytes, %v", id, len(data), err)
		}
	}
	// Nothing half is visible, promised or not.
	entries, _ := os.ReadDir(s.JobsDir())
	for _, e := range entries {
		for _, name := range []string{store.InputFile(1), store.ResultFile} {
			data, err := os.ReadFile(filepath.Join(s.JobsDir(), e.Name(), name))
			if err == nil && string(data) != string(pictureOf(job.ID(e.Name()))) {
				lost("half a file is visible: %s of %s has %d bytes", name, e.Name(), len(data))
			}
		}
	}
	return losses
}

// The power is cut at random instants, on two real file systems: everything that was promised is there. With the
// database's fsync per commit taken away, and with the folder's fsync taken away, the same test finds losses.
func TestPowerCut_LosesNothing(t *testing.T) {
	needLoop(t)
	cuts := 20
	if text := os.Getenv("QIE_POWER_CUTS"); text != "" { // as `go run ./cmd/dev soak --cuts 200` does
		var err error
		if cuts, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	losses, promised, done := powerRun(t, cuts, false)
	if len(losses) > 0 {
		t.Errorf("%d losses: %s", len(losses), strings.Join(losses[:min(5, len(losses))], "; "))
	}
	t.Logf("%d cuts, %d promises, %d losses", done, promised, len(losses))
	for _, guard := range []string{store.GuardFull, store.GuardFolderSync} {
		losses, promised, done := powerRun(t, 20, true, guard)
		if len(losses) == 0 {
			t.Errorf("without %s nothing was lost in %d cuts: this test would not notice", guard, done)
			continue
		}
		t.Logf("without %s: cut %d of %d promises lost: %s", guard, done, promised, losses[0])
	}
}
