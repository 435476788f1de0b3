package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"qie/supervisor/job"
)

// Problem is every error of the native routes (RFC 9457).
type Problem struct {
	Type   string   `json:"type" doc:"always about:blank; code tells what happened"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail" doc:"for a person, with the limit in its words"`
	Code   job.Code `json:"code" doc:"stable name of the failure"`
	Done   string   `json:"done,omitempty" doc:"what qie did about it"`
	Hint   string   `json:"hint,omitempty" doc:"the one next action"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var (
	errMethod   = job.Errorf(job.CodeMethodNotAllowed, "this address does not take this method")
	errNoRoute  = job.Errorf(job.CodeNotFound, "nothing lives at this address")
	errNoJob    = job.Errorf(job.CodeNotFound, "there is no job with this id")
	errNotReady = job.Errorf(job.CodeNotReady, "the supervisor is not running")
)

// statuses is the one table from code to HTTP status; what is not listed happened on this machine.
var statuses = map[job.Code]int{
	job.CodeInputBad: 400, job.CodePromptEmpty: 422, job.CodePromptTooLong: 422, job.CodeOutOfRange: 422,
	job.CodeUnknownField: 422, job.CodeImageMissing: 422, job.CodeImageUnsupported: 415, job.CodeImageBroken: 422,
	job.CodeImageTooLarge: 413, job.CodeTooManyPixels: 413, job.CodeTooManyImages: 422, job.CodeMaskBad: 422, job.CodeUnknownModel: 404,
	job.CodeUnknownLoRA: 422, job.CodeUnknownPreset: 422, job.CodeNotFound: 404, job.CodeConflict: 409,
	job.CodeUnauthorized: 401, job.CodeForbiddenOrigin: 403, job.CodeMisdirected: 421, job.CodeBodyTooLarge: 413,
	job.CodeMethodNotAllowed: 405, job.CodeUnsupportedMedia: 415, job.CodeQueueFull: 429, job.CodeNotReady: 503,
	job.CodeRangeUnsatisfied: 416, job.CodeModelNotInstalled: 409, job.CodeDiskFull: 507, job.CodeDiskError: 507,
	job.CodeHubUnreachable: 502, job.CodeHubDenied: 502, job.CodeHubBroken: 502,
}

func problemOf(err error) *Problem {
	var done *Problem
	if errors.As(err, &done) {
		return done
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		err = job.Errorf(job.CodeBodyTooLarge, "the request is larger than %d bytes", tooBig.Limit)
	}
	typed := job.AsError(err)
	status, ok := statuses[typed.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	f := typed.Failure()
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: f.Message, Code: f.Code,
		Done: f.Done, Hint: f.Hint}
}

func init() {
	// huma's own refusals (a limit that is no number, for example) speak the same language.
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		code := job.CodeInputBad
		switch status {
		case 404:
			code = job.CodeNotFound
		case 413:
			code = job.CodeBodyTooLarge
		case 415, 406:
			code = job.CodeUnsupportedMedia
		case 422:
			code = job.CodeOutOfRange
		case 500:
			code = job.CodeInternal
		}
		for _, err := range errs {
			if err != nil {
				message += ": " + err.Error()
			}
		}
		w := code.Words()
		return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: message, Code: code, Done: w.Done, Hint: w.Next}
	}
}

// fail answers a raw route.
func (s *server) fail(c *gin.Context, err error) {
	p := problemOf(err)
	if p.Status >= 500 {
		s.Log.Error("request failed", "method", c.Request.Method, "path", c.FullPath(), "err", err)
	}
	if isOriginal(c.Request.URL.Path) {
		detail(c, p.Status, p.Detail)
		return
	}
	writeProblem(c.Writer, p)
	c.Abort()
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// detail is an error as FastAPI spoke it.
func detail(c *gin.Context, status int, text string) {
	c.AbortWithStatusJSON(status, gin.H{"detail": text})
}

func isOriginal(path string) bool {
	return path == "/" || strings.HasPrefix(path, "/ws/") || strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/api/v1/")
}
