package worker

import "syscall"

// bindToParent has no counterpart on macOS: end-of-file on stdin and the guard do the work there.
func bindToParent(*syscall.SysProcAttr) {}

// offerToOOMKiller has no counterpart on macOS: jetsam takes the largest process, which is the worker.
func offerToOOMKiller(int) {}
