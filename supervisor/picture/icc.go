package picture

import (
	"encoding/binary"
	"image"
	"math"

	"qie/supervisor/job"
)

// curve maps a device value 0..1 to linear light 0..1.
type curve func(float64) float64

// profile is the matrix-and-curve part of an ICC profile: device RGB to XYZ under D50.
type profile struct {
	curves [3]curve
	matrix [3][3]float64 // columns are the primaries
	gray   bool
}

// fromD50 takes XYZ under D50 (the profile connection space) to linear sRGB, Bradford-adapted.
var fromD50 = [3][3]float64{
	{3.1338561, -1.6168667, -0.4906146},
	{-0.9787684, 1.9161415, 0.0334540},
	{0.0719453, -0.2289914, 1.4052427},
}

// toSRGB converts in place when the profile is one of matrix and curves; for every other it says what was not done.
func toSRGB(img *image.RGBA, icc []byte) []job.Notice {
	if len(icc) == 0 {
		return nil
	}
	p, ok := parseICC(icc)
	if !ok {
		return []job.Notice{{
			Code:    "profile_ignored",
			Message: "The photo's colour profile is of a kind that qie cannot convert; its colours may look slightly different.",
		}}
	}
	p.convert(img)
	return nil
}

// encodeSteps is fine enough that the dark end of sRGB (slope 12.92) moves by less than a quarter of a level per step.
const encodeSteps = 16384

func (p profile) convert(img *image.RGBA) {
	var decode [3][256]float32
	for c := range 3 {
		for v := range 256 {
			decode[c][v] = float32(min(1, max(0, p.curves[c](float64(v)/255))))
		}
	}
	encode := make([]uint8, encodeSteps+1)
	for i := range encode {
		encode[i] = uint8(math.Round(255 * encodeSRGB(float64(i)/encodeSteps)))
	}
	var m [3][3]float32
	for row := range 3 {
		for col := range 3 {
			if p.gray {
				if row == col {
					m[row][col] = 1
				}
				continue
			}
			var sum float64
			for k := range 3 {
				sum += fromD50[row][k] * p.matrix[k][col]
			}
			m[row][col] = float32(sum)
		}
	}
	for i := 0; i+3 < len(img.Pix); i += 4 {
		px := img.Pix[i : i+3 : i+3]
		r, g, b := decode[0][px[0]], decode[1][px[1]], decode[2][px[2]]
		for c := range 3 {
			v := m[c][0]*r + m[c][1]*g + m[c][2]*b
			px[c] = encode[int(min(1, max(0, v))*encodeSteps+0.5)]
		}
	}
}

func encodeSRGB(v float64) float64 {
	if v <= 0.0031308 {
		return 12.92 * v
	}
	return 1.055*math.Pow(v, 1/2.4) - 0.055
}

func parseICC(icc []byte) (profile, bool) {
	if len(icc) < 132 || string(icc[36:40]) != "acsp" {
		return profile{}, false
	}
	tags := iccTags(icc)
	var p profile
	switch string(icc[16:20]) {
	case "GRAY":
		c, ok := parseCurve(tags["kTRC"])
		p.gray, p.curves = true, [3]curve{c, c, c}
		return p, ok
	case "RGB ":
	default:
		return p, false
	}
	if string(icc[20:24]) != "XYZ " {
		return p, false
	}
	for col, name := range []string{"r", "g", "b"} {
		c, ok := parseCurve(tags[name+"TRC"])
		xyz := tags[name+"XYZ"]
		if !ok || len(xyz) < 20 || string(xyz[:4]) != "XYZ " {
			return p, false
		}
		p.curves[col] = c
		for row := range 3 {
			p.matrix[row][col] = fixed(xyz[8+4*row:])
		}
	}
	return p, true
}

func iccTags(icc []byte) map[string][]byte {
	tags := map[string][]byte{}
	count := min(int(binary.BigEndian.Uint32(icc[128:132])), 200)
	for n := range count {
		at := 132 + 12*n
		if at+12 > len(icc) {
			break
		}
		from := int64(binary.BigEndian.Uint32(icc[at+4:]))
		size := int64(binary.BigEndian.Uint32(icc[at+8:]))
		if from+size <= int64(len(icc)) {
			tags[string(icc[at:at+4])] = icc[from : from+size]
		}
	}
	return tags
}

func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

func parseCurve(tag []byte) (curve, bool) {
	if len(tag) < 12 {
		return nil, false
	}
	switch string(tag[:4]) {
	case "curv":
		return sampledCurve(tag)
	case "para":
		return parametricCurve(tag)
	}
	return nil, false
}

func sampledCurve(tag []byte) (curve, bool) {
	count := int64(binary.BigEndian.Uint32(tag[8:12]))
	if 12+2*count > int64(len(tag)) {
		return nil, false
	}
	switch count {
	case 0:
		return func(v float64) float64 { return v }, true
	case 1:
		gamma := float64(binary.BigEndian.Uint16(tag[12:])) / 256
		return func(v float64) float64 { return math.Pow(v, gamma) }, gamma > 0
	}
	table := make([]float64, count)
	for i := range table {
		table[i] = float64(binary.BigEndian.Uint16(tag[12+2*i:])) / 65535
	}
	return func(v float64) float64 {
		at := v * float64(len(table)-1)
		low := min(int(at), len(table)-2)
		return table[low] + (table[low+1]-table[low])*(at-float64(low))
	}, true
}

// parametricCurve reads the five functions of the specification; types 0 to 3 are cases of type 4.
func parametricCurve(tag []byte) (curve, bool) {
	kind := int(binary.BigEndian.Uint16(tag[8:10]))
	counts := []int{1, 3, 4, 5, 7}
	if kind >= len(counts) || len(tag) < 12+4*counts[kind] {
		return nil, false
	}
	var n [7]float64
	for i := range counts[kind] {
		n[i] = fixed(tag[12+4*i:])
	}
	g, a, b, c, d, e, f := n[0], n[1], n[2], n[3], n[4], n[5], n[6]
	switch kind {
	case 0:
		a, b, c, d, e, f = 1, 0, 0, 0, 0, 0
	case 1, 2:
		if a == 0 {
			return nil, false
		}
		shift := c // type 2 adds c on both sides; in type 1 it is 0
		c, d, e, f = 0, -b/a, shift, shift
	}
	return func(v float64) float64 {
		if v >= d {
			return math.Pow(max(0, a*v+b), g) + e
		}
		return c*v + f
	}, true
}
