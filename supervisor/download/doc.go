// Package download owns the way of a model's files from the hub to the disk: what the hub lists, what is pinned of it,
// the bytes in Range requests over broken networks, and their place in a Hugging Face cache. A file has its name in the
// cache only after its hash was compared. It runs nothing of what it fetches and decides about no job.
package download
