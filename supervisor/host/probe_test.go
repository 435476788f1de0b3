package host

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestOOMKillsOf(t *testing.T) {
	for text, want := range map[string]int64{
		"low 0\nhigh 3\nmax 5\noom 1\noom_kill 2\noom_group_kill 9\n": 2, "": -1, "oom_kill x\n": -1,
	} {
		if got := oomKillsOf(text); got != want {
			t.Errorf("%q gives %d, want %d", text, got, want)
		}
	}
}

func TestProcess_IsRead(t *testing.T) {
	stat := "4711 (a) b (c) T 1 4711 4711 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 100 0 0"
	if p, ok := processOfStat(stat); !ok || !p.Stopped || p.CPU != 2*time.Second {
		t.Errorf("stat gives %+v, %t", p, ok)
	}
	if p, ok := processOfPS("S+  1:02:03.50\n"); !ok || p.Stopped || p.CPU != 3723500*time.Millisecond {
		t.Errorf("ps gives %+v, %t", p, ok)
	}
	if p, ok := processOfPS("T    0:01.00"); !ok || !p.Stopped || p.CPU != time.Second {
		t.Errorf("ps gives %+v, %t", p, ok)
	}
	for _, bad := range []string{"", "1 (x) T", "T", "T 1:x"} {
		if _, ok := processOfStat(bad); ok {
			t.Errorf("stat %q is understood", bad)
		}
		if _, ok := processOfPS(bad); ok {
			t.Errorf("ps %q is understood", bad)
		}
	}
	if p, ok := System().Process(os.Getpid()); !ok || p.Stopped {
		t.Errorf("this process: %+v, %t", p, ok)
	}
}

func TestBattery_IsRead(t *testing.T) {
	low := "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1234)\t4%; discharging; 0:12 remaining present: true\n"
	if b, ok := batteryOf(low); !ok || b != (Battery{Percent: 4, OnBattery: true}) {
		t.Errorf("got %+v, %t", b, ok)
	}
	full := "Now drawing from 'AC Power'\n -InternalBattery-0 (id=1234)\t100%; charged; 0:00 remaining present: true\n"
	if b, ok := batteryOf(full); !ok || b != (Battery{Percent: 100}) {
		t.Errorf("got %+v, %t", b, ok)
	}
	if _, ok := batteryOf("Now drawing from 'AC Power'\n"); ok {
		t.Error("a Mac without a battery has one")
	}
}

func TestMemory_IsRead(t *testing.T) {
	if m := System().Memory(); m.Total <= 0 || m.Held <= 0 || m.Held > m.Total {
		t.Errorf("got %+v", m)
	}
}

// The clock that a person sets, in either direction, and the one that stands still while the machine sleeps.
func TestWake(t *testing.T) {
	day := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	awake := time.Now()
	tests := []struct {
		name        string
		wall, awake time.Duration // since the last sample
		want        time.Duration
	}{
		{"first sample", 0, 0, 0},
		{"a second passes", time.Second, time.Second, 0},
		{"a slow machine samples late", time.Minute, time.Minute, 0},
		{"drift", 6 * time.Second, time.Second, 0},
		{"lid closed for two hours", 2*time.Hour + time.Second, time.Second, 2 * time.Hour},
		{"asleep just long enough", 5*time.Second + time.Second + time.Millisecond, time.Second, 5001 * time.Millisecond},
		{"clock set back a day", -24 * time.Hour, time.Second, 0},
		{"clock set forward a day", 24 * time.Hour, 0, 24 * time.Hour},
	}
	var w Wake
	for _, tt := range tests {
		day, awake = day.Add(tt.wall), awake.Add(tt.awake)
		if got := w.Sample(day, awake); got != tt.want {
			t.Errorf("%s: slept %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestKeepAwake_Releases(t *testing.T) {
	cmd := exec.Command("sleep", "30")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	System().KeepAwake(cmd.Process.Pid)()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
