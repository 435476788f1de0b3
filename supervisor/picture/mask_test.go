package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"qie/supervisor/job"
)

func normalizeMask(t *testing.T, data []byte) (*image.Gray, Info, float64, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(filepath.Join(dir, "out.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	info, share, err := NormalizeMask(in, out, Limits{})
	if err != nil {
		return nil, info, share, err
	}
	written, err := os.ReadFile(filepath.Join(dir, "out.png"))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	mask, ok := decoded.(*image.Gray)
	if !ok {
		t.Fatalf("the mask was written as a %T", decoded)
	}
	return mask, info, share, nil
}

func TestNormalizeMask_EveryKindOfPicture(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 16, 8))
	deep := image.NewGray16(grey.Rect)
	colours := image.NewNRGBA(grey.Rect)
	clear := image.NewNRGBA(grey.Rect)
	two := image.NewPaletted(grey.Rect, color.Palette{color.Black, color.White})
	for y := range 8 {
		for x := range 16 {
			v := uint8(0)
			if x < 4 {
				v = 255
			}
			grey.SetGray(x, y, color.Gray{v})
			deep.SetGray16(x, y, color.Gray16{uint16(v) * 257})
			colours.SetNRGBA(x, y, color.NRGBA{v, v, v, 255})
			clear.SetNRGBA(x, y, color.NRGBA{200, 10, 30, 255 - v})
			two.SetColorIndex(x, y, v/255)
		}
	}
	for name, img := range map[string]image.Image{"grey": grey, "16 bits": deep, "colours": colours, "clear may change": clear, "palette": two} {
		mask, info, share, err := normalizeMask(t, encodePNG(t, img))
		if err != nil || info.Width != 16 || info.Height != 8 || share != 0.25 {
			t.Errorf("%s: %+v, share %g, %v", name, info, share, err)
			continue
		}
		if !bytes.Equal(mask.Pix, grey.Pix) {
			t.Errorf("%s: the mask is another", name)
		}
	}
}

func TestNormalizeMask_KeepsEveryGrey(t *testing.T) {
	for v := range 256 {
		if got := luma([]uint8{uint8(v), uint8(v), uint8(v)}); int(got) != v {
			t.Errorf("grey %d becomes %d", v, got)
		}
	}
}

func TestNormalizeMask_IsTurnedUprightAsThePhotoIs(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 16, 8))
	for x := range 16 {
		img.SetGray(x, 0, color.Gray{255})
	}
	mask, info, _, err := normalizeMask(t, withSegment(encodeJPEG(t, img), 0xe1, append([]byte("Exif\x00\x00"), exifBlock(binary.BigEndian, 6)...)))
	if err != nil || info.Width != 8 || info.Height != 16 {
		t.Fatalf("%+v, %v", info, err)
	}
	if top, right := mask.GrayAt(0, 8).Y, mask.GrayAt(7, 8).Y; top > 40 || right < 215 {
		t.Errorf("the upper row did not become the right column: %d, %d", top, right)
	}
}

func TestNormalizeMask_OfNothing(t *testing.T) {
	if _, _, _, err := normalizeMask(t, encodePNG(t, image.NewGray(image.Rect(0, 0, 16, 8)))); err == nil || job.AsError(err).Code != job.CodeMaskBad {
		t.Errorf("a black mask: %v", err)
	}
	if _, _, _, err := normalizeMask(t, []byte("\x89PNG\r\n\x1a\nnothing")); err == nil || job.AsError(err).Code != job.CodeImageBroken {
		t.Errorf("a broken mask: %v", err)
	}
}

func noise(random *rand.Rand, width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = uint8(random.Uint32())
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	return img
}

func TestMerge_OutsideTheMaskIsTheSource(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		w, h := 1+random.IntN(60), 1+random.IntN(60)
		source, result := noise(random, w, h), noise(random, w, h)
		mask := image.NewGray(source.Rect)
		for i := range mask.Pix {
			mask.Pix[i] = [3]uint8{0, 255, uint8(random.Uint32())}[random.IntN(3)]
		}
		var b bytes.Buffer
		untouched, err := Merge(Layers{bytes.NewReader(encodePNG(t, source)), bytes.NewReader(encodePNG(t, result)), bytes.NewReader(encodePNG(t, mask))}, &b)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := png.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		got, equal := rgba(decoded), 0
		for i, m := range mask.Pix {
			s, r, g := source.Pix[4*i:4*i+4], result.Pix[4*i:4*i+4], got.Pix[4*i:4*i+4]
			if bytes.Equal(g, s) {
				equal++
			}
			switch {
			case m == 0 && !bytes.Equal(g, s):
				t.Fatalf("outside, pixel %d is %v, not %v", i, g, s)
			case m == 255 && !bytes.Equal(g, r):
				t.Fatalf("inside, pixel %d is %v, not %v", i, g, r)
			}
			for c := range 3 {
				if want := (float64(s[c])*float64(255-int(m)) + float64(r[c])*float64(m)) / 255; float64(g[c])-want > 0.5 || want-float64(g[c]) > 0.5 {
					t.Fatalf("at grey %d, %d and %d make %d, not %g", m, s[c], r[c], g[c], want)
				}
			}
		}
		if want := float64(equal) / float64(w*h); untouched != want {
			t.Errorf("%g are said to be untouched, %g are", untouched, want)
		}
	}
}

func TestMerge_OtherSizesAreRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	img := func(w, h int) *bytes.Reader { return bytes.NewReader(encodePNG(t, noise(random, w, h))) }
	_, err := Merge(Layers{img(8, 8), img(8, 9), bytes.NewReader(encodePNG(t, image.NewGray(image.Rect(0, 0, 8, 8))))}, &bytes.Buffer{})
	if err == nil || job.AsError(err).Code != job.CodeInternal {
		t.Errorf("got %v", err)
	}
}

func BenchmarkMerge24MP(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	source := noise(random, 6000, 4000)
	var photo, mask bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&photo, source); err != nil {
		b.Fatal(err)
	}
	if err := encoder.Encode(&mask, image.NewGray(source.Rect)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Merge(Layers{bytes.NewReader(photo.Bytes()), bytes.NewReader(photo.Bytes()), bytes.NewReader(mask.Bytes())}, &bytes.Buffer{}); err != nil {
			b.Fatal(err)
		}
	}
}
