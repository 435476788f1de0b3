package model

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"qie/supervisor/job"
)

// Shapes is what the memory that a model takes follows from: numbers of its configurations, and how many parameters of
// each part stay in memory. The zero value is of a model whose files do not tell.
type Shapes struct {
	// Parameters in memory: of the text encoder without its output head, of the transformer, and of the VAE with one
	// temporal tap of each convolution.
	TextParams, CoreParams, VAEParams int64

	Width     int  // of the transformer's stream
	HeadWidth int  // of one of its attention heads
	ZeroCond  bool // it modulates references and output apart

	VAEWidth int // channels at the full size of the picture
	VAEScale int // picture pixels per latent pixel

	TextWidth, TextHidden     int // of the language model: its stream, and inside its feed-forward
	VisionWidth, VisionHidden int // of the picture tower
	Patch, Merge              int // picture pixels per patch, patches per token along a side
	MinPixels, MaxPixels      int // of a picture that the text encoder sees
}

// Known tells whether the model's files told everything.
func (s Shapes) Known() bool { return s.CoreParams > 0 }

// Full is Qwen-Image-Edit, 2509 and 2511, for who has not fetched it yet. 2511 is the one with ZeroCond.
var Full = Shapes{TextParams: 7_747_169_280, CoreParams: 20_430_401_088, VAEParams: 45_375_859, Width: 3072, HeadWidth: 128,
	ZeroCond: true, VAEWidth: 96, VAEScale: 8, TextWidth: 3584, TextHidden: 18944, VisionWidth: 1280, VisionHidden: 3420,
	Patch: 14, Merge: 2, MinPixels: 56 * 56, MaxPixels: 12_845_056}

// headerMax is the largest header of a safetensors file that is read; the real ones have well under 1 MB.
const headerMax = 100 << 20

// ReadShapes reads the configurations of a model directory and the headers of its weight files, no weights.
func ReadShapes(dir string) (Shapes, error) {
	var core struct {
		Heads    int  `json:"num_attention_heads"`
		Head     int  `json:"attention_head_dim"`
		ZeroCond bool `json:"zero_cond_t"`
	}
	var vae struct {
		Base int    `json:"base_dim"`
		Mult []int  `json:"dim_mult"`
		Down []bool `json:"temperal_downsample"`
	}
	type tower struct {
		Width  int `json:"hidden_size"`
		Hidden int `json:"intermediate_size"`
	}
	var text struct {
		tower        // as published, the language model's numbers stand beside the parts'
		Text   tower `json:"text_config"`
		Vision tower `json:"vision_config"`
	}
	var pictures struct {
		Patch int `json:"patch_size"`
		Merge int `json:"merge_size"`
		Min   int `json:"min_pixels"`
		Max   int `json:"max_pixels"`
		Size  struct {
			Shortest int `json:"shortest_edge"`
			Longest  int `json:"longest_edge"`
		} `json:"size"`
	}
	for path, into := range map[string]any{"transformer/config.json": &core, "vae/config.json": &vae,
		"text_encoder/config.json": &text, "processor/preprocessor_config.json": &pictures} {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			return Shapes{}, fmt.Errorf("shapes of the model: %w", err)
		}
	}
	if text.Text.Width == 0 {
		text.Text = text.tower
	}
	s := Shapes{Width: core.Heads * core.Head, HeadWidth: core.Head, ZeroCond: core.ZeroCond, VAEWidth: vae.Base,
		VAEScale: 1 << len(vae.Down), TextWidth: text.Text.Width, TextHidden: text.Text.Hidden, VisionWidth: text.Vision.Width,
		VisionHidden: text.Vision.Hidden, Patch: or(pictures.Patch, 14), Merge: or(pictures.Merge, 2),
		MinPixels: or(pictures.Min, pictures.Size.Shortest, 56*56), MaxPixels: or(pictures.Max, pictures.Size.Longest, 28*28*1280)}
	if len(vae.Mult) > 0 {
		s.VAEWidth *= vae.Mult[0]
	}
	for part, into := range map[string]*int64{"text_encoder": &s.TextParams, "transformer": &s.CoreParams, "vae": &s.VAEParams} {
		n, err := parameters(filepath.Join(dir, part), part == "vae")
		if err != nil {
			return Shapes{}, err
		}
		*into = n
	}
	if s.Width == 0 || s.VAEWidth == 0 || s.TextWidth == 0 || s.CoreParams == 0 {
		return Shapes{}, errors.New("shapes of the model: a configuration lacks its numbers")
	}
	return s, nil
}

func or(numbers ...int) int {
	for _, n := range numbers {
		if n != 0 {
			return n
		}
	}
	return 0
}

// parameters counts what the weight files of a part leave in memory. oneTap: of a convolution over frames, the worker
// keeps what one frame needs (pyruntime/vae.py).
func parameters(dir string, oneTap bool) (int64, error) {
	files, err := filepath.Glob(filepath.Join(quoted(dir), "*.safetensors"))
	if err != nil {
		return 0, fmt.Errorf("weights: %w", err)
	}
	var total int64
	for _, path := range files {
		header, err := readHeader(path)
		if err != nil {
			return 0, err
		}
		for name, t := range header {
			if name == "__metadata__" || strings.HasPrefix(name, "lm_head.") {
				continue
			}
			n := int64(1)
			for i, side := range t.Shape {
				if oneTap && len(t.Shape) == 5 && i == 2 {
					continue
				}
				n *= side
			}
			total += n
		}
	}
	return total, nil
}

type tensor struct {
	Shape []int64 `json:"shape"`
}

func readHeader(path string) (map[string]tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	defer func() { _ = f.Close() }()
	broken := job.Errorf(job.CodeWeightsCorrupt, "%s/%s has a damaged header", filepath.Base(filepath.Dir(path)), filepath.Base(path))
	var length uint64
	if err := binary.Read(f, binary.LittleEndian, &length); err != nil || length > headerMax {
		return nil, broken
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(length)))
	if err != nil || uint64(len(data)) != length {
		return nil, broken
	}
	header := map[string]tensor{}
	if err := json.Unmarshal(data, &header); err != nil {
		return nil, broken
	}
	return header, nil
}
