package job

import (
	"slices"
	"strings"
	"testing"
)

func TestParseLoRAs(t *testing.T) {
	got, err := ParseLoRAs([]string{"blueprint", "two-step:0.8", "c:2"})
	if want := []LoRA{{"blueprint", 1}, {"two-step", 0.8}, {"c", 2}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"a:0", "a:-1", "a:2.01", "a:", "a:x", "a:NaN", "a:Inf", "a:1:1", "a: 1"} {
		err := Recipe{Prompt: "x", LoRAs: []string{text}}.Validate()
		if err == nil || AsError(err).Code != CodeOutOfRange || !strings.Contains(err.Error(), "more than 0 and at most 2") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ParseLoRAs([]string{"a", "a:0.5"}); err == nil || AsError(err).Code != CodeInputBad {
		t.Errorf("twice the same: %v", err)
	}
}
