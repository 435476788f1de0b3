package preflight

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	built   = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	fullEnv = Item{Name: "Python environment", Download: 200_000_000, Disk: 1_200_000_000}
	later   = []Item{{Name: "full model", Download: FullBytes, Disk: FullBytes}}
)

// ready is a machine on which set-up has ended well.
func ready(h host.Facts, python string) Facts {
	home := "/home/ada/qwen-image-editor"
	if h.OS == "darwin" {
		home = "/Users/ada/qwen-image-editor"
	}
	return Facts{Host: h, Device: "auto", Now: built.Add(100 * time.Hour), Built: built, Demo: true,
		Model: model.Spec{ID: "demo", Bytes: 48_000_000}, Python: Python{Path: "/usr/bin/python3.12", Version: "3.12.7", Arch: python},
		UV: true, Node: "24.19.0", Page: true, Env: Tree{Dir: home + "/python/0123", Files: 22415}, Source: Tree{Files: 17},
		SelfTest: built.Add(90 * time.Hour), Later: later, Port: 8000,
		Data:  Folder{Path: home, From: "QIE_HOME", There: true, Mode: 0o700 | os.ModeDir},
		Cache: Folder{Path: home + "/huggingface_cache", From: "HF_HOME"},
		Jobs:  Folder{Path: home + "/jobs", From: "JOBS_DIR", There: true}}
}

func mac(chip string, cores int, memoryGB, freeGB int64, version string) host.Facts {
	return host.Facts{OS: "darwin", Arch: "arm64", Platform: "macOS", Version: version, CPU: "Apple " + chip, GPU: "Apple " + chip, Cores: cores,
		MemoryTotal: memoryGB * gibibyte, MemoryAvailable: memoryGB * gibibyte / 2, DiskTotal: 1000 * gigabyte, DiskFree: freeGB * gigabyte}
}

func linux(memoryGB, freeGB int64, gpu string) host.Facts {
	return host.Facts{OS: "linux", Arch: "amd64", Platform: "debian", Version: "12.9", Libc: "2.36", CPU: "AMD EPYC", GPU: gpu, Cores: 16,
		MemoryTotal: memoryGB * gibibyte, MemoryAvailable: memoryGB * gibibyte * 3 / 4, DiskTotal: 1000 * gigabyte, DiskFree: freeGB * gigabyte}
}

// fresh takes away what set-up makes.
func fresh(f Facts, env Item) Facts {
	f.Env.Err, f.Env.None = errors.New("it was not built yet"), true
	f.Source.Err = f.Env.Err
	f.Model, f.SelfTest, f.Fetch = model.Spec{}, time.Time{}, []Item{env}
	f.Network.Asked, f.Jobs.There, f.Data.There = true, false, false
	return f
}

func change(f Facts, do func(*Facts)) Facts {
	do(&f)
	return f
}

