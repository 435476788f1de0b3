package job

import "cmp"

// Words is what a person reads of a failure besides its message, which has the measured facts: what happened, what qie
// did about it, and the one next action. This table is their only owner: the command line prints it, the API sends it
// with every failure, and the page's dictionary is generated from it. Whoever makes an Error and knows better says so in
// its Done and Hint.
type Words struct{ What, Done, Next string }

const (
	nothingQueued  = "nothing was queued"
	nothingChanged = "nothing was changed"
	othersGoOn     = "this edit was ended; the others go on"
	reloadPage     = "reload the page; it may be older than the server"
	printedAddress = "open the page at the address that qie printed"
	checkModel     = "run: qie doctor"
)

var codeWords = map[Code]Words{
	CodeInputBad:          {"qie did not understand the request.", nothingQueued, "change what the message names and send it again"},
	CodePromptEmpty:       {"The prompt is empty.", nothingQueued, "write what should change"},
	CodePromptTooLong:     {"The prompt is too long.", nothingQueued, "shorten it"},
	CodeOutOfRange:        {"A setting is out of its range.", nothingQueued, "correct it and send the edit again"},
	CodeUnknownField:      {"qie does not know a part of the request.", nothingQueued, reloadPage},
	CodeImageMissing:      {"There is no photo yet.", nothingQueued, "choose one"},
	CodeImageUnsupported:  {"This kind of file cannot be edited.", nothingQueued, "use JPEG, PNG, WebP or BMP; a HEIC photo can be exported as JPEG in Photos or Preview"},
	CodeImageBroken:       {"The photo cannot be read.", nothingQueued, "open it in a viewer and save it again, or choose another"},
	CodeImageTooLarge:     {"The file is too large.", nothingQueued, "use a file of at most 100 MB"},
	CodeTooManyPixels:     {"The photo has too many pixels.", nothingQueued, "make it smaller first"},
	CodeMaskBad:           {"The mask does not fit the photo.", nothingQueued, "draw the mask on this photo, or send the edit without one"},
	CodeTooManyImages:     {"This model does not take so many photos.", nothingQueued, "remove one"},
	CodeUnknownModel:      {"That model is not known here.", nothingChanged, "choose a model that is installed: qie models"},
	CodeUnknownLoRA:       {"That LoRA is not known here.", nothingQueued, "remove it from the settings; qie models lists those that are here"},
	CodeUnknownPreset:     {"That preset is not known to the model.", nothingQueued, "choose another; qie models lists them"},
	CodeNotFound:          {"It is not there any more.", nothingChanged, "choose another job from the history: qie jobs"},
	CodeConflict:          {"That is not possible in the job's present state.", nothingChanged, "look at the job's state and try again"},
	CodeUnauthorized:      {"qie asks for its token.", nothingChanged, "enter the token that qie printed at its start"},
	CodeForbiddenOrigin:   {"qie refused the request because of where it came from.", nothingChanged, printedAddress},
	CodeMisdirected:       {"qie does not answer to this address.", nothingChanged, printedAddress},
	CodeBodyTooLarge:      {"The request is too large.", nothingQueued, "use smaller photos"},
	CodeMethodNotAllowed:  {"The page asked in a way that the server does not know.", nothingChanged, reloadPage},
	CodeUnsupportedMedia:  {"The page sent a form that the server does not know.", nothingChanged, reloadPage},
	CodeQueueFull:         {"The line is full.", nothingQueued, "wait until an edit has ended, or cancel one"},
	CodeNotReady:          {"qie is not ready yet.", nothingChanged, "wait a moment and try again; qie status says what is missing"},
	CodeRangeUnsatisfied:  {"The picture has changed meanwhile.", nothingChanged, "reload the page"},
	CodeModelNotInstalled: {"The model is not installed.", nothingChanged, "fetch it: qie pull"},

	CodeOOMLoad:        {"The model did not fit into memory.", othersGoOn, "close other programs, then try again"},
	CodeOOMRun:         {"Memory ran out during the edit.", othersGoOn, "close other programs or choose a smaller size, then try again"},
	CodeGPUContext:     {"The graphics device stopped working.", othersGoOn, "try again; if it comes back, restart the computer"},
	CodeHubUnreachable: {"The model hub cannot be reached.", "what was fetched is kept", "check the network, then resume: qie pull"},
	CodeHubDenied:      {"The model hub refuses access.", "what was fetched is kept", "accept the model's licence on its page, and set HF_TOKEN"},
	CodeHubBroken:      {"What the model hub sends cannot be right.", "nothing wrong was kept", "check HF_ENDPOINT if it is set, else try again later"},
	CodeWeightsMissing: {"A file of the model is missing.", othersGoOn, checkModel},
	CodeWeightsCorrupt: {"A file of the model is damaged.", othersGoOn, checkModel},
	CodeLoRAMismatch:   {"The LoRA does not fit this model.", "the edit was ended before it began", "use another, or one that was made for this model"},
	CodeDiskFull:       {"The disk is full.", "nothing half-written was kept, and nothing that was accepted is lost", "free some space (qie cleanup --status shows what qie holds), then try again"},
	CodeDiskError:      {"The disk did not take what was written.", "nothing half-written was kept, and nothing that was accepted is lost", "look at the disk, then try again"},
	CodeNaNOutput:      {"The model computed no picture.", "nothing was saved, and its intermediate state was thrown away", "try another seed or another sentence"},
	CodeWorkerDied:     {"The worker ended during the edit.", othersGoOn, "try again; if it comes back, look at the report: qie crashes"},
	CodeWorkerStalled:  {"The worker stopped answering during the edit.", othersGoOn, "try again; if it comes back, look at the report: qie crashes"},
	CodePoison:         {"This edit made the worker fail twice.", "it was set aside, and the queue goes on with the next", "change the photo, the size or the sentence, then try again"},
	CodeCanceled:       {"The edit was canceled.", "what it had computed was thrown away", "try again if you still want it"},
	CodeProtocol:       {"Supervisor and worker misunderstood each other.", othersGoOn, "try again; if it comes back, run: ./setup.sh"},
	CodeEnvBroken:      {"The Python environment is damaged.", "the queue waits, and nothing is lost", "run: ./setup.sh"},
	CodeInternal:       {"Something went wrong inside qie.", othersGoOn, "try again; the log in the data folder has the details"},
}

// Words gives what a person reads of the code where nobody said it better.
func (c Code) Words() Words { return codeWords[c] }

// worded fills what the place that made the error left open.
func (e *Error) worded() (done, hint string) {
	w := e.Code.Words()
	return cmp.Or(e.Done, w.Done), cmp.Or(e.Hint, w.Next)
}

// Word is the state as a person reads it.
func (s State) Word() string { return stateWords[s] }

var stateWords = map[State]string{
	Queued: "waiting", Dispatched: "starting", Running: "running", Canceling: "canceling",
	Succeeded: "done", Failed: "failed", Canceled: "canceled", Interrupted: "interrupted",
}

// Word is the phase as a person reads it.
func (p Phase) Word() string { return phaseWords[p] }

var phaseWords = map[Phase]string{
	Loading: "Loading the model", Encode: "Reading photo and sentence", Denoise: "Editing",
	Decode: "Drawing the result", Save: "Saving",
}
