package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/bmp"

	"qie/supervisor/job"
)

// normalize runs data through Normalize and gives what came out.
func normalize(t *testing.T, data []byte, limits Limits) (*image.RGBA, Info, []job.Notice, error) {
	t.Helper()
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "in"), filepath.Join(dir, "out.png")
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	info, notices, err := Normalize(in, out, limits)
	if err != nil {
		return nil, info, notices, err
	}
	written, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	flat, _ := flatten(img)
	return flat, info, notices, nil
}

// corners is 16x8 with another colour in each quarter, so that every orientation looks different.
func corners() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 16, 8))
	for y := range 8 {
		for x := range 16 {
			c := color.RGBA{A: 255}
			switch {
			case x < 8 && y < 4:
				c.R = 255
			case y < 4:
				c.G = 255
			case x < 8:
				c.B = 255
			default:
				c.R, c.G = 255, 255
			}
			img.Set(x, y, c)
		}
	}
	return img
}

func encodePNG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func encodeJPEG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: 98}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// withChunk puts a chunk right behind the header of a PNG.
func withChunk(data []byte, kind string, body []byte) []byte {
	const ihdr = 8 + 25
	out := bytes.Clone(data[:ihdr])
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	framed := append([]byte(kind), body...)
	out = append(out, framed...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(framed))
	return append(out, data[ihdr:]...)
}

// withSegment puts an APP segment right behind the start of a JPEG.
func withSegment(data []byte, marker byte, body []byte) []byte {
	out := append(bytes.Clone(data[:2]), 0xff, marker)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	out = append(out, body...)
	return append(out, data[2:]...)
}

func exifBlock(order binary.AppendByteOrder, o uint16) []byte {
	head := []byte("II*\x00")
	if order == binary.BigEndian {
		head = []byte("MM\x00*")
	}
	b := order.AppendUint32(head, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0x0112)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, o)
	b = order.AppendUint16(b, 0)
	return order.AppendUint32(b, 0)
}

func TestUpright(t *testing.T) {
	red, green := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}
	blue, yellow := color.RGBA{0, 0, 255, 255}, color.RGBA{255, 255, 0, 255}
	// Top left, top right, bottom left, bottom right after turning, from the EXIF specification.
	want := map[uint16][4]color.RGBA{
		1: {red, green, blue, yellow}, 2: {green, red, yellow, blue},
		3: {yellow, blue, green, red}, 4: {blue, yellow, red, green},
		5: {red, blue, green, yellow}, 6: {blue, red, yellow, green},
		7: {yellow, green, blue, red}, 8: {green, yellow, red, blue},
	}
	for o, quarter := range want {
		for name, data := range map[string][]byte{
			"png":  withChunk(encodePNG(t, corners()), "eXIf", exifBlock(binary.BigEndian, o)),
			"jpeg": withSegment(encodeJPEG(t, corners()), 0xe1, append([]byte("Exif\x00\x00"), exifBlock(binary.LittleEndian, o)...)),
		} {
			img, info, _, err := normalize(t, data, Limits{})
			if err != nil {
				t.Fatalf("%s orientation %d: %v", name, o, err)
			}
			w, h := 16, 8
			if o >= 5 {
				w, h = 8, 16
			}
			if info.Width != w || info.Height != h {
				t.Fatalf("%s orientation %d: %d x %d, want %d x %d", name, o, info.Width, info.Height, w, h)
			}
			at := [4]image.Point{{1, 1}, {w - 2, 1}, {1, h - 2}, {w - 2, h - 2}}
			for i, p := range at {
				if got := img.RGBAAt(p.X, p.Y); far(got, quarter[i]) > 12 {
					t.Errorf("%s orientation %d: quarter %d is %v, want %v", name, o, i, got, quarter[i])
				}
			}
		}
	}
}

func far(a, b color.RGBA) int {
	return max(abs(int(a.R)-int(b.R)), abs(int(a.G)-int(b.G)), abs(int(a.B)-int(b.B)))
}

func abs(v int) int { return max(v, -v) }

