package job

import (
	"cmp"
	"errors"
	"fmt"
)

// Code is a stable name of a failure. Clients and translations rely on it; messages may change.
type Code string

// What the client did.
const (
	CodeInputBad          Code = "input_bad"
	CodePromptEmpty       Code = "prompt_empty"
	CodePromptTooLong     Code = "prompt_too_long"
	CodeOutOfRange        Code = "out_of_range"
	CodeUnknownField      Code = "unknown_field"
	CodeImageMissing      Code = "image_missing"
	CodeImageUnsupported  Code = "image_unsupported"
	CodeImageBroken       Code = "image_broken"
	CodeImageTooLarge     Code = "image_too_large"
	CodeTooManyPixels     Code = "too_many_pixels"
	CodeTooManyImages     Code = "too_many_images"
	CodeMaskBad           Code = "mask_bad"
	CodeUnknownModel      Code = "unknown_model"
	CodeUnknownLoRA       Code = "unknown_lora"
	CodeUnknownPreset     Code = "unknown_preset"
	CodeNotFound          Code = "not_found"
	CodeConflict          Code = "conflict"
	CodeUnauthorized      Code = "unauthorized"
	CodeForbiddenOrigin   Code = "forbidden_origin"
	CodeMisdirected       Code = "misdirected"
	CodeBodyTooLarge      Code = "body_too_large"
	CodeMethodNotAllowed  Code = "method_not_allowed"
	CodeUnsupportedMedia  Code = "unsupported_media"
	CodeQueueFull         Code = "queue_full"
	CodeNotReady          Code = "not_ready"
	CodeRangeUnsatisfied  Code = "range_not_satisfiable"
	CodeModelNotInstalled Code = "model_not_installed"
)

// What happened on this machine.
const (
	CodeOOMLoad        Code = "oom_load"
	CodeOOMRun         Code = "oom_run"
	CodeGPUContext     Code = "gpu_context"
	CodeWeightsMissing Code = "weights_missing"
	CodeWeightsCorrupt Code = "weights_corrupt"
	CodeLoRAMismatch   Code = "lora_mismatch"
	CodeDiskFull       Code = "disk_full"
	CodeDiskError      Code = "disk_error"
	CodeNaNOutput      Code = "nan_output"
	CodeWorkerDied     Code = "worker_died"
	CodeWorkerStalled  Code = "worker_stalled"
	CodePoison         Code = "poison"
	CodeCanceled       Code = "canceled"
	CodeProtocol       Code = "protocol"
	CodeEnvBroken      Code = "env_broken"
	CodeInternal       Code = "internal"
)

// What the model hub did.
const (
	CodeHubUnreachable Code = "hub_unreachable"
	CodeHubDenied      Code = "hub_denied"
	CodeHubBroken      Code = "hub_broken"
)

// codeFacts is the one table of what a code means for a retry; HTTP statuses live in api, exit codes in cmd/qie.
var codeFacts = map[Code]struct{ retry bool }{
	CodeInputBad: {}, CodePromptEmpty: {}, CodePromptTooLong: {}, CodeOutOfRange: {}, CodeUnknownField: {},
	CodeImageMissing: {}, CodeImageUnsupported: {}, CodeImageBroken: {}, CodeImageTooLarge: {}, CodeTooManyPixels: {},
	CodeTooManyImages: {}, CodeUnknownModel: {}, CodeUnknownLoRA: {}, CodeUnknownPreset: {}, CodeNotFound: {},
	CodeConflict: {}, CodeUnauthorized: {}, CodeForbiddenOrigin: {}, CodeMisdirected: {}, CodeBodyTooLarge: {},
	CodeMethodNotAllowed: {}, CodeUnsupportedMedia: {}, CodeQueueFull: {}, CodeNotReady: {}, CodeRangeUnsatisfied: {},
	CodeModelNotInstalled: {}, CodeMaskBad: {},
	CodeOOMLoad: {retry: true}, CodeOOMRun: {retry: true}, CodeGPUContext: {retry: true},
	CodeWeightsMissing: {}, CodeWeightsCorrupt: {}, CodeLoRAMismatch: {}, CodeDiskFull: {}, CodeDiskError: {},
	CodeNaNOutput:  {},
	CodeWorkerDied: {retry: true}, CodeWorkerStalled: {retry: true}, CodePoison: {}, CodeCanceled: {},
	CodeProtocol: {retry: true}, CodeEnvBroken: {}, CodeInternal: {retry: true},
	CodeHubUnreachable: {}, CodeHubDenied: {}, CodeHubBroken: {},
}

// Codes lists every code that qie can answer.
func Codes() []Code {
	codes := make([]Code, 0, len(codeFacts))
	for c := range codeFacts {
		codes = append(codes, c)
	}
	return codes
}

// Retryable tells whether one automatic second attempt makes sense after this code.
func (c Code) Retryable() bool { return codeFacts[c].retry }

// Error is a failure that a person can read and a program can match.
type Error struct {
	Code    Code
	Message string // the cause, with the limit or what was measured
	Done    string // what qie did about it; empty is what codeWords says
	Hint    string // the one next action; empty is what codeWords says
	Report  string // name of the crash report, where there is one
	Err     error  // for the log only
}

// Errorf makes an Error; %w is kept for the log.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint adds the one next action.
func (e *Error) WithHint(hint string) *Error {
	e.Hint = hint
	return e
}

// WithDone adds what was done about it.
func (e *Error) WithDone(done string) *Error {
	e.Done = done
	return e
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }
func (e *Error) Unwrap() error { return e.Err }

// Failure is the part of the error that a person reads: cause, what was done, next action. None of them is empty.
func (e *Error) Failure() Failure {
	done, hint := e.worded()
	return Failure{Code: e.Code, Message: cmp.Or(e.Message, e.Code.Words().What), Done: done, Hint: hint, Report: e.Report}
}

// AsError finds the typed error inside err; anything else is internal to the user and full text in the log.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "something went wrong inside qie; the log has the details", Err: err}
}
