package plan

import (
	"fmt"
	"slices"

	"qie/supervisor/host"
	"qie/supervisor/job"
	"qie/supervisor/model"
)

// Memory is what an attempt takes under one profile, predicted from the model's shapes: bytes held at the most in each
// phase, weights and all that is computed with them. What the process itself takes (Python, torch, a CUDA context) is not
// in it. supervisor/plan/testdata/peaks.json has what was counted; the prediction is within 5 % of it.
type Memory struct {
	Profile                       string
	Load, Encode, Denoise, Decode int64
}

// Peak is the most of all phases.
func (m Memory) Peak() int64 { return max(m.Load, m.Encode, m.Denoise, m.Decode) }

// Size in pixels.
type Size struct{ Width, Height int }

func (s Size) pixels() int64 { return int64(s.Width) * int64(s.Height) }

// Bytes of one number in memory. The worker computes in bfloat16 on a GPU and in float32 on a CPU.
const (
	bytes16 = 2
	bytes32 = 4
)

// ItemBytes is how large a number of this format is; unknown formats count as 16 bit, which is what a GPU gets.
func ItemBytes(dtype string) int64 {
	if dtype == "float32" {
		return bytes32
	}
	return bytes16
}

// What the worker's tiles measure, in pixels (pyruntime/vae.py: TILE, 64 latent pixels of 8).
const tileLatents = 64

// Predict gives what the attempt takes under every profile, from the most memory to the least. Of a model whose files do
// not tell their shapes only the first can be said, by the size of its files.
func (p Plan) Predict(itemBytes int64) []Memory {
	s := p.Shapes
	if !s.Known() {
		all := p.WeightBytes * itemBytes / bytes16
		return []Memory{{Profile: ProfileResident, Load: all, Encode: all, Denoise: all, Decode: all}}
	}
	text, core := s.TextParams*itemBytes, s.CoreParams*itemBytes
	vae := s.VAEParams*itemBytes + rotaryRows*int64(s.HeadWidth)*2*bytes32 // and the transformer's tables, which stay as well
	reads, steps := p.reading(itemBytes), p.stepping(itemBytes)
	encode, decode := p.painting(itemBytes, false)
	weights := text + core + vae
	tiledEncode, tiledDecode := p.painting(itemBytes, true)
	staged := func(profile string, encode, decode int64) Memory {
		return Memory{Profile: profile, Load: text + vae, Encode: max(text+vae+reads, vae+encode, vae+core), Denoise: core + vae + steps, Decode: vae + decode}
	}
	return []Memory{
		{Profile: ProfileResident, Load: weights, Encode: weights + max(reads, encode), Denoise: weights + steps, Decode: weights + decode},
		staged(ProfileStaged, encode, decode),
		staged(ProfileTiled, tiledEncode, tiledDecode),
	}
}

// stepping is what a denoise step takes beside the weights. The most of it is held in the feed-forward of a block, while
// its inner activation (4 widths, before and after the gelu) is there: of the stream that is in it 15 widths a token
// live, of the other one 5 (text, which comes second) or 8 (pictures, which were first).
func (p Plan) stepping(itemBytes int64) int64 {
	s := p.Shapes
	pictures, words := p.tokens(), p.words()
	width := int64(s.Width) * itemBytes
	gates := int64(0)
	if s.ZeroCond {
		gates = 2 // the modulation is chosen token by token, and two of its results live through the block
	}
	const inside, behind, before = 15, 5, 8
	block := width * max((inside+gates)*pictures+behind*words, inside*words+(before+gates)*pictures)
	rotary := (pictures + words) * int64(s.HeadWidth) * bytes32 // complex64 of half the head
	return block + rotary + (pictures+words)*width/int64(s.Width)*channels
}

// rotaryRows is how long each of the two tables of positions is; a row has half a head of complex64.
const rotaryRows = 4096

// channels of a token of latents, as packed; small beside everything else.
const channels = 64

// reading is what the text encoder takes beside its weights: three times the inside of its feed-forward, or the patches of
// the pictures in float32 on their way.
func (p Plan) reading(itemBytes int64) int64 {
	s := p.Shapes
	const gated, streams, copies = 3, 8, 3
	patches := p.patches()
	patch := int64(2 * 3 * s.Patch * s.Patch) // two frames of three colours
	words := p.words() + systemTokens
	language := words*itemBytes*int64(gated*s.TextHidden+streams*s.TextWidth) + patches*patch*(bytes32+itemBytes)
	vision := patches * (copies*patch*bytes32 + itemBytes*int64(gated*s.VisionHidden+streams*s.VisionWidth))
	return max(language, vision)
}

