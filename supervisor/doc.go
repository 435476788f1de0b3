// Package supervisor is the one road into qie: it composes store, queue, worker and events, and owns the loop that
// writes job state. It speaks no HTTP and parses no flag. ARCHITECTURE.md in this folder has the walk of one edit.
package supervisor