// iccProfile builds a profile of three primaries under D50 and one curve tag for all channels.
func iccProfile(space string, primaries [3][3]float64, trc []byte) []byte {
	type tag struct {
		name string
		body []byte
	}
	var tags []tag
	for i, c := range []string{"r", "g", "b"} {
		xyz := []byte("XYZ \x00\x00\x00\x00")
		for _, v := range primaries[i] {
			xyz = binary.BigEndian.AppendUint32(xyz, uint32(int32(v*65536)))
		}
		tags = append(tags, tag{c + "XYZ", xyz}, tag{c + "TRC", trc})
	}
	head := make([]byte, 128)
	copy(head[16:], space+"XYZ ")
	copy(head[36:], "acsp")
	out := binary.BigEndian.AppendUint32(head, uint32(len(tags)))
	at := 132 + 12*len(tags)
	var bodies []byte
	for _, t := range tags {
		out = append(out, t.name...)
		out = binary.BigEndian.AppendUint32(out, uint32(at+len(bodies)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(t.body)))
		bodies = append(bodies, t.body...)
		for len(bodies)%4 != 0 {
			bodies = append(bodies, 0)
		}
	}
	return append(out, bodies...)
}

var (
	p3   = [3][3]float64{{0.51512, 0.2412, -0.00105}, {0.29198, 0.69225, 0.04189}, {0.1571, 0.06657, 0.78407}}
	srgb = [3][3]float64{{0.43607, 0.22249, 0.01392}, {0.38515, 0.71687, 0.09708}, {0.14307, 0.06061, 0.7141}}
)

// srgbCurve is the curve of sRGB as a parametric tag of type 3.
func srgbCurve() []byte {
	b := append([]byte("para\x00\x00\x00\x00"), 0, 3, 0, 0)
	for _, v := range []float64{2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045} {
		b = binary.BigEndian.AppendUint32(b, uint32(int32(v*65536)))
	}
	return b
}

func iccp(profile []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(profile)
	_ = w.Close()
	return append([]byte("test\x00\x00"), z.Bytes()...)
}

func TestProfiles(t *testing.T) {
	flat := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range 64 {
		flat.Set(i%8, i/8, color.RGBA{200, 100, 50, 255})
	}
	gamma22 := append([]byte("curv\x00\x00\x00\x00"), 0, 0, 0, 1, 0x02, 0x33)
	tests := []struct {
		name    string
		profile []byte
		want    color.RGBA
		notice  string
	}{
		{"sRGB stays", iccProfile("RGB ", srgb, srgbCurve()), color.RGBA{200, 100, 50, 255}, ""},
		// By hand from the published linear matrix P3 to sRGB (1.2249 -0.2247 0; ...): 214.9, 92.6, 30.9.
		{"Display P3", iccProfile("RGB ", p3, srgbCurve()), color.RGBA{215, 93, 31, 255}, ""},
		{"gamma 2.2", iccProfile("RGB ", srgb, gamma22), color.RGBA{200, 99, 45, 255}, ""},
		{"not a matrix", iccProfile("RGB ", srgb, []byte("mft2\x00\x00\x00\x00\x00\x00\x00\x00")), color.RGBA{200, 100, 50, 255}, "profile_ignored"},
		{"garbage", []byte("no profile"), color.RGBA{200, 100, 50, 255}, "profile_ignored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			segment := append([]byte("ICC_PROFILE\x00\x01\x01"), tt.profile...)
			for kind, data := range map[string][]byte{
				"png":  withChunk(encodePNG(t, flat), "iCCP", iccp(tt.profile)),
				"jpeg": withSegment(encodeJPEG(t, flat), 0xe2, segment),
			} {
				img, _, notices, err := normalize(t, data, Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if got := img.RGBAAt(4, 4); far(got, tt.want) > 3 {
					t.Errorf("%s: got %v, want %v", kind, got, tt.want)
				}
				if has := len(notices) > 0; has != (tt.notice != "") || has && notices[0].Code != tt.notice {
					t.Errorf("%s: notices %v, want %q", kind, notices, tt.notice)
				}
			}
		})
	}
}

