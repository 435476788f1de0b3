// Package job is the vocabulary that every other package shares: recipe, job, attempt, state, phase and error
// code. It owns no file, no goroutine and no clock. Its JSON tags are the browser's JSON (one read model).
package job
