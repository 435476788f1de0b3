package catalog

import "fmt"

// Fit tells whether a machine can run an entry. Disk is not part of it: space can be made.
type Fit struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason" doc:"in words, with the numbers"`
}

const gigabyte = 1 << 30

// FitsIn judges an entry for a machine with so much memory in bytes; 0 is not known.
func (e Entry) FitsIn(memory int64) Fit {
	if e.Kind == GGUF {
		return Fit{Reason: "this version of qie runs no GGUF files; it is fetched and verified for other programs"}
	}
	needs := e.Memory
	if base, ok := Find(e.Base); ok && needs == 0 {
		needs = base.Memory
	}
	switch {
	case memory == 0:
		return Fit{Reason: "how much memory this machine has is not known"}
	case memory < needs:
		return Fit{Reason: fmt.Sprintf("made for machines with 64 GB of memory; this one has %d GB", (memory+gigabyte/2)/gigabyte)}
	}
	return Fit{OK: true, Reason: fmt.Sprintf("fits in the %d GB of memory of this machine", (memory+gigabyte/2)/gigabyte)}
}