func TestPixelKinds(t *testing.T) {
	deep := image.NewNRGBA64(image.Rect(0, 0, 4, 4))
	clear := image.NewNRGBA(image.Rect(0, 0, 4, 4))
	for i := range 16 {
		deep.Set(i%4, i/4, color.NRGBA64{0xc8c8, 0x6464, 0x3232, 0xffff})
		clear.Set(i%4, i/4, color.NRGBA{0, 0, 0, 128})
	}
	img, _, notices, err := normalize(t, encodePNG(t, deep), Limits{})
	if err != nil || len(notices) != 0 || far(img.RGBAAt(1, 1), color.RGBA{200, 100, 50, 255}) > 0 {
		t.Fatalf("16 bit: %v %v %v", img, notices, err)
	}
	img, _, notices, err = normalize(t, encodePNG(t, clear), Limits{})
	if err != nil || len(notices) != 1 || notices[0].Code != "alpha_flattened" {
		t.Fatalf("alpha: %v %v", notices, err)
	}
	if far(img.RGBAAt(1, 1), color.RGBA{127, 127, 127, 255}) > 1 {
		t.Errorf("half black on white is %v", img.RGBAAt(1, 1))
	}
	_, notices = flatten(image.NewCMYK(image.Rect(0, 0, 2, 2)))
	if len(notices) != 1 || notices[0].Code != "cmyk_converted" {
		t.Errorf("CMYK: %v", notices)
	}
	var buf bytes.Buffer
	if err := bmp.Encode(&buf, corners()); err != nil {
		t.Fatal(err)
	}
	if _, info, _, err := normalize(t, buf.Bytes(), Limits{}); err != nil || info.Format != BMP {
		t.Errorf("BMP: %v %v", info, err)
	}
}

// headerOnly is a PNG that claims a size and has no pixels.
func headerOnly(w, h uint32) []byte {
	body := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	body = binary.BigEndian.AppendUint32(body, h)
	body = append(body, 16, 6, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
}

func TestRefused(t *testing.T) {
	whole := encodeJPEG(t, corners())
	wholePNG := encodePNG(t, corners())
	tests := []struct {
		name string
		data []byte
		code job.Code
		word string
	}{
		{"empty", nil, job.CodeImageBroken, "empty"},
		{"text", []byte("hello, I am a photo.jpg"), job.CodeImageUnsupported, "JPEG, PNG, WebP and BMP"},
		{"HEIC", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"), job.CodeImageUnsupported, "HEIC"},
		{"AVIF", []byte("\x00\x00\x00\x18ftypavif\x00\x00\x00\x00"), job.CodeImageUnsupported, "AVIF"},
		{"GIF", []byte("GIF89a\x01\x00\x01\x00"), job.CodeImageUnsupported, "GIF"},
		{"TIFF", []byte("II*\x00\x08\x00\x00\x00"), job.CodeImageUnsupported, "TIFF"},
		{"SVG", []byte("<svg onload=alert(1)>"), job.CodeImageUnsupported, "SVG"},
		{"half a JPEG", whole[:len(whole)*2/3], job.CodeImageBroken, "truncated"},
		{"half a PNG", wholePNG[:len(wholePNG)-20], job.CodeImageBroken, ""},
		{"PNG header only", headerOnly(64, 64), job.CodeImageBroken, ""},
		{"50 megapixels and one row", headerOnly(10000, 5001), job.CodeTooManyPixels, "50 megapixels"},
		{"a side too long", headerOnly(16385, 10), job.CodeTooManyPixels, "16384"},
		{"two thousand million", headerOnly(0x7fffffff, 0x7fffffff), "", ""},
		{"WebP of nothing", []byte("RIFF\x04\x00\x00\x00WEBP"), job.CodeImageBroken, ""},
		{"BMP of nothing", []byte("BM"), job.CodeImageBroken, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := normalize(t, tt.data, Limits{})
			var typed *job.Error
			if !errors.As(err, &typed) {
				t.Fatalf("got %v, want a typed error", err)
			}
			if tt.code != "" && typed.Code != tt.code || !strings.Contains(typed.Message, tt.word) {
				t.Errorf("got %s %q, want %s with %q", typed.Code, typed.Message, tt.code, tt.word)
			}
		})
	}
	_, _, _, err := normalize(t, whole, Limits{Bytes: 100})
	if job.AsError(err).Code != job.CodeImageTooLarge {
		t.Errorf("too many bytes: %v", err)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(exifBlock(binary.BigEndian, 6))
	f.Add(iccProfile("RGB ", p3, srgbCurve()))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []Format{JPEG, PNG, WebP} {
			readMeta(format, bytes.NewReader(data))
		}
		orientation(data)
		if p, ok := parseICC(data); ok {
			p.convert(image.NewRGBA(image.Rect(0, 0, 2, 2)))
		}
	})
}
