package picture

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"

	"qie/supervisor/job"
)

// NormalizeMask decodes src and writes it to dst as an upright 8-bit grey PNG: white may change, black stays, grey
// mixes. A picture with transparent parts is read as OpenAI's clients send it: clear may change, opaque stays. share is
// the part of the pixels that may change at all, more than 0 and at most 1; a mask of none is refused.
func NormalizeMask(src, dst *os.File, limits Limits) (info Info, share float64, err error) {
	flat, opaque, format, err := decodeFlat(src, limits)
	if err != nil {
		return Info{}, 0, err
	}
	mask := image.NewGray(flat.Rect)
	chosen := 0
	for i := range mask.Pix {
		px := flat.Pix[4*i : 4*i+4 : 4*i+4]
		if opaque {
			mask.Pix[i] = luma(px)
		} else {
			mask.Pix[i] = 255 - px[3]
		}
		if mask.Pix[i] > 0 {
			chosen++
		}
	}
	if chosen == 0 {
		return Info{}, 0, job.Errorf(job.CodeMaskBad, "the mask is black everywhere: nothing may change").
			WithHint("paint white what may change")
	}
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(dst, mask); err != nil {
		return Info{}, 0, fmt.Errorf("write the mask: %w", err)
	}
	return Info{Width: mask.Rect.Dx(), Height: mask.Rect.Dy(), Format: format}, float64(chosen) / float64(len(mask.Pix)), nil
}

// luma is the grey of a colour with the weights of BT.601; equal parts give themselves.
func luma(px []uint8) uint8 {
	return uint8((19595*uint32(px[0]) + 38470*uint32(px[1]) + 7471*uint32(px[2]) + 1<<15) >> 16)
}

// decodeFlat gives the picture upright, its colours untouched, and whether it is opaque. A transparent one is
// premultiplied.
func decodeFlat(src *os.File, limits Limits) (flat *image.RGBA, opaque bool, format Format, err error) {
	stat, format, err := inspect(src, limits)
	if err != nil {
		return nil, false, "", err
	}
	decoding <- struct{}{}
	defer func() { <-decoding }()
	defer func() {
		if p := recover(); p != nil {
			flat, opaque = nil, false
			err = job.Errorf(job.CodeImageBroken, "the %s file cannot be decoded", format)
		}
	}()
	decoded, err := decode(format, io.NewSectionReader(src, 0, stat.Size()))
	if err != nil {
		return nil, false, "", broken(format, err)
	}
	flat = rgba(decoded)
	return upright(flat, readMeta(format, io.NewSectionReader(src, 0, stat.Size())).orientation), flat.Opaque(), format, nil
}

// rgba gives the pixels from the origin on, 8 bits a channel.
func rgba(src image.Image) *image.RGBA {
	if same, ok := src.(*image.RGBA); ok && same.Rect.Min == (image.Point{}) && same.Stride == 4*same.Rect.Dx() {
		return same
	}
	dst := image.NewRGBA(image.Rect(0, 0, src.Bounds().Dx(), src.Bounds().Dy()))
	draw.Draw(dst, dst.Rect, src, src.Bounds().Min, draw.Src)
	return dst
}

// Layers are what Merge reads: PNG files of one size that qie or its worker wrote.
type Layers struct {
	Source, Result, Mask io.Reader
}

// Merge writes a PNG to dst that is the result where the mask is white, the source where it is black, and a mixture
// where it is grey: outside of the mask every pixel is the source's, bit for bit. untouched is the part of all pixels
// that are equal to the source's, 0 to 1.
func Merge(layers Layers, dst io.Writer) (untouched float64, err error) {
	decoding <- struct{}{}
	defer func() { <-decoding }()
	source, err := pngOf(layers.Source, "photo")
	if err != nil {
		return 0, err
	}
	result, err := pngOf(layers.Result, "result")
	if err != nil {
		return 0, err
	}
	mask, err := maskOf(layers.Mask)
	if err != nil {
		return 0, err
	}
	if source.Rect != result.Rect || source.Rect != mask.Rect {
		return 0, job.Errorf(job.CodeInternal, "photo, mask and result differ in size: %v, %v, %v", source.Rect.Max, mask.Rect.Max, result.Rect.Max)
	}
	equal := 0
	for i, m := range mask.Pix {
		from, to := source.Pix[4*i:4*i+4:4*i+4], result.Pix[4*i:4*i+4:4*i+4]
		same := true
		for c := range 3 {
			to[c] = mix(from[c], to[c], m)
			same = same && to[c] == from[c]
		}
		to[3] = 255
		if same {
			equal++
		}
	}
	buffered := bufio.NewWriterSize(dst, 1<<20)
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := errors.Join(encoder.Encode(buffered, result), buffered.Flush()); err != nil {
		return 0, fmt.Errorf("write the merged picture: %w", err)
	}
	return float64(equal) / float64(len(mask.Pix)), nil
}

// mix rounds to the nearest; 0 is exactly a, 255 is exactly b.
func mix(a, b, of255 uint8) uint8 {
	m := uint32(of255)
	return uint8((uint32(a)*(255-m) + uint32(b)*m + 127) / 255)
}

func pngOf(r io.Reader, what string) (*image.RGBA, error) {
	decoded, err := png.Decode(bufio.NewReader(r))
	if err != nil {
		return nil, job.Errorf(job.CodeInternal, "the %s cannot be decoded: %w", what, err)
	}
	return rgba(decoded), nil
}

func maskOf(r io.Reader) (*image.Gray, error) {
	decoded, err := png.Decode(bufio.NewReader(r))
	if err != nil {
		return nil, job.Errorf(job.CodeInternal, "the mask cannot be decoded: %w", err)
	}
	mask, ok := decoded.(*image.Gray)
	if !ok {
		return nil, job.Errorf(job.CodeInternal, "the mask is a %T", decoded)
	}
	return mask, nil
}
