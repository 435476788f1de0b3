package job

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"time"
)

// ID names a job. It is a version 4 UUID in lower case, drawn from crypto/rand: the original program's clients
// expect a UUID, and nobody can guess another job's address.
type ID string

// NewID draws a fresh id. crypto/rand never fails on the systems qie runs on (it aborts the process instead).
func NewID() ID {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return ID(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]))
}

var idForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// Valid tells whether the text has the form of an id; whether the job exists is the store's to say.
func (id ID) Valid() bool { return idForm.MatchString(string(id)) }

// Job is a queued recipe with an id and exactly one end. It is what the store keeps, what the API answers and what
// the browser draws.
type Job struct {
	ID      ID      `json:"id"`
	State   State   `json:"state"`
	Attempt int     `json:"attempt" doc:"try that runs or ran last, from 1; 0 before the first"`
	Recipe  Recipe  `json:"recipe"`
	Images  []Image `json:"images" nullable:"false" doc:"sources in the order of the request, upright and in sRGB"`
	Mask    *Mask   `json:"mask,omitempty" doc:"what of image 1 may change; at /api/v1/jobs/{id}/mask"`
	// Parent and Photo make the tree of edits; both are the store's to say.
	Parent    ID         `json:"parent,omitempty" doc:"job whose result was edited; absent: the photo itself"`
	Photo     string     `json:"photo,omitempty" doc:"sha256 of the photo that this tree of edits began with"`
	Starred   bool       `json:"starred,omitempty"`
	TrashedAt *time.Time `json:"trashed_at,omitempty" doc:"in the trash since; absent: not in the trash"`
	// Position is the place in the queue, 1 for the next to run; 0 when not queued.
	Position int   `json:"position" doc:"place in the queue, 1 is next; 0 when not queued"`
	Phase    Phase `json:"phase,omitempty"`
	Step     int   `json:"step" doc:"denoise steps done in this attempt"`
	Steps    int   `json:"steps" doc:"denoise steps of this attempt"`
	// Percent never goes back inside an attempt.
	Percent float64 `json:"percent" minimum:"0" maximum:"100"`
	// ETA is the honest range for the rest in seconds, low then high; absent while nothing was measured.
	ETA        []float64          `json:"eta_s,omitempty" nullable:"false" doc:"seconds left: low, high; absent until measured"`
	Preview    string             `json:"preview,omitempty" doc:"address of the newest preview of this attempt"`
	Error      *Failure           `json:"error,omitempty"`
	Result     *Result            `json:"result,omitempty"`
	Memory     *Memory            `json:"memory,omitempty" doc:"the memory plan of this attempt; absent until one was chosen"`
	Notices    []Notice           `json:"notices" nullable:"false" doc:"what a person should know about this job, oldest first"`
	CreatedAt  time.Time          `json:"created_at"`
	StartedAt  *time.Time         `json:"started_at,omitempty"`
	FinishedAt *time.Time         `json:"finished_at,omitempty"`
	Timings    map[string]float64 `json:"timings" doc:"seconds by phase, measured; wait is the time in the queue"`
}

// Image is one source as the worker sees it; its bytes live beside the job.
type Image struct {
	SHA256 string `json:"sha256" doc:"of the untouched upload, lower-case hex"`
	Width  int    `json:"width" doc:"pixels, upright"`
	Height int    `json:"height" doc:"pixels, upright"`
	Name   string `json:"name,omitempty" doc:"file name as uploaded, without folders"`
}

// Mask is the part of image 1 that may change; its grey PNG lies beside the job, as large as the image.
type Mask struct {
	SHA256 string  `json:"sha256" doc:"of the untouched upload, lower-case hex"`
	Share  float64 `json:"share" doc:"part of the pixels that may change, more than 0 and at most 1"`
}

// Result is the finished picture. A job has one only when its file was read back and its hash matched.
type Result struct {
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Bytes  int64  `json:"bytes"`
	Seed   int64  `json:"seed" doc:"seed that was used; give it back for the same picture"`
	Model  string `json:"model" doc:"model that made it"`
	// Untouched is stated only where it was counted.
	Untouched float64 `json:"untouched,omitempty" doc:"part of the pixels that are bit-equal to image 1, 0 to 1; only with a mask"`
}

// Memory is how an attempt uses memory, and what that was predicted to take.
type Memory struct {
	Plan  string `json:"plan" enum:"resident,staged,tiled"`
	Words string `json:"words" doc:"the plan as a person reads it"`
	Peak  int64  `json:"peak_bytes" doc:"predicted: held at the most, without Python itself; 0 where the model does not tell"`
	Total int64  `json:"total_bytes" doc:"what the device can hold; 0: unknown"`
	Free  int64  `json:"free_bytes" doc:"of it free before the attempt; 0: unknown"`
}

// Notice is one sentence about a job with a stable code, for example retried or no_visible_change.
type Notice struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty" doc:"the one next action, where there is one"`
	Report  string `json:"report,omitempty" doc:"name of the crash report, for /api/v1/crashes/{name}"`
}

// Failure is why a job ended without a picture.
type Failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message" doc:"the cause, with what was measured"`
	Done    string `json:"done,omitempty" doc:"what qie did about it"`
	Hint    string `json:"hint,omitempty" doc:"the one next action"`
	Report  string `json:"report,omitempty" doc:"name of the crash report, for /api/v1/crashes/{name}"`
}

// Error makes the typed error of a failure that came over HTTP.
func (f Failure) Error() *Error {
	return &Error{Code: f.Code, Message: f.Message, Done: f.Done, Hint: f.Hint, Report: f.Report}
}
