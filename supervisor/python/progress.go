package python

import (
	"fmt"
	"strconv"
	"strings"
)

// Progress makes a few words of uv's lines. uv names the size of large packages when it begins to fetch them.
type Progress struct {
	sizes       map[string]float64 // MiB
	done, total float64
}

// Line takes a line of the build and gives what to show for it; empty for nothing new.
func (p *Progress) Line(line string) string {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "Downloading":
		name, size, ok := strings.Cut(rest, " (")
		if mib := mebibytes(strings.TrimSuffix(size, ")")); ok && mib > 0 {
			if p.sizes == nil {
				p.sizes = map[string]float64{}
			}
			p.sizes[name] = mib
			p.total += mib
		}
	case "Downloaded":
		p.done += p.sizes[rest]
	case "Prepared":
		return "packages fetched, putting them in place"
	case "Installed":
		return "packages in place, compiling byte code"
	case "environment:", "waiting:":
		return strings.TrimSpace(line)
	default:
		return ""
	}
	if p.total == 0 {
		return ""
	}
	return fmt.Sprintf("fetching packages, %.0f of %.0f MB of the large ones", p.done*1.048576, p.total*1.048576)
}

// mebibytes reads uv's sizes, for example 514.2MiB.
func mebibytes(text string) float64 {
	for unit, factor := range map[string]float64{"KiB": 1.0 / 1024, "MiB": 1, "GiB": 1024} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseFloat(number, 64)
			if err == nil {
				return n * factor
			}
		}
	}
	return 0
}
