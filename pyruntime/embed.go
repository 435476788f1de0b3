// Package pyruntime holds the worker's source, its lock file and the demo model, as they go into the binary. One binary
// so carries a matching set. It does nothing with them.
package pyruntime

import (
	"embed"
	"io/fs"
)

// A bare `src` would leave out every name that begins with an underscore, __main__.py among them.
//
//go:embed all:src
var source embed.FS

// Lock is requirements.lock: every package of the worker's environment with its hashes.
//
//go:embed requirements.lock
var Lock []byte

//go:embed all:demo/model
var demo embed.FS

// Source is the folder that holds the pyruntime package.
func Source() fs.FS { return sub(source, "src") }

// Demo is the directory of the demo model, with its manifest.
func Demo() fs.FS { return sub(demo, "demo/model") }

func sub(f embed.FS, dir string) fs.FS {
	s, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // the folder is in the binary or the build fails
	}
	return s
}
