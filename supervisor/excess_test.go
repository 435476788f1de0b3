package supervisor

import (
	"testing"

	"qie/supervisor/job"
)

func TestExcess(t *testing.T) {
	list := []past{{id: "a", bytes: 50}, {id: "b", bytes: 30}, {id: "c", bytes: 20}}
	for name, c := range map[string]struct {
		list []past
		keep Upkeep
		want int
	}{
		"no limits":                 {list, Upkeep{}, 0},
		"both just met":             {list, Upkeep{KeepJobs: 3, KeepBytes: 100}, 0},
		"one too many":              {list, Upkeep{KeepJobs: 2}, 1},
		"a byte too many":           {list, Upkeep{KeepBytes: 99}, 1},
		"two by size":               {list, Upkeep{KeepBytes: 49}, 2},
		"the larger need counts":    {list, Upkeep{KeepJobs: 2, KeepBytes: 20}, 2},
		"the newest alone is large": {list, Upkeep{KeepBytes: 1}, 2},
		"a single one stays":        {list[:1], Upkeep{KeepBytes: 1}, 0},
		"nothing":                   {nil, Upkeep{KeepJobs: 1}, 0},
		"others go for a star":      {append([]past{{id: "s", bytes: 9, star: true}}, list...), Upkeep{KeepJobs: 2}, 2},
	} {
		got := excess(c.list, c.keep)
		if len(got) != c.want || c.want > 0 && got[0] != job.ID("a") {
			t.Errorf("%s: %v, want the oldest %d", name, got, c.want)
		}
	}
}
