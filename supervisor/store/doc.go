// Package store owns what outlives the program: the rows of jobs in SQLite and the files beside them. A row is
// durable before a call returns. It decides no state and knows no worker.
package store