// machines are what people have. Each has its golden file, which is read as a person reads it.
var machines = []struct {
	name  string
	facts Facts
	worst Level
}{
	{"mac-m1-16gb", ready(mac("M1", 8, 16, 120, "14.7"), "arm64"), Warning},
	{"mac-m2-pro-32gb-battery", change(ready(mac("M2 Pro", 12, 32, 40, "15.3"), "arm64"), func(f *Facts) {
		f.Battery = &host.Battery{Percent: 12, OnBattery: true}
	}), Warning},
	{"mac-m4-max-48gb", ready(mac("M4 Max", 16, 48, 400, "26.5"), "arm64"), Warning},
	{"mac-m4-max-64gb-fresh", fresh(ready(mac("M4 Max", 16, 64, 400, "26.5"), "arm64"), fullEnv), Error},
	{"mac-m3-ultra-512gb-full-model-verified", change(ready(mac("M3 Ultra", 32, 512, 1500, "26.5"), "arm64"), func(f *Facts) {
		f.Demo, f.Full, f.Later, f.Verified, f.Running = false, true, nil, true, true
		f.Model = model.Spec{ID: "Qwen-Image-Edit-2511", Bytes: FullBytes}
		f.Battery = nil
		f.Handshake = Handshake{Done: true, Device: "mps", DType: "bfloat16", Name: "Apple GPU", Torch: "2.15.0", Seconds: 6.2}
		f.Numeric = Numeric{Done: true, Worst: "convolution", Share: 0.12, Tests: 8}
	}), OK},
	{"mac-m2-computes-wrong", change(ready(mac("M2", 8, 24, 300, "15.0"), "arm64"), func(f *Facts) {
		f.Verified = true
		f.Handshake = Handshake{Done: true, Device: "mps", DType: "bfloat16", Name: "Apple GPU", Torch: "2.15.0", Seconds: 7.1}
		f.Numeric = Numeric{Done: true, Tests: 8, Err: job.Errorf(job.CodeNaNOutput, "causal attention of the text encoder differs from the CPU by 1.3, 0.04 is allowed")}
	}), Error},
	{"mac-intel", change(fresh(ready(mac("", 8, 32, 300, "13.6"), "x86_64"), fullEnv), func(f *Facts) {
		f.Host.Arch, f.Host.CPU, f.Host.GPU = "amd64", "Intel(R) Core(TM) i9-9880H", ""
	}), Error},
	{"mac-rosetta", change(ready(mac("M3", 8, 24, 300, "15.3"), "x86_64"), func(f *Facts) {
		f.Host.Arch, f.Host.GPU, f.Host.Translated = "amd64", "", true
	}), Error},
	{"mac-old-macos", ready(mac("M1 Max", 10, 64, 300, "13.5"), "arm64"), Error},
	{"mac-python-for-intel", fresh(ready(mac("M2", 8, 24, 300, "15.3"), "x86_64"), fullEnv), Error},
	{"mac-offline", change(fresh(ready(mac("M2", 8, 24, 300, "15.3"), "arm64"), fullEnv), func(f *Facts) {
		f.Network.Err = "failed to look up the address: nodename nor servname provided"
		f.Now = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	}), Error},
	{"linux-cpu-24gb", ready(linux(24, 62, ""), "x86_64"), Warning},
	{"linux-h100", change(ready(linux(256, 900, "NVIDIA H100 80GB HBM3, 81559 MiB"), "x86_64"), func(*Facts) {}), OK},
	{"mac-m2-ultra-128gb-little-disk", ready(mac("M2 Ultra", 24, 128, 30, "14.7"), "arm64"), Warning},
	{"linux-rtx-4090", ready(linux(64, 300, "NVIDIA GeForce RTX 4090, 24564 MiB"), "x86_64"), Warning},
	{"linux-cpu-full-model", change(ready(linux(64, 300, ""), "x86_64"), func(f *Facts) {
		f.Demo, f.Full, f.Later = false, true, nil
		f.Model = model.Spec{ID: "Qwen-Image-Edit-2511", Bytes: FullBytes}
	}), Error},
	{"linux-full-disk", change(ready(linux(32, 1, ""), "x86_64"), func(f *Facts) { f.Host.DiskFree = 600_000_000 }), Error},
	{"linux-no-room-for-setup", fresh(ready(linux(32, 7, ""), "x86_64"), Item{Name: "Python environment", Download: 3_100_000_000, Disk: 6_200_000_000}), Error},
	{"linux-no-python", change(fresh(ready(linux(32, 300, ""), ""), fullEnv), func(f *Facts) {
		f.Python, f.UV, f.Node, f.Page, f.Network.Asked = Python{}, false, "", false, false
	}), Error},
	{"linux-riscv", change(fresh(ready(linux(16, 300, ""), "riscv64"), fullEnv), func(f *Facts) { f.Host.Arch = "riscv64" }), Error},
	{"linux-alpine", change(fresh(ready(linux(16, 300, ""), "x86_64"), fullEnv), func(f *Facts) {
		f.Host.Platform, f.Host.Version, f.Host.Libc = "alpine", "3.22", "musl"
	}), Error},
	{"linux-old-glibc", change(fresh(ready(linux(16, 300, ""), "x86_64"), fullEnv), func(f *Facts) {
		f.Host.Platform, f.Host.Version, f.Host.Libc = "centos", "7.9", "2.17"
	}), Error},
	{"linux-everything-broken", change(ready(linux(32, 300, "NVIDIA L4, 23034 MiB"), "x86_64"), func(f *Facts) {
		f.Env.Err = job.Errorf(job.CodeEnvBroken, "the package torch is not whole: torch/lib/libtorch_cpu.so is missing")
		f.Source.Err = nil
		f.ModelErr = job.Errorf(job.CodeWeightsCorrupt, "transformer/config.json in the model's folder is damaged: its hash is wrong")
		f.PortHolder = "python3 (process 4711)"
		f.Data.Loose = []string{"the folder itself", "qie.db"}
		f.Jobs.Err, f.Jobs.Owner, f.Jobs.Path = errors.New("permission denied"), "root", "/mnt/my photos/jobs"
		f.Cache.Err = errors.New("/mnt: read-only file system")
		f.Leftovers = []host.Named{{PID: 815, Name: "python"}}
		f.Device = "mps"
	}), Error},
	{"linux-worker-dies", change(ready(linux(32, 300, "NVIDIA L4, 23034 MiB"), "x86_64"), func(f *Facts) {
		f.Verified = true
		f.Handshake = Handshake{Done: true, Err: job.Errorf(job.CodeEnvBroken, "cannot import ImportError: libcudart.so.13: cannot open shared object file")}
	}), Error},
}

