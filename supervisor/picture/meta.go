package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
)

// metaMax bounds a profile or EXIF block; real ones are a few hundred kilobytes at most.
const metaMax = 4 << 20

// meta is what a picture says about itself beside its pixels. A part that cannot be read is left out: the picture is
// still good.
type meta struct {
	orientation int
	profile     []byte
}

func readMeta(format Format, r io.ReadSeeker) meta {
	switch format {
	case JPEG:
		return jpegMeta(r)
	case PNG:
		return pngMeta(r)
	case WebP:
		return webpMeta(r)
	}
	return meta{}
}

func jpegMeta(r io.ReadSeeker) (m meta) {
	parts := map[byte][]byte{}
	var count byte
	var head [4]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return m
	}
	for {
		if _, err := io.ReadFull(r, head[:2]); err != nil || head[0] != 0xff {
			break
		}
		for head[1] == 0xff { // fill bytes
			if _, err := io.ReadFull(r, head[1:2]); err != nil {
				return m
			}
		}
		if head[1] == 0xda || head[1] == 0xd9 {
			break
		}
		if _, err := io.ReadFull(r, head[2:4]); err != nil {
			break
		}
		size := int64(binary.BigEndian.Uint16(head[2:4])) - 2
		if size < 0 {
			break
		}
		if head[1] != 0xe1 && head[1] != 0xe2 {
			if _, err := r.Seek(size, io.SeekCurrent); err != nil {
				break
			}
			continue
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			break
		}
		if rest, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00")); ok && head[1] == 0xe1 && m.orientation == 0 {
			m.orientation = orientation(rest)
		}
		if rest, ok := bytes.CutPrefix(body, []byte("ICC_PROFILE\x00")); ok && head[1] == 0xe2 && len(rest) > 2 {
			parts[rest[0]], count = rest[2:], rest[1]
		}
	}
	for n := byte(1); n != 0 && n <= count; n++ {
		part, ok := parts[n]
		if !ok {
			m.profile = nil
			return m
		}
		m.profile = append(m.profile, part...)
	}
	return m
}

func pngMeta(r io.ReadSeeker) (m meta) {
	if _, err := r.Seek(8, io.SeekStart); err != nil {
		return m
	}
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return m
		}
		size := int64(binary.BigEndian.Uint32(head[:4]))
		kind := string(head[4:8])
		if kind != "iCCP" && kind != "eXIf" || size > metaMax {
			if _, err := r.Seek(size+4, io.SeekCurrent); err != nil || kind == "IEND" {
				return m
			}
			continue
		}
		body := make([]byte, size+4)
		if _, err := io.ReadFull(r, body); err != nil {
			return m
		}
		body = body[:size]
		if kind == "eXIf" {
			m.orientation = orientation(body)
			continue
		}
		if name := bytes.IndexByte(body, 0); name >= 0 && name+2 <= len(body) {
			m.profile = inflate(body[name+2:])
		}
	}
}

func webpMeta(r io.ReadSeeker) (m meta) {
	if _, err := r.Seek(12, io.SeekStart); err != nil {
		return m
	}
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return m
		}
		size := int64(binary.LittleEndian.Uint32(head[4:8]))
		padded := size + size&1
		kind := string(head[:4])
		if kind != "ICCP" && kind != "EXIF" || size > metaMax {
			if _, err := r.Seek(padded, io.SeekCurrent); err != nil {
				return m
			}
			continue
		}
		body := make([]byte, padded)
		if _, err := io.ReadFull(r, body); err != nil {
			return m
		}
		body = body[:size]
		if kind == "ICCP" {
			m.profile = body
		} else {
			m.orientation = orientation(bytes.TrimPrefix(body, []byte("Exif\x00\x00")))
		}
	}
}

func inflate(packed []byte) []byte {
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(io.LimitReader(z, metaMax+1))
	if err != nil || len(plain) > metaMax {
		return nil
	}
	return plain
}

// orientation finds tag 0x0112 in the first directory of an EXIF block.
func orientation(exif []byte) int {
	if len(exif) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(exif[4:8]))
	if at < 8 || at+2 > int64(len(exif)) {
		return 0
	}
	entries := int64(order.Uint16(exif[at:]))
	for n := range entries {
		e := at + 2 + n*12
		if e+12 > int64(len(exif)) {
			return 0
		}
		if order.Uint16(exif[e:]) == 0x0112 && order.Uint16(exif[e+2:]) == 3 {
			return int(order.Uint16(exif[e+8:]))
		}
	}
	return 0
}
