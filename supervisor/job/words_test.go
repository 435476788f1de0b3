package job

import (
	"regexp"
	"strings"
	"testing"
)

// A failure that a person meets has three parts, whatever place made it.
func TestCode_EveryOneHasItsWords(t *testing.T) {
	title := regexp.MustCompile(`^([A-Z]|qie ).*\.$`)
	for _, c := range Codes() {
		w := c.Words()
		if !title.MatchString(w.What) {
			t.Errorf("%s: what happened is %q, want one sentence", c, w.What)
		}
		for name, text := range map[string]string{"what was done": w.Done, "the next action": w.Next} {
			if text == "" || strings.HasSuffix(text, ".") || text[0] >= 'A' && text[0] <= 'Z' {
				t.Errorf("%s: %s is %q, want a part of a sentence", c, name, text)
			}
		}
		f := (&Error{Code: c, Message: "it measured 3"}).Failure()
		if f.Message != "it measured 3" || f.Done != w.Done || f.Hint != w.Next {
			t.Errorf("%s: the failure is %+v", c, f)
		}
	}
	if len(codeWords) != len(codeFacts) {
		t.Errorf("%d codes have words and %d are known", len(codeWords), len(codeFacts))
	}
}

func TestFailure_ThePlaceThatKnowsBetterIsHeard(t *testing.T) {
	e := Errorf(CodeOOMRun, "it held 9 GB").WithHint("use a smaller photo").WithDone("it was not tried again")
	if f := e.Failure(); f.Hint != "use a smaller photo" || f.Done != "it was not tried again" || f.Error().Failure() != f {
		t.Errorf("got %+v", f)
	}
}

func TestState_EveryOneHasAWord(t *testing.T) {
	for _, s := range States {
		if s.Word() == "" {
			t.Errorf("state %s has no word", s)
		}
	}
	for _, p := range Phases {
		if p.Word() == "" {
			t.Errorf("phase %s has no word", p)
		}
	}
}