// painting is what the VAE takes beside its weights: so many copies of its widest layer at the full size of the picture.
// In 16 bit the norm of that layer makes one more.
func (p Plan) painting(itemBytes int64, tiles bool) (encode, decode int64) {
	copies := int64(5)
	if itemBytes == bytes16 {
		copies++
	}
	layer := int64(p.Shapes.VAEWidth) * itemBytes
	at := func(s Size, copies int64) int64 {
		side := tileLatents * p.Shapes.VAEScale
		if !tiles || s.Width <= side && s.Height <= side {
			return s.pixels() * layer * copies
		}
		tile := Size{min(s.Width, side), min(s.Height, side)}
		const colours = 4 // three, of tiles that overlap
		return tile.pixels()*layer*copies + s.pixels()*colours*itemBytes
	}
	for _, r := range p.References {
		encode = max(encode, at(r, copies))
	}
	return encode, at(Size{p.WorkWidth, p.WorkHeight}, copies+1)
}

// tokens of output and references in the transformer.
func (p Plan) tokens() int64 {
	side := int64(2 * p.Shapes.VAEScale)
	n := Size{p.WorkWidth, p.WorkHeight}.pixels() / (side * side)
	for _, r := range p.References {
		n += r.pixels() / (side * side)
	}
	return n
}

// patches of all pictures in the text encoder.
func (p Plan) patches() int64 {
	s, n := p.Shapes, int64(0)
	factor := int64(s.Patch * s.Merge)
	for _, c := range p.Conditions {
		area := min(max(c.pixels(), int64(s.MinPixels)), int64(s.MaxPixels))
		n += area / (factor * factor) * int64(s.Merge*s.Merge)
	}
	return n
}

// systemTokens are read by the text encoder and then dropped; frameTokens are the rest of the template.
const (
	systemTokens = 64
	frameTokens  = 12
	// wordBytes is how much of a sentence a token holds, a little less than it is so that the guess is never short.
	wordBytes = 3
)

// words is how many tokens the transformer gets of sentence and pictures.
func (p Plan) words() int64 {
	s := p.Shapes
	longest := max(len(p.Prompt), len(p.NegativePrompt))
	return frameTokens*int64(max(len(p.Conditions), 1)) + int64(longest)/wordBytes + p.patches()/int64(max(s.Merge*s.Merge, 1))
}

// Room is what there is: bytes that the device can hold at all, and those of it that nobody else holds now; 0 is unknown.
type Room struct {
	Total, Free int64
	Pressed     bool // the system calls its memory pressure critical
	GPU         bool // it is the memory of a GPU of its own, not the computer's
}

// The shares of all memory. Above the first other programs suffer, above the second the machine goes down.
const (
	tightShare = 0.85
	fitsShare  = 0.95
	// Noise is what other programs come and go with; an attempt that takes less is not judged.
	Noise = 1 << 30
)

// Choice is the plan that fits.
type Choice struct {
	Memory
	Room    Room
	Refused bool     // nothing fits; this is what needs the least
	Tight   bool     // it takes nearly all there is, or more than is free now
	Below   []Memory // the plans further down
	Known   bool     // what the plans take is predicted one by one, from the shapes
}

// Lower is the first plan below the chosen one that takes less: at its peak, or in the phase that ran out. Where nobody can
// say, it is the next. Empty is none, and after a refusal: nothing ran out, and what nobody can judge would pass the gate.
func (c Choice) Lower(phase job.Phase) string {
	switch {
	case c.Refused:
		return ""
	case !c.Known:
		lower, _ := Lower(c.Profile)
		return lower
	}
	for _, m := range c.Below {
		if m.Peak() < c.Peak() || m.in(phase) < c.in(phase) {
			return m.Profile
		}
	}
	return ""
}

// in is the most that is held in a phase; saving is not predicted.
func (m Memory) in(phase job.Phase) int64 {
	return map[job.Phase]int64{job.Loading: m.Load, job.Encode: m.Encode, job.Denoise: m.Denoise, job.Decode: m.Decode}[phase]
}

