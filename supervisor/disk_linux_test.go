package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qie/supervisor"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

// needRoot stops a test that mounts. In CI it has to run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test mounts small file systems and needs root; CI has to give it")
	}
	t.Skip("this test mounts small file systems and needs root")
}

// needLoop stops a test that makes file systems in files.
func needLoop(t *testing.T) {
	t.Helper()
	needRoot(t)
	_, noLoop := os.Stat("/dev/loop-control")
	_, noMkfs := exec.LookPath("mkfs.ext4")
	if err := errors.Join(noLoop, noMkfs); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("this test needs loop devices and mkfs.ext4, and CI has to give them: %v", err)
		}
		t.Skipf("this test needs loop devices and mkfs.ext4: %v", err)
	}
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// tmpfs mounts a small file system in memory.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes zeros until nothing more fits, then gives free bytes back.
func fill(t *testing.T, path string, free int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 4096)
	for {
		if _, err = f.Write(piece); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(max(0, info.Size()-free))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// listing is every file below the jobs folder.
func listing(t *testing.T, jobs string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(jobs, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) != ".spool" {
			list = append(list, strings.TrimPrefix(path, jobs))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// onDisk is a supervisor whose queue is paused: only what a submit writes is written.
func onDisk(t *testing.T, home string, options ...st.Option) *supervisor.Supervisor {
	t.Helper()
	s, err := supervisor.Open(t.Context(), st.Config(t, append(options, st.Home(home))...))
	if err != nil {
		t.Fatal(err)
	}
	st.Until(t, s, "a worker", func() bool { return s.State().Worker.State == "cold" })
	if _, err := s.Pause(t.Context(), "the test wants so"); err != nil {
		t.Fatal(err)
	}
	return s
}

// trySubmit submits a picture of some 30 kB.
func trySubmit(t *testing.T, s *supervisor.Supervisor) (job.Job, error) {
	t.Helper()
	u, err := s.NewUpload(t.Context(), "p.png", strings.NewReader(noise))
	if err != nil {
		return job.Job{}, err
	}
	return s.Submit(t.Context(), supervisor.Submission{Recipe: job.Recipe{Prompt: "make it sepia"}, Uploads: []supervisor.Upload{u}})
}

var noise = func() string {
	rnd := rand.New(rand.NewPCG(40, 0))
	img := image.NewRGBA(image.Rect(0, 0, 120, 80))
	for i := range img.Pix {
		img.Pix[i] = byte(rnd.IntN(256)) | 0xff*byte(i%4/3)
	}
	var b strings.Builder
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.String()
}()

// refusedWhole proves that a refused submit has its code and left nothing.
func refusedWhole(t *testing.T, what string, err error, jobs string, before []string, codes ...job.Code) {
	t.Helper()
	if typed := job.AsError(err); !slices.Contains(codes, typed.Code) || typed.Hint == "" {
		t.Errorf("%s: %v (%T), want one of %v with a hint", what, err, err, codes)
	}
	if after := listing(t, jobs); !slices.Equal(after, before) {
		t.Errorf("%s left something: %v, before: %v", what, after, before)
	}
}

func acknowledged(t *testing.T, s *supervisor.Supervisor, ids []job.ID) {
	t.Helper()
	for _, id := range ids {
		if _, err := s.Job(t.Context(), id); err != nil {
			t.Errorf("an acknowledged job is lost: %v", err)
			continue
		}
		for _, name := range []string{"input-1.png", "recipe.json", "original-1"} {
			f, err := os.Stat(filepath.Join(s.System().JobsFolder, string(id), name))
			if err != nil || f.Size() == 0 {
				t.Errorf("an acknowledged job has no whole %s: %v", name, err)
			}
		}
	}
}

// Every write of a submit meets a full disk once: spool, folder, picture, original, recipe, database. Each is refused
// with its code, leaves nothing, and loses nothing that was acknowledged.
func TestFault40_FullDiskAtEveryWriteOfASubmit(t *testing.T) {
	dir := tmpfs(t, "8m")
	home, ballast := filepath.Join(dir, "home"), filepath.Join(dir, "ballast")
	s := onDisk(t, home, func(c *supervisor.Config) { c.DiskFloor = -1 })
	jobs := filepath.Join(home, "jobs")
	var ids []job.ID
	refused, row := 0, 0
	for pages := int64(0); row < 2; pages++ {
		fill(t, ballast, pages*4096)
		before := listing(t, jobs)
		j, err := trySubmit(t, s)
		if err == nil {
			ids = append(ids, j.ID)
			row++
			continue
		}
		refused, row = refused+1, 0
		refusedWhole(t, fmt.Sprintf("with %d free pages", pages), err, jobs, before, job.CodeDiskFull)
		if pages > 400 {
			t.Fatal("it never fits")
		}
	}
	if refused < 6 {
		t.Errorf("only %d submits met the full disk", refused)
	}
	fill(t, ballast, 0)
	if _, err := s.Resume(t.Context()); err == nil {
		t.Log("the setting fitted into the log")
	} else if job.AsError(err).Code != job.CodeDiskFull {
		t.Errorf("a setting on a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	j, err := trySubmit(t, s)
	if err != nil {
		t.Fatalf("with space again: %v", err)
	}
	ids = append(ids, j.ID)
	acknowledged(t, s, ids)
	st.Close(t, s)
	again := onDisk(t, home, func(c *supervisor.Config) { c.DiskFloor = -1 })
	acknowledged(t, again, ids)
	st.Close(t, again)
	t.Logf("%d submits were refused, %d acknowledged", refused, len(ids))
}

// The journal's disk is full while a job runs: the job goes on in memory and is flagged, nothing more starts, and its
// end is written when there is space.
func TestFault40_FullJournalWhileAJobRuns(t *testing.T) {
	dir := tmpfs(t, "6m")
	home, ballast := filepath.Join(dir, "home"), filepath.Join(dir, "ballast")
	jobs := t.TempDir()
	option := func(c *supervisor.Config) { c.JobsDir, c.RecheckEvery = jobs, 5*time.Millisecond }
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home), option))
	if err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(t.TempDir(), "gate")
	running := st.Submit(t, s, "fake: at step 2: wait "+gate)
	waiting := st.Submit(t, s, "make it sepia")
	st.WaitJob(t, s, running.ID, "running", func(j job.Job) bool { return j.State == job.Running })
	// The log has space of its own that it uses again; only when that is full the disk is asked.
	for {
		fill(t, ballast, 0)
		if _, err := s.Pause(t.Context(), strings.Repeat("x", 200)); err != nil {
			if job.AsError(err).Code != job.CodeDiskFull {
				t.Fatal(err)
			}
			break
		}
	}
	if _, err := trySubmit(t, s); err == nil || job.AsError(err).Code != job.CodeDiskFull {
		t.Errorf("a submit on the full disk: %v", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, running.ID); j.State != job.Succeeded {
		t.Fatalf("the running job ended as %s: %+v", j.State, j.Error)
	}
	q := paused(t, s, true)
	if q.By != "disk" || !strings.Contains(q.Reason, "cannot be written") {
		t.Errorf("the queue is %+v", q)
	}
	if !slices.ContainsFunc(s.State().Notices, func(n job.Notice) bool { return n.Code == "store_failed" }) {
		t.Error("nobody is told")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	st.Until(t, s, "the pause by the disk to end", func() bool { return s.Queue().By != "disk" })
	if slices.ContainsFunc(s.State().Notices, func(n job.Notice) bool { return n.Code == "store_failed" }) {
		t.Error("it is still told, and all is written")
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, waiting.ID); j.State != job.Succeeded {
		t.Errorf("the waiting job ended as %s", j.State)
	}
	st.Close(t, s)
	s = st.New(t, st.Home(home), option)
	if j, err := s.Job(t.Context(), running.ID); err != nil || j.State != job.Succeeded || j.Attempt != 1 {
		t.Errorf("after a restart the job is %s, attempt %d, %v", j.State, j.Attempt, err)
	}
}

// Files that cannot be removed keep no job: it is gone for everybody, the queue goes on, and so does the next start, which
// removes what was left as soon as that can be.
func TestRemove_FilesThatStayAreNoJob(t *testing.T) {
	needRoot(t)
	home := t.TempDir()
	s, err := supervisor.Open(t.Context(), st.Config(t, st.Home(home)))
	if err != nil {
		t.Fatal(err)
	}
	ended := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID)
	if _, err := s.Pause(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	ids := []job.ID{ended.ID, st.Submit(t, s, "make it sepia").ID}
	for _, id := range ids {
		place := filepath.Join(home, "jobs", string(id), "held")
		if err := os.Mkdir(place, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", place, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(place, syscall.MNT_DETACH) }) // the test has done so when it passed
		if err := s.Remove(t.Context(), id); err != nil {
			t.Errorf("the removal is refused: %v", err)
		}
		if _, err := s.Job(t.Context(), id); job.AsError(err).Code != job.CodeNotFound || shown(s, id) {
			t.Errorf("job %s is still there: %v", id, err)
		}
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j := st.WaitEnd(t, s, st.Submit(t, s, "make it sepia").ID); j.State != job.Succeeded {
		t.Errorf("the next job ended as %s", j.State)
	}
	if q := s.Queue(); q.Paused || len(q.Waiting) != 0 {
		t.Errorf("the queue is %+v", q)
	}
	st.Close(t, s)
	for _, left := range []bool{true, false} {
		if s, err = supervisor.Open(t.Context(), st.Config(t, st.Home(home))); err != nil {
			t.Fatal(err)
		}
		st.Close(t, s)
		for _, id := range ids {
			place := filepath.Join(home, "jobs", string(id))
			if _, err := os.Stat(place); (err == nil) != left {
				t.Errorf("left %t: %v", left, err)
			}
			if left {
				if err := syscall.Unmount(filepath.Join(place, "held"), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Row 39: the worker meets the full disk in its save. The job fails by its name, nothing half stays, the queue waits
// for space and goes on by itself.
func TestFault39_FullDiskWhileSaving(t *testing.T) {
	var free atomic.Int64
	free.Store(supervisor.DiskFloor)
	home := t.TempDir()
	s := st.New(t, st.Home(home), func(c *supervisor.Config) {
		c.DiskFree, c.RecheckEvery = func() (int64, error) { return free.Load(), nil }, 5*time.Millisecond
	})
	gate := filepath.Join(t.TempDir(), "gate")
	bad := st.Submit(t, s, "fake: at save: wait "+gate+"; at save: error disk_full")
	next := st.Submit(t, s, "make it sepia")
	st.WaitJob(t, s, bad.ID, "save", func(j job.Job) bool { return j.Phase == job.Save })
	half := filepath.Join(home, "jobs", string(bad.ID), "attempt-1.png.part")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	free.Store(1_000)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := st.WaitEnd(t, s, bad.ID)
	if j.State != job.Failed || j.Error.Code != job.CodeDiskFull || j.Attempt != 1 || j.Result != nil {
		t.Errorf("ended as %s, attempt %d: %+v", j.State, j.Attempt, j.Error)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("half a picture stayed")
	}
	if q := paused(t, s, true); q.By != "disk" || !strings.Contains(q.Reason, "2.0 GB are missing") {
		t.Errorf("the queue is %+v", q)
	}
	free.Store(supervisor.DiskFloor)
	if got := st.WaitEnd(t, s, next.ID); got.State != job.Succeeded {
		t.Errorf("the next job ended as %s", got.State)
	}
}

const limitHome = "QIE_TEST_LIMIT_HOME"

// TestFault40_LimitChild runs in a process of its own: the limit counts for all of it.
func TestFault40_LimitChild(t *testing.T) {
	home := os.Getenv(limitHome)
	if home == "" {
		return
	}
	s := onDisk(t, home, func(c *supervisor.Config) { c.DiskFloor = -1 })
	jobs := filepath.Join(home, "jobs")
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
	}
	var ids []job.ID
	refused := 0
	for _, n := range []uint64{0, 1, 100, 1000, 2000, 4096, 5000, 6000, 8192, 16384, 32768, 65536, 131072, 1 << 20} {
		before := listing(t, jobs)
		limit(n)
		j, err := trySubmit(t, s)
		limit(was.Cur)
		if err == nil {
			ids = append(ids, j.ID)
			continue
		}
		refused++
		refusedWhole(t, fmt.Sprintf("with files of at most %d bytes", n), err, jobs, before, job.CodeDiskError, job.CodeDiskFull)
	}
	if refused < 5 || len(ids) == 0 {
		t.Errorf("%d refused, %d acknowledged", refused, len(ids))
	}
	acknowledged(t, s, ids)
	st.Close(t, s)
	again := onDisk(t, home, func(c *supervisor.Config) { c.DiskFloor = -1 })
	acknowledged(t, again, ids)
	st.Close(t, again)
	fmt.Println("refused", refused, "acknowledged", len(ids))
}

// EFBIG at every file of a submit, by a real limit.
func TestFault40_FileSizeLimit(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe, "-test.run=^TestFault40_LimitChild$")
	child.Env = append(os.Environ(), limitHome+"="+t.TempDir())
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "acknowledged") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// A disk that fails under the file system: writes seem to work and fsync does not. What was acknowledged before is
// there when the disk works again, what was not is refused by its code.
func TestFault40_FsyncFails(t *testing.T) {
	needLoop(t)
	small := tmpfs(t, "24m")
	img, ballast := filepath.Join(small, "image"), filepath.Join(small, "ballast")
	if err := os.WriteFile(img, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 64<<20); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", img)
	disk := t.TempDir()
	mustRun(t, "mount", "-o", "loop", img, disk)
	mounted := true
	umount := func() {
		if mounted {
			mustRun(t, "umount", disk)
			mounted = false
		}
	}
	t.Cleanup(umount)
	home := filepath.Join(disk, "home")
	option := func(c *supervisor.Config) { c.DiskFloor = -1 }
	s := onDisk(t, home, option)
	var ids []job.ID
	for range 3 {
		j, err := trySubmit(t, s)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	fill(t, ballast, 0) // from here the disk has nothing behind it
	var refusal error
	for range 400 {
		j, err := trySubmit(t, s)
		if err != nil {
			refusal = err
			break
		}
		ids = append(ids, j.ID)
	}
	if refusal == nil {
		t.Fatal("a disk without anything behind it took 400 submits")
	}
	if code := job.AsError(refusal).Code; code != job.CodeDiskError && code != job.CodeDiskFull {
		t.Errorf("refused as %v", refusal)
	}
	t.Logf("%d acknowledged, then: %v", len(ids), refusal)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), st.Patience)
	defer cancel()
	_ = s.Close(ctx) // its disk is gone
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	umount()
	mustRun(t, "mount", "-o", "loop", img, disk)
	mounted = true
	s = onDisk(t, home, option)
	acknowledged(t, s, ids)
	st.Close(t, s)
}
