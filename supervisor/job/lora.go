package job

import (
	"strconv"
	"strings"
)

// StrengthMax bounds the strength of a LoRA: above it every known one gives noise.
const StrengthMax = 2.0

// LoRA is one wanted LoRA as a recipe or a preset names it: "id" is strength 1, "id:0.8" another one.
type LoRA struct {
	ID       string
	Strength float64
}

// ParseLoRA reads "id" or "id:strength".
func ParseLoRA(text string) (LoRA, error) {
	id, number, given := strings.Cut(text, ":")
	if !given {
		return LoRA{id, 1}, nil
	}
	strength, err := strconv.ParseFloat(number, 64)
	if err != nil || !(strength > 0 && strength <= StrengthMax) { // NaN is refused too
		return LoRA{}, Errorf(CodeOutOfRange, "the strength of LoRA %q is %q, it must be more than 0 and at most %g", id, number, StrengthMax)
	}
	return LoRA{id, strength}, nil
}

// ParseLoRAs reads a whole list, in which each id stands once.
func ParseLoRAs(texts []string) ([]LoRA, error) {
	var list []LoRA
	seen := map[string]bool{}
	for _, text := range texts {
		l, err := ParseLoRA(text)
		if err != nil {
			return nil, err
		}
		if seen[l.ID] {
			return nil, Errorf(CodeInputBad, "LoRA %q is named twice, it can be given once", l.ID)
		}
		seen[l.ID] = true
		list = append(list, l)
	}
	return list, nil
}