// Numbers says what the plan takes and what there is, in words.
func (c Choice) Numbers() string {
	switch {
	case c.Peak() == 0:
		return "how much it takes is not known, and there are " + c.Room.String()
	case c.Room.Total == 0:
		return "it takes up to " + host.Gigabytes(c.Peak())
	}
	return fmt.Sprintf("it takes up to %s, and there are %s", host.Gigabytes(c.Peak()), c.Room)
}

// String is for example "16.0 GB, 9.1 GB of them free".
func (r Room) String() string {
	if r.Free == 0 {
		return host.Gigabytes(r.Total)
	}
	return fmt.Sprintf("%s, %s of them free", host.Gigabytes(r.Total), host.Gigabytes(r.Free))
}

// Choose takes the first profile from `from` on that fits the machine and what is free of it. When nothing fits what is
// free, it takes what needs the least, the first of those that need the same, and says that it is tight: memory that other
// programs hold can be given back. What the machine cannot hold at all is refused with numbers, beside the plan that needs
// the least, unless forced.
func Choose(all []Memory, from string, room Room, forced bool) (Choice, error) {
	at := max(slices.IndexFunc(all, func(m Memory) bool { return m.Profile == from }), 0)
	if from != "" && at == 0 && all[0].Profile != from {
		return Choice{Memory: Memory{Profile: from}, Room: room}, nil // nobody can say what it takes; it is less than what ran out
	}
	chosen := func(i int) Choice {
		return Choice{Memory: all[i], Room: room, Below: all[i+1:], Known: len(all) > 1}
	}
	least := at
	for i := at; i < len(all); i++ {
		peak := all[i].Peak()
		if peak < all[least].Peak() {
			least = i
		}
		if peak < Noise || room.Total == 0 {
			return chosen(i), nil
		}
		share := float64(peak) / float64(room.Total)
		if share < fitsShare && (room.Free == 0 || peak <= room.Free) {
			c := chosen(i)
			c.Tight = share >= tightShare || room.Pressed
			return c, nil
		}
	}
	c := chosen(least)
	if float64(c.Peak()) < fitsShare*float64(room.Total) || forced {
		c.Tight = true
		return c, nil
	}
	c.Refused = true
	have := "this computer has %s, which would take the computer down"
	if room.GPU {
		have = "the GPU has %s of memory"
	}
	return c, job.Errorf(job.CodeOOMLoad, "the model needs about %s%s and "+have, host.Gigabytes(c.Peak()), words(c.Profile), host.Gigabytes(room.Total))
}

func words(profile string) string {
	if profile == ProfileResident {
		return ""
	}
	return " even by the plan that needs the least"
}

// Judge tells what an edit of one photo takes of a machine under each plan, and which of them would be taken.
func Judge(spec model.Spec, itemBytes int64, room Room) ([]Memory, Choice) {
	all := Usual(spec).Predict(itemBytes)
	choice, _ := Choose(all, "", room, false) // what is refused says so itself
	return all, choice
}

// Says the choice in words, for who has not asked for an edit yet.
func (c Choice) Says() string {
	switch {
	case c.Room.Total == 0:
		return "how much memory this machine has is not known; " + c.Numbers()
	case c.Refused:
		return "does not fit: an edit takes " + host.Gigabytes(c.Peak()) + words(c.Profile) + ", and there are " + host.Gigabytes(c.Room.Total)
	}
	return fmt.Sprintf("fits: an edit takes up to %s of %s, with %s", host.Gigabytes(c.Peak()), host.Gigabytes(c.Room.Total), Word(c.Profile))
}

// WorkingShare of the memory of a Mac is what its GPU should hold at the most, about: macOS says the number to the worker
// only (37.4 of 48 GiB were seen).
const WorkingShare = 0.75

// Usual is the plan of an edit of one photo with one reference at the model's own area, by which a model is judged before
// anything was asked of it.
func Usual(spec model.Spec) Plan {
	photo := job.Image{Width: 1024, Height: 1024}
	p, err := Make(job.Recipe{Prompt: "make it look like a photo of a summer evening"}, []job.Image{photo}, spec, 0)
	if err != nil {
		return Plan{ModelID: spec.ID, WeightBytes: spec.Bytes}
	}
	return p
}
