// Package web holds the built page as it goes into the binary. Without a build it is empty but for a placeholder, so
// that the program compiles without Node.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist is the built page, index.html at its root.
func Dist() fs.FS {
	f, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is in the repository
	}
	return f
}
