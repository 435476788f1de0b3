package picture

import (
	"bytes"
	"io"
	"math"

	"qie/supervisor/job"
)

// Format is a kind of file that qie decodes.
type Format string

// The formats. Every other one is refused by name where it can be named.
const (
	JPEG Format = "JPEG"
	PNG  Format = "PNG"
	WebP Format = "WebP"
	BMP  Format = "BMP"
)

const help = "Save it as JPEG or PNG and try again."

// Sniff tells by the first bytes what the file is, and by its header how many pixels it claims, before anything is
// decoded. The file's name is never asked.
func Sniff(r io.ReaderAt) (format Format, width, height int, err error) {
	first, err := head(r)
	if err != nil {
		return "", 0, 0, err
	}
	switch {
	case len(first) == 0:
		return "", 0, 0, job.Errorf(job.CodeImageBroken, "the picture is empty (0 bytes)")
	case bytes.HasPrefix(first, []byte{0xff, 0xd8, 0xff}):
		format = JPEG
	case bytes.HasPrefix(first, []byte("\x89PNG\r\n\x1a\n")):
		format = PNG
	case len(first) >= 12 && string(first[:4]) == "RIFF" && string(first[8:12]) == "WEBP":
		format = WebP
		if len(first) >= 21 && string(first[12:16]) == "VP8X" && first[20]&0x02 != 0 {
			return "", 0, 0, job.Errorf(job.CodeImageUnsupported, "animated WebP is not supported").WithHint(help)
		}
	case bytes.HasPrefix(first, []byte("BM")):
		format = BMP
	default:
		return "", 0, 0, unsupported(first)
	}
	defer func() {
		if p := recover(); p != nil {
			err = job.Errorf(job.CodeImageBroken, "the header of the %s file cannot be read", format)
		}
	}()
	config, err := decodeConfig(format, io.NewSectionReader(r, 0, math.MaxInt64))
	if err != nil {
		return format, 0, 0, broken(format, err)
	}
	return format, config.Width, config.Height, nil
}

// unsupported names the format where it is a known one: "HEIC" helps more than "unknown".
func unsupported(first []byte) error {
	name := "this kind of file"
	hint := help
	if len(first) >= 12 && string(first[4:8]) == "ftyp" {
		switch string(first[8:12]) {
		case "heic", "heix", "hevc", "heim", "heis", "mif1", "msf1":
			name = "HEIC"
			hint = "On an iPhone choose Settings, Camera, Formats, Most Compatible; or export the photo as JPEG."
		case "avif", "avis":
			name = "AVIF"
		}
	}
	switch {
	case bytes.HasPrefix(first, []byte("GIF8")):
		name = "GIF"
	case bytes.HasPrefix(first, []byte("II*\x00")), bytes.HasPrefix(first, []byte("MM\x00*")):
		name = "TIFF"
	case bytes.HasPrefix(first, []byte("%PDF")):
		name = "PDF"
	case bytes.HasPrefix(first, []byte("\xff\x0a")), bytes.HasPrefix(first, []byte("\x00\x00\x00\x0cJXL ")):
		name = "JPEG XL"
	case bytes.HasPrefix(first, []byte("<svg")), bytes.HasPrefix(first, []byte("<?xml")):
		name = "SVG"
	}
	return job.Errorf(job.CodeImageUnsupported, "%s is not supported; JPEG, PNG, WebP and BMP are", name).WithHint(hint)
}
