//go:build !race

package worker

// floodMB of row 12.
const floodMB = 1024
