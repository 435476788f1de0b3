package supervisor_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"

	"qie/supervisor"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

// leftHalf may change, but for its last column, which is mixed.
func leftHalf(t *testing.T, width, height int) []byte {
	t.Helper()
	mask := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width / 2 {
			mask.SetGray(x, y, color.Gray{255})
		}
		mask.SetGray(width/2-1, y, color.Gray{100})
	}
	return encoded(t, mask)
}

func encoded(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func submitMasked(t *testing.T, s *supervisor.Supervisor, recipe job.Recipe, mask []byte, photos ...[]byte) (job.Job, error) {
	t.Helper()
	st.WaitModel(t, s)
	upload := st.Upload(t, s, mask)
	sub := supervisor.Submission{Recipe: recipe, Mask: &upload}
	for _, photo := range photos {
		sub.Uploads = append(sub.Uploads, st.Upload(t, s, photo))
	}
	return s.Submit(t.Context(), sub)
}

func picture(t *testing.T, f *os.File, err error) (image.Image, []byte) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img, data
}

func rgbAt(img image.Image, x, y int) [3]uint8 {
	c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
	return [3]uint8{c.R, c.G, c.B}
}

func TestMask_OutsideIsTheSourceByteForByte(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home))
	seed := int64(0x1234)
	j, err := submitMasked(t, s, job.Recipe{Prompt: "make it sepia", Seed: &seed}, leftHalf(t, 96, 64), st.Picture(96, 64))
	if err != nil || j.Mask == nil || j.Mask.Share != 0.5 {
		t.Fatalf("accepted as %+v, %v", j.Mask, err)
	}
	j = st.WaitEnd(t, s, j.ID)
	if j.State != job.Succeeded || j.Result.Untouched != 0.5 {
		t.Fatalf("ended as %s with %+v, error %+v", j.State, j.Result, j.Error)
	}
	f, err := s.OpenResult(t.Context(), j.ID)
	got, data := picture(t, f, err)
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != j.Result.SHA256 || int64(len(data)) != j.Result.Bytes {
		t.Error("the result is not what the job says of it")
	}
	f, err = s.OpenImage(t.Context(), j.ID, 1)
	source, _ := picture(t, f, err)
	painted := [3]uint8{0x34, 0x12, 0x80} // what fakeworker paints with this seed
	for y := range 64 {
		for x := range 96 {
			g, from := rgbAt(got, x, y), rgbAt(source, x, y)
			switch {
			case x > 47 && g != from:
				t.Fatalf("outside, %d,%d is %v, not %v", x, y, g, from)
			case x < 47 && g != painted:
				t.Fatalf("inside, %d,%d is %v, not %v", x, y, g, painted)
			case x == 47:
				for c := range 3 {
					if want := (int(from[c])*155 + int(painted[c])*100 + 127) / 255; int(g[c]) != want {
						t.Fatalf("in the band, %d,%d is %v of %v and %v", x, y, g, from, painted)
					}
				}
			}
		}
	}
	f, err = s.OpenMask(t.Context(), j.ID)
	if mask, _ := picture(t, f, err); mask.Bounds() != source.Bounds() {
		t.Errorf("the mask is kept as %v", mask.Bounds())
	}
	if _, err := os.Stat(filepath.Join(home, "jobs", string(j.ID), "original-mask")); err != nil {
		t.Error(err)
	}
	copied, err := s.Duplicate(t.Context(), j.ID, false)
	if err != nil || copied.Mask == nil || copied.Mask.SHA256 != j.Mask.SHA256 {
		t.Errorf("a duplicate has the mask %+v, %v", copied.Mask, err)
	}
	if again := st.WaitEnd(t, s, copied.ID); again.Result == nil || again.Result.Untouched == 0 {
		t.Errorf("the duplicate ended as %s with %+v", again.State, again.Result)
	}
}

func TestMask_ResultHasTheSizeOfImage1(t *testing.T) {
	s := st.New(t, st.Model(st.NewModel(t, 3)))
	j, err := submitMasked(t, s, job.Recipe{Prompt: "x"}, leftHalf(t, 96, 64), st.Picture(96, 64), st.Picture(40, 120))
	if err != nil {
		t.Fatal(err)
	}
	if j = st.WaitEnd(t, s, j.ID); j.State != job.Succeeded || j.Result.Width != 96 || j.Result.Height != 64 {
		t.Errorf("ended as %s %+v, %+v", j.State, j.Result, j.Error)
	}
}

func TestMask_NothingChangedInside(t *testing.T) {
	s := st.New(t)
	seed := int64(0)
	same := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			same.SetRGBA(x, y, color.RGBA{0, 0, 0x80, 255}) // what fakeworker paints with seed 0
		}
	}
	j, err := submitMasked(t, s, job.Recipe{Prompt: "x", Seed: &seed}, leftHalf(t, 64, 64), encoded(t, same))
	if err != nil {
		t.Fatal(err)
	}
	j = st.WaitEnd(t, s, j.ID)
	if len(j.Notices) != 1 || j.Notices[0].Code != "no_visible_change" || j.Result.Untouched != 1 {
		t.Errorf("ended with %+v and the notices %+v", j.Result, j.Notices)
	}
}

func TestMask_Refusals(t *testing.T) {
	home := t.TempDir()
	s := st.New(t, st.Home(home), st.Model(st.NewModel(t, 3)))
	photo := st.Picture(96, 64)
	for _, tt := range []struct {
		name   string
		recipe job.Recipe
		mask   []byte
		photos int
		code   job.Code
	}{
		{"another size", job.Recipe{Prompt: "x"}, leftHalf(t, 64, 96), 1, job.CodeMaskBad},
		{"nothing may change", job.Recipe{Prompt: "x"}, encoded(t, image.NewGray(image.Rect(0, 0, 96, 64))), 1, job.CodeMaskBad},
		{"no picture", job.Recipe{Prompt: "x"}, photo[:90], 1, job.CodeImageBroken},
		{"a size that is not the photo's", job.Recipe{Prompt: "x", Size: "128x128"}, leftHalf(t, 96, 64), 1, job.CodeMaskBad},
		{"a collage", job.Recipe{Prompt: "x", Collage: true}, leftHalf(t, 96, 64), 2, job.CodeMaskBad},
	} {
		photos := [][]byte{photo, photo}[:tt.photos]
		if j, err := submitMasked(t, s, tt.recipe, tt.mask, photos...); err == nil || job.AsError(err).Code != tt.code {
			t.Errorf("%s: accepted as %s, %v, want %s", tt.name, j.ID, err, tt.code)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(home, "jobs", "*-*")); len(left) != 0 {
		t.Errorf("refused submits left %v", left)
	}
	if j, err := submitMasked(t, s, job.Recipe{Prompt: "x", Size: "96x64"}, leftHalf(t, 96, 64), photo); err != nil {
		t.Errorf("the photo's own size, written out: %v", err)
	} else {
		st.WaitEnd(t, s, j.ID)
	}
}
