//go:build race

package worker

// floodMB of row 12: the race detector makes both ends slower by factors.
const floodMB = 32
