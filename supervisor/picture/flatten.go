package picture

import (
	"image"
	"image/color"
	"image/draw"

	"qie/supervisor/job"
)

// flatten draws any decoded picture onto white, 8 bits a channel.
func flatten(src image.Image) (*image.RGBA, []job.Notice) {
	bounds := src.Bounds()
	dst := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
	var notices []job.Notice
	if opaque, ok := src.(interface{ Opaque() bool }); ok && !opaque.Opaque() {
		draw.Draw(dst, dst.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
		draw.Draw(dst, dst.Rect, src, bounds.Min, draw.Over)
		notices = append(notices, job.Notice{
			Code:    "alpha_flattened",
			Message: "Transparent parts of the photo were put on white.",
		})
	} else {
		draw.Draw(dst, dst.Rect, src, bounds.Min, draw.Src)
	}
	if _, ok := src.(*image.CMYK); ok {
		notices = append(notices, job.Notice{
			Code:    "cmyk_converted",
			Message: "The photo is in print colours (CMYK). They were converted without its colour profile and may look different.",
		})
	}
	return dst, notices
}

// upright turns the picture as EXIF orientation 1 to 8 says; every other number leaves it as it is.
func upright(src *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	outW, outH := w, h
	if orientation >= 5 {
		outW, outH = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, outW, outH))
	for y := range h {
		for x := range w {
			var dx, dy int
			switch orientation {
			case 2: // mirrored
				dx, dy = w-1-x, y
			case 3: // upside down
				dx, dy = w-1-x, h-1-y
			case 4: // flipped
				dx, dy = x, h-1-y
			case 5: // mirrored along the main diagonal
				dx, dy = y, x
			case 6: // needs a quarter turn clockwise
				dx, dy = h-1-y, x
			case 7: // mirrored along the other diagonal
				dx, dy = h-1-y, w-1-x
			case 8: // needs a quarter turn counter-clockwise
				dx, dy = y, w-1-x
			}
			copy(dst.Pix[dst.PixOffset(dx, dy):][:4], src.Pix[src.PixOffset(x, y):][:4])
		}
	}
	return dst
}
