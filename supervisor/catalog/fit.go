package catalog

// Fit tells whether a machine can run an entry. Disk is not part of it: space can be made. The supervisor judges.
type Fit struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason" doc:"in words, with the numbers"`
	Plans  []Need `json:"plans" nullable:"false" doc:"what an edit of one photo takes under each memory plan, the fastest first; none of a part of a model"`
}

// Need is what an edit takes under one memory plan, predicted.
type Need struct {
	Plan  string `json:"plan" enum:"resident,staged,tiled"`
	Words string `json:"words" doc:"the plan as a person reads it"`
	Peak  int64  `json:"peak_bytes"`
	Taken bool   `json:"taken" doc:"the one that this machine would take"`
}
