// Package failpoint names the places where a test kills the program, or takes a guard away to see its test turn red.
// The product arms nothing: a point is then one comparison beside a write to the disk, and no environment variable, flag
// or request can change that. A house test proves that only tests arm.
package failpoint

// at and off are set before the program starts its parts, and never again.
var (
	at  func(point string)
	off map[string]bool
)

// At tells that the program is at a point.
func At(point string) {
	if at != nil {
		at(point)
	}
}

// Off tells whether a guard is taken away.
func Off(guard string) bool { return off != nil && off[guard] }

// Arm calls do at every point and takes guards away. Only for the first lines of a test process.
func Arm(do func(point string), without ...string) {
	at, off = do, map[string]bool{}
	for _, guard := range without {
		off[guard] = true
	}
}
