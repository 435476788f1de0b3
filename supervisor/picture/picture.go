// Package picture owns the way of a stranger's file to a plain picture: what it is by its first bytes, how large its
// header says it is, and its decoding into upright sRGB PNG. Everything is decoded in Go, so that the Python worker
// never opens a file that qie did not write. It stores nothing and knows no job.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"qie/supervisor/job"
)

// Limits of one picture. The zero value means Default.
type Limits struct {
	Bytes  int64
	Pixels int64
	Side   int
}

// Default bounds memory: 50 megapixels decode to at most 400 MB even at 16 bits with alpha.
var Default = Limits{Bytes: 100 << 20, Pixels: 50_000_000, Side: 16384}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = Default.Bytes
	}
	if l.Pixels == 0 {
		l.Pixels = Default.Pixels
	}
	if l.Side == 0 {
		l.Side = Default.Side
	}
	return l
}

// Info is what the normalized picture is.
type Info struct {
	Width, Height int
	Format        Format // of the source
}

// decoding holds one token: two decoders at once would double the peak of memory.
var decoding = make(chan struct{}, 1)

// Normalize decodes src and writes it to dst as an upright 8-bit sRGB PNG without alpha or metadata. The notices tell
// a person what was lost on the way.
func Normalize(src, dst *os.File, limits Limits) (info Info, notices []job.Notice, err error) {
	stat, format, err := inspect(src, limits)
	if err != nil {
		return Info{}, nil, err
	}

	decoding <- struct{}{}
	defer func() { <-decoding }()
	// golang.org/x/image had two panics on hostile files in 2026: a broken picture is the client's, never a crash.
	defer func() {
		if p := recover(); p != nil {
			info, notices = Info{}, nil
			err = job.Errorf(job.CodeImageBroken, "the %s file cannot be decoded", format)
		}
	}()

	body := io.NewSectionReader(src, 0, stat.Size())
	decoded, err := decode(format, body)
	if err != nil {
		return Info{}, nil, broken(format, err)
	}
	meta := readMeta(format, io.NewSectionReader(src, 0, stat.Size()))

	flat, notices := flatten(decoded)
	notices = append(notices, toSRGB(flat, meta.profile)...)
	flat = upright(flat, meta.orientation)
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(dst, flat); err != nil {
		return Info{}, nil, fmt.Errorf("write the normalized picture: %w", err)
	}
	return Info{Width: flat.Rect.Dx(), Height: flat.Rect.Dy(), Format: format}, notices, nil
}

// inspect refuses by size and header what need not be decoded to be refused.
func inspect(src *os.File, limits Limits) (os.FileInfo, Format, error) {
	limits = limits.orDefault()
	stat, err := src.Stat()
	if err != nil {
		return nil, "", fmt.Errorf("size of the upload: %w", err)
	}
	if stat.Size() > limits.Bytes {
		return nil, "", job.Errorf(job.CodeImageTooLarge, "the picture has %d bytes, the limit is %d", stat.Size(), limits.Bytes)
	}
	format, width, height, err := Sniff(src)
	if err == nil {
		err = limits.check(width, height)
	}
	return stat, format, err
}

func (l Limits) check(width, height int) error {
	switch {
	case width <= 0 || height <= 0:
		return job.Errorf(job.CodeImageBroken, "the picture's header says %d x %d pixels", width, height)
	case width > l.Side || height > l.Side:
		return job.Errorf(job.CodeTooManyPixels, "the picture is %d x %d pixels, each side may have %d", width, height, l.Side)
	case int64(width)*int64(height) > l.Pixels:
		return job.Errorf(job.CodeTooManyPixels, "the picture is %d x %d pixels, the limit is %d megapixels", width, height, l.Pixels/1_000_000)
	}
	return nil
}

func decode(format Format, r io.Reader) (image.Image, error) {
	switch format {
	case JPEG:
		return jpeg.Decode(r)
	case PNG:
		return png.Decode(r)
	case WebP:
		return webp.Decode(r)
	default:
		return bmp.Decode(r)
	}
}

func decodeConfig(format Format, r io.Reader) (image.Config, error) {
	switch format {
	case JPEG:
		return jpeg.DecodeConfig(r)
	case PNG:
		return png.DecodeConfig(r)
	case WebP:
		return webp.DecodeConfig(r)
	default:
		return bmp.DecodeConfig(r)
	}
}

func broken(format Format, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return job.Errorf(job.CodeImageBroken, "the %s file ends before the picture does: it is truncated", format).
			WithHint("Copy or download the picture again.")
	}
	failure := job.Errorf(job.CodeImageBroken, "the %s file cannot be decoded: %w", format, err)
	return failure.WithHint("Open it in a picture viewer and save it again as PNG or JPEG.")
}

// heads is enough for every signature that Sniff knows.
const heads = 32

func head(r io.ReaderAt) ([]byte, error) {
	buf := make([]byte, heads)
	n, err := r.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the upload: %w", err)
	}
	return bytes.Clone(buf[:n]), nil
}
