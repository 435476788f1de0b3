package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"os"

	"golang.org/x/image/draw"
)

// ThumbSide is the longer side of a thumbnail, in pixels: what a list shows, at twice its size on dense screens.
const ThumbSide = 320

const thumbQuality = 82

// Thumb writes a small JPEG of a picture that qie wrote itself. One that is small already keeps its size.
func Thumb(src *os.File, dst io.Writer) error {
	format, _, _, err := Sniff(src)
	if err != nil {
		return err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the picture: %w", err)
	}
	decoding <- struct{}{}
	full, err := decode(format, src)
	<-decoding
	if err != nil {
		return broken(format, err)
	}
	if err := jpeg.Encode(dst, shrink(full, ThumbSide), &jpeg.Options{Quality: thumbQuality}); err != nil {
		return fmt.Errorf("write the thumbnail: %w", err)
	}
	return nil
}

// shrink fits a picture into a square, on white where it is transparent.
func shrink(src image.Image, side int) *image.RGBA {
	b := src.Bounds()
	width, height := b.Dx(), b.Dy()
	if long := max(width, height); long > side {
		width, height = max(1, (width*side+long/2)/long), max(1, (height*side+long/2)/long)
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	// Averages in two steps: a good filter over a 24-megapixel photo takes seconds, and a list shows many.
	for b.Dx() > 4*width && b.Dy() > 4*height {
		half := image.NewRGBA(image.Rect(0, 0, b.Dx()/2, b.Dy()/2))
		draw.ApproxBiLinear.Scale(half, half.Bounds(), src, b, draw.Src, nil)
		src, b = half, half.Bounds()
	}
	draw.CatmullRom.Scale(out, out.Bounds(), src, b, draw.Over, nil)
	return out
}