func TestMachines_ReadAsGolden(t *testing.T) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			findings, err := Run(m.facts)
			if err != nil {
				t.Fatal(err)
			}
			if got := Worst(findings); got != m.worst {
				t.Errorf("worst is %s, want %s", got, m.worst)
			}
			for _, f := range findings {
				if f.Level != OK && (f.Cause == "" || f.Fix == "" && f.Advice == "") {
					t.Errorf("%s says no cause, or nothing that helps: %+v", f.Name, f)
				}
			}
			path := filepath.Join("testdata", m.name+".txt")
			got := Text(findings, Mark)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is\n%s\nwant\n%s", path, got, want)
			}
		})
	}
}

// The wheels' needs were read for one version of torch; another one has to be looked at anew.
func TestTorch_NeedsAreThoseOfTheLock(t *testing.T) {
	lock, err := os.ReadFile("../../pyruntime/requirements.lock")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(lock), "\ntorch=="+torchPinned+" ") {
		t.Errorf("the lock pins another torch than %s: see which macOS and glibc its wheels need, and change machine.go", torchPinned)
	}
}

func TestDisk_AsksForTheSumAndATenth(t *testing.T) {
	items := []Item{{Name: "environment", Disk: 10 * gigabyte}, {Name: "model", Disk: 50 * gigabyte}}
	for _, tt := range []struct {
		name string
		free int64
		want Level
	}{
		{"the sum alone is too little", 62 * gigabyte, Error},
		{"a byte short of the sum, a tenth and the floor", 68*gigabyte - 1, Error},
		{"just enough", 68 * gigabyte, OK},
	} {
		f := Facts{Demo: true, Fetch: items, Host: host.Facts{DiskTotal: 1, DiskFree: tt.free}}
		if got := disk(f); got.Level != tt.want {
			t.Errorf("%s: %s, want %s (%s)", tt.name, got.Level, tt.want, got.Cause)
		}
	}
	other := Facts{Demo: true, Host: host.Facts{DiskTotal: 1, DiskFree: 900 * gigabyte},
		Fetch: []Item{{Name: "model", Disk: 50 * gigabyte, Elsewhere: 54 * gigabyte}}}
	if got := disk(other); got.Level != Error {
		t.Errorf("the other disk is too small, and the finding is %+v", got)
	}
}

func TestRun_NamesOnlyWhatIsAsked(t *testing.T) {
	got, err := Run(machines[0].facts, "memory", "machine")
	if err != nil || len(got) != 2 || got[0].Name != "machine" || got[1].Name != "memory" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Run(Facts{}, "nonsense"); job.AsError(err).Code != job.CodeInputBad {
		t.Errorf("an unknown check gives %v", err)
	}
	if _, err := Run(Facts{}, Setup...); err != nil {
		t.Errorf("set-up asks for a check that is none: %v", err)
	}
}
