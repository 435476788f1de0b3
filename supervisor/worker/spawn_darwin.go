package worker

// offerToOOMKiller has no counterpart on macOS: jetsam takes the largest process, which is the worker.
func offerToOOMKiller(int) {}
