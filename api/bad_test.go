package api

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor/job"
	"qie/supervisor/store"
	st "qie/supervisor/supervisortest"
)

// hugePNG is a header that claims pixels which are not there.
func hugePNG(width, height uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	ihdr = append(binary.BigEndian.AppendUint32(ihdr, height), 8, 2, 0, 0, 0)
	b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), 13)
	b = binary.BigEndian.AppendUint32(append(b, ihdr...), crc32.ChecksumIEEE(ihdr))
	return append(b, "\x00\x00\x00\x00IDAT"...)
}

func hugeJPEG(width, height uint16) []byte {
	b := append([]byte{0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, byte(height >> 8), byte(height), byte(width >> 8), byte(width)},
		3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)
	return append(b, 0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0)
}

func hugeBMP(width, height int32) []byte {
	b := append([]byte("BM"), 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(width))
	b = binary.LittleEndian.AppendUint32(b, uint32(height))
	return append(append(b, 1, 0, 24, 0), make([]byte, 24)...)
}

func hugeWebP(side uint32) []byte {
	b := []byte("RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00")
	for range 2 {
		b = append(b, byte(side-1), byte((side-1)>>8), byte((side-1)>>16))
	}
	return append(b, "VP8 \x00\x00\x00\x00"...)
}

func repeated(p part, n int) []part { return slices.Repeat([]part{p}, n) }

// A refusal: what is sent, and what has to come back. An empty code is for answers that net/http gives by itself.
type refusal struct {
	name   string
	status int
	code   job.Code
	send   func(t *testing.T, r *rig) reply
}

func withImage(data []byte) func(*testing.T, *rig) reply {
	return func(t *testing.T, r *rig) reply {
		return r.post(t, "/api/v1/jobs", []part{text("recipe", `{"prompt":"x"}`), file("image", "photo.png", data)})
	}
}

func withRecipe(recipe string) func(*testing.T, *rig) reply {
	return withParts(file("image", "photo.png", photo), text("recipe", recipe))
}

func withParts(parts ...part) func(*testing.T, *rig) reply {
	return func(t *testing.T, r *rig) reply { return r.post(t, "/api/v1/jobs", parts) }
}

func asked(method, path string, header ...string) func(*testing.T, *rig) reply {
	return func(t *testing.T, r *rig) reply { return r.do(t, method, path, nil, header...) }
}

func sentBody(path, kind, content string) func(*testing.T, *rig) reply {
	return func(t *testing.T, r *rig) reply {
		return r.do(t, "POST", path, strings.NewReader(content), "Content-Type: "+kind)
	}
}

const (
	nobody  = "/api/v1/jobs/00000000-0000-4000-8000-000000000000"
	bounded = "multipart/form-data; boundary=b"
	upgrade = "Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)

func upgrading(path string, header ...string) func(*testing.T, *rig) reply {
	return asked("GET", path, append(strings.Split(upgrade, "|"), header...)...)
}

func badImages() []refusal {
	good := text("recipe", `{"prompt":"x"}`)
	return []refusal{
		{"empty file", 422, job.CodeImageBroken, withImage(nil)},
		{"text named png", 415, job.CodeImageUnsupported, withImage([]byte("hello, I am a photo"))},
		{"one byte", 415, job.CodeImageUnsupported, withImage([]byte{0xff})},
		{"GIF named png", 415, job.CodeImageUnsupported, withImage([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"))},
		{"HEIC", 415, job.CodeImageUnsupported, withImage([]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"))},
		{"AVIF", 415, job.CodeImageUnsupported, withImage([]byte("\x00\x00\x00\x18ftypavif\x00\x00\x00\x00"))},
		{"TIFF", 415, job.CodeImageUnsupported, withImage([]byte("II*\x00\x08\x00\x00\x00"))},
		{"PDF", 415, job.CodeImageUnsupported, withImage([]byte("%PDF-1.7 x"))},
		{"SVG", 415, job.CodeImageUnsupported, withImage([]byte("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"))},
		{"animated WebP", 415, job.CodeImageUnsupported, withImage([]byte("RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"))},
		{"PNG cut in its header", 422, job.CodeImageBroken, withImage(photo[:20])},
		{"PNG cut in its pixels", 422, job.CodeImageBroken, withImage(photo[:len(photo)/2])},
		{"PNG of 2^31 pixels a side", 422, job.CodeImageBroken, withImage(hugePNG(1<<31-1, 1<<31-1))},
		{"PNG of 60000 x 60000", 413, job.CodeTooManyPixels, withImage(hugePNG(60000, 60000))},
		{"PNG of 16384 x 16384", 413, job.CodeTooManyPixels, withImage(hugePNG(16384, 16384))},
		{"PNG of no width", 422, job.CodeImageBroken, withImage(hugePNG(0, 10))},
		{"JPEG of 65535 x 65535", 413, job.CodeTooManyPixels, withImage(hugeJPEG(65535, 65535))},
		{"JPEG that is only a start", 422, job.CodeImageBroken, withImage([]byte{0xff, 0xd8, 0xff, 0xe0})},
		{"BMP of 30000 x 30000", 413, job.CodeTooManyPixels, withImage(hugeBMP(30000, 30000))},
		{"BMP of negative width", 422, job.CodeImageBroken, withImage(hugeBMP(-5, 10))},
		{"WebP of 2^24 a side", 422, job.CodeImageBroken, withImage(hugeWebP(1 << 24))},
		{"WebP cut", 422, job.CodeImageBroken, withImage([]byte("RIFF\x1e\x00\x00\x00WEBPVP8 "))},
		{"a file of 100 MB and a byte", 413, job.CodeImageTooLarge, withImage(append(slices.Clone(photo), make([]byte, 100<<20)...))},
		{"two images for a model of one", 422, job.CodeTooManyImages, withParts(append(repeated(file("image", "a.png", photo), 2), good)...)},
		{"four images", 422, job.CodeTooManyImages, withParts(append(repeated(file("image", "a.png", photo), 4), good)...)},
		{"no image", 422, job.CodeImageMissing, withParts(good)},
		{"a mask that is no picture", 415, job.CodeImageUnsupported, withParts(good, file("image", "a.png", photo), file("mask", "m.png", []byte("mask")))},
		{"a good image and a broken mask", 422, job.CodeImageBroken, withParts(good, file("image", "a.png", photo), file("mask", "m.png", photo[:100]))},
		{"a mask of another size", 422, job.CodeMaskBad, withParts(good, file("image", "a.png", photo), file("mask", "m.png", st.Picture(32, 32)))},
		{"two masks", 400, job.CodeInputBad, withParts(append(repeated(file("mask", "m.png", photo), 2), good, file("image", "a.png", photo))...)},
	}
}

func badRecipes() []refusal {
	return []refusal{
		{"no recipe", 400, job.CodeInputBad, withParts(file("image", "a.png", photo))},
		{"two recipes", 400, job.CodeInputBad, withParts(text("recipe", `{}`), text("recipe", `{}`))},
		{"recipe is no JSON", 400, job.CodeInputBad, withRecipe(`prompt=x`)},
		{"recipe is an array", 400, job.CodeInputBad, withRecipe(`[]`)},
		{"recipe is null", 422, job.CodePromptEmpty, withRecipe(`null`)},
		{"recipe is cut", 400, job.CodeInputBad, withRecipe(`{"prompt":"x"`)},
		{"two objects", 400, job.CodeInputBad, withRecipe(`{"prompt":"x"}{"prompt":"y"}`)},
		{"deep JSON", 400, job.CodeInputBad, withRecipe(`{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`)},
		{"recipe of 65 KB", 413, job.CodeBodyTooLarge, withRecipe(`{"prompt":"` + strings.Repeat("x", 65<<10) + `"}`)},
		{"unknown field", 422, job.CodeUnknownField, withRecipe(`{"prompt":"x","strength":0.5}`)},
		{"prompt is a number", 400, job.CodeInputBad, withRecipe(`{"prompt":5}`)},
		{"steps is text", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","steps":"ten"}`)},
		{"steps is a fraction", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","steps":2.5}`)},
		{"steps is 1e99", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","steps":1e99}`)},
		{"steps is negative", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","steps":-1}`)},
		{"steps is 101", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","steps":101}`)},
		{"cfg is 0.5", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","true_cfg_scale":0.5}`)},
		{"cfg is 21", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","true_cfg_scale":21}`)},
		{"cfg is negative", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","true_cfg_scale":-1}`)},
		{"cfg is NaN", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","true_cfg_scale":NaN}`)},
		{"seed is negative", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","seed":-1}`)},
		{"seed is 2^53", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","seed":9007199254740992}`)},
		{"size is no size", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","size":"large"}`)},
		{"size is tiny", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","size":"10x10"}`)},
		{"size is huge", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","size":"99999x99999"}`)},
		{"no prompt", 422, job.CodePromptEmpty, withRecipe(`{}`)},
		{"prompt of spaces", 422, job.CodePromptEmpty, withRecipe(`{"prompt":" \n\t "}`)},
		{"prompt of 9 KB", 422, job.CodePromptTooLong, withRecipe(`{"prompt":"` + strings.Repeat("x", 9<<10) + `"}`)},
		{"negative prompt of 9 KB", 422, job.CodePromptTooLong, withRecipe(`{"prompt":"x","negative_prompt":"` + strings.Repeat("x", 9<<10) + `"}`)},
		{"NUL in the prompt", 400, job.CodeInputBad, withRecipe(`{"prompt":"a\u0000b"}`)},
		{"invalid UTF-8 in the prompt", 400, job.CodeInputBad, withRecipe("{\"prompt\":\"a\xff\xfeb\"}")},
		{"unknown model", 404, job.CodeUnknownModel, withRecipe(`{"prompt":"x","model":"gone"}`)},
		{"unknown preset", 422, job.CodeUnknownPreset, withRecipe(`{"prompt":"x","preset":"gone"}`)},
		{"unknown lora", 422, job.CodeUnknownLoRA, withRecipe(`{"prompt":"x","loras":["../../etc/passwd"]}`)},
		{"strength that is no number", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","loras":["warm:strong"]}`)},
		{"strength of 0", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","loras":["warm:0"]}`)},
		{"strength of 2.5", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","loras":["warm:2.5"]}`)},
		{"strength of NaN", 422, job.CodeOutOfRange, withRecipe(`{"prompt":"x","loras":["warm:NaN"]}`)},
		{"lora twice", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","loras":["warm","warm:0.5"]}`)},
		{"loras is text", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","loras":"warm"}`)},
		{"loras holds objects", 400, job.CodeInputBad, withRecipe(`{"prompt":"x","loras":[{"id":"warm"}]}`)},
		{"a parent that is no id", 400, job.CodeInputBad, withParts(text("recipe", `{"prompt":"x"}`), text("parent", strings.Repeat("9", 99)))},
		{"unknown part", 422, job.CodeUnknownField, withParts(text("recipe", `{"prompt":"x"}`), text("priority", "9"))},
	}
}

func badForms() []refusal {
	head := "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n"
	return []refusal{
		{"JSON instead of a form", 415, job.CodeUnsupportedMedia, sentBody("/api/v1/jobs", "application/json", `{"prompt":"x"}`)},
		{"no content type", 415, job.CodeUnsupportedMedia, asked("POST", "/api/v1/jobs")},
		{"no boundary", 400, job.CodeInputBad, sentBody("/api/v1/jobs", "multipart/form-data", "x")},
		{"empty form", 400, job.CodeInputBad, sentBody("/api/v1/jobs", bounded, "")},
		{"form that ends in a part", 400, job.CodeInputBad, sentBody("/api/v1/jobs", bounded, head+"\r\n"+string(photo))},
		{"part with a broken header", 400, job.CodeInputBad, sentBody("/api/v1/jobs", bounded, "--b\r\nno colon here\r\n\r\nx\r\n--b--\r\n")},
		{"part with a broken encoding", 400, job.CodeInputBad, sentBody("/api/v1/jobs", bounded, head+"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ\x01\r\n--b--\r\n")},
		{"part with an endless header", 400, job.CodeInputBad, sentBody("/api/v1/jobs", bounded, "--b\r\nX: "+strings.Repeat("x", 11<<20)+"\r\n\r\n\r\n--b--\r\n")},
		{"body announced as 500 MB", 413, job.CodeBodyTooLarge, func(t *testing.T, r *rig) reply {
			return r.raw(t, "POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: "+bounded+"\r\nContent-Length: 500000000\r\n\r\n")
		}},
		{"body of 2 MB where none is wanted", 413, job.CodeBodyTooLarge, sentBody(nobody+"/cancel", "text/plain", strings.Repeat("x", 2<<20))},
		{"folder form of 2 MB", 413, "", sentBody("/api/input-folder/load", "application/x-www-form-urlencoded", "a="+strings.Repeat("x", 2<<20))},
		{"folder form of 2 MB in chunks", 413, "", func(t *testing.T, r *rig) reply {
			return r.do(t, "POST", "/api/input-folder/load", io.MultiReader(strings.NewReader("a="+strings.Repeat("x", 2<<20))), "Content-Type: application/x-www-form-urlencoded")
		}},
		{"header of 100 KB", 431, "", func(t *testing.T, r *rig) reply {
			return r.raw(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")
		}},
		{"no Host", 400, "", func(t *testing.T, r *rig) reply { return r.raw(t, "GET /healthz HTTP/1.1\r\n\r\n") }},
		{"a request that is none", 400, "", func(t *testing.T, r *rig) reply { return r.raw(t, "\x16\x03\x01 hello\r\n\r\n") }},
	}
}

func badAddresses() []refusal {
	return []refusal{
		{"id that is no id", 404, job.CodeNotFound, asked("GET", "/api/v1/jobs/42")},
		{"id in capitals", 404, job.CodeNotFound, asked("GET", "/api/v1/jobs/AAAAAAAA-0000-4000-8000-000000000000")},
		{"id with traversal", 404, job.CodeNotFound, asked("GET", "/api/v1/jobs/..%2f..%2fqie.db/result")},
		{"id with NUL", 404, job.CodeNotFound, asked("GET", "/api/v1/jobs/%00/result")},
		{"unknown id", 404, job.CodeNotFound, asked("GET", nobody)},
		{"result of an unknown id", 404, job.CodeNotFound, asked("GET", nobody+"/result")},
		{"preview of an unknown id", 404, job.CodeNotFound, asked("GET", nobody+"/preview")},
		{"cancel of an unknown id", 404, job.CodeNotFound, asked("POST", nobody+"/cancel")},
		{"retry of an unknown id", 404, job.CodeNotFound, asked("POST", nobody+"/retry")},
		{"delete of an unknown id", 404, job.CodeNotFound, asked("DELETE", nobody)},
		{"image number that is none", 404, job.CodeNotFound, asked("GET", nobody+"/images/x")},
		{"unknown address", 404, job.CodeNotFound, asked("GET", "/api/v1/nothing")},
		{"wrong method", 405, job.CodeMethodNotAllowed, asked("PUT", "/api/v1/jobs")},
		{"wrong method on the stream", 405, job.CodeMethodNotAllowed, asked("POST", "/api/v1/live")},
		{"unknown state", 422, job.CodeOutOfRange, asked("GET", "/api/v1/jobs?state=sleeping")},
		{"limit of 0", 422, job.CodeOutOfRange, asked("GET", "/api/v1/jobs?limit=0")},
		{"limit of 1000", 422, job.CodeOutOfRange, asked("GET", "/api/v1/jobs?limit=1000")},
		{"limit that is no number", 422, job.CodeOutOfRange, asked("GET", "/api/v1/jobs?limit=many")},
		{"made up cursor", 400, job.CodeInputBad, asked("GET", "/api/v1/jobs?cursor=%27%3B%20drop")},
		{"negative cursor", 400, job.CodeInputBad, asked("GET", "/api/v1/jobs?cursor=-3")},
		{"pull of an unknown model", 404, job.CodeUnknownModel, asked("POST", "/api/v1/models/gone/pull")},
		{"removal of an unknown model", 404, job.CodeUnknownModel, asked("DELETE", "/api/v1/models/gone")},
		{"pull where nothing is fetched", 503, job.CodeNotReady, asked("POST", "/api/v1/models/qwen-image-edit-2511/pull")},
		{"pause of what does not run", 409, job.CodeConflict, asked("DELETE", "/api/v1/models/qwen-image-edit-2511/pull")},
		{"pause of an unknown model", 404, job.CodeUnknownModel, asked("DELETE", "/api/v1/models/gone/pull")},
		{"foreign Host", 421, job.CodeMisdirected, asked("GET", "/api/v1/jobs", "Host: evil.example")},
		{"foreign Origin", 403, job.CodeForbiddenOrigin, asked("POST", nobody+"/cancel", "Origin: https://evil.example")},
		{"Origin null", 403, job.CodeForbiddenOrigin, asked("DELETE", nobody, "Origin: null")},
		{"cross-site GET", 403, job.CodeForbiddenOrigin, asked("GET", "/api/v1/jobs", "Sec-Fetch-Site: cross-site")},
		{"upgrade with a foreign Origin", 403, job.CodeForbiddenOrigin, upgrading("/api/v1/live", "Origin: http://evil.example")},
		{"stream without an upgrade", 400, job.CodeInputBad, asked("GET", "/api/v1/live")},
		{"upgrade of an old version", 400, job.CodeInputBad, asked("GET", "/api/v1/live", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8")},
		{"upgrade without a key", 400, job.CodeInputBad, asked("GET", "/api/v1/live", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")},
		{"upgrade to two protocols with a foreign Origin", 403, job.CodeForbiddenOrigin, asked("GET", "/api/v1/live", "Connection: Upgrade",
			"Upgrade: h2c, websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://evil.example")},
		{"original: upgrade for an unknown job", 404, "", upgrading("/ws/nobody")},
		{"original: cleanup of no hours", 422, "", asked("POST", "/api/cleanup?hours=soon")},
		{"original: cleanup of NaN hours", 422, "", asked("POST", "/api/cleanup?hours=NaN")},
		{"original: cleanup of -1 hours", 422, "", asked("POST", "/api/cleanup?hours=-1")},
		{"original: cleanup of infinite hours", 422, "", asked("POST", "/api/cleanup?hours=Inf")},
		{"original: folder traversal", 403, "", asked("GET", "/api/input-folder/image/..%2f..%2fqie.db")},
		{"original: unknown job", 404, "", asked("GET", "/api/jobs/nobody/status")},
	}
}

// What a client does wrong is answered in kind, never with 5xx, and leaves nothing behind.
func TestBad_IsRefusedAndNothingStays(t *testing.T) {
	r := newRig(t, rigConfig{api: Config{Input: input(t, t.TempDir())}})
	st.WaitReady(t, r.sup)
	keep := r.submit(t, "make it sepia")
	st.WaitEnd(t, r.sup, keep.ID)
	before := files(t, filepath.Join(r.home, "jobs"))

	tests := slices.Concat(badImages(), badRecipes(), badForms(), badAddresses())
	tests = append(tests, refusal{"range beyond the end", 416, job.CodeRangeUnsatisfied,
		asked("GET", "/api/v1/jobs/"+string(keep.ID)+"/result", "Range: bytes=99999999-")})
	tests = append(tests, refusal{"range that is none", 416, job.CodeRangeUnsatisfied,
		asked("GET", "/api/v1/jobs/"+string(keep.ID)+"/result", "Range: bytes=x")})
	tests = append(tests, refusal{"retry of what has succeeded", 409, job.CodeConflict,
		asked("POST", "/api/v1/jobs/"+string(keep.ID)+"/retry")})
	t.Logf("%d bad requests", len(tests))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.send(t, r)
			if a.status != tt.status {
				t.Fatalf("status %d, want %d: %.300s", a.status, tt.status, a.body)
			}
			if tt.code == "" {
				return
			}
			v := a.json(t)
			if got := a.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if v["code"] != string(tt.code) || v["status"] != float64(tt.status) || v["detail"] == "" || v["title"] == "" {
				t.Errorf("got %v, want code %s", v, tt.code)
			}
			for _, secret := range []string{r.home, "goroutine", "/tmp/"} {
				if strings.Contains(string(a.body), secret) {
					t.Errorf("the answer tells %q: %s", secret, a.body)
				}
			}
		})
	}

	if after := files(t, filepath.Join(r.home, "jobs")); !slices.Equal(before, after) {
		t.Errorf("the jobs folder changed from\n%v\nto\n%v", before, after)
	}
	page, err := r.sup.Jobs(t.Context(), store.Query{})
	if err != nil || len(page.Jobs) != 1 {
		t.Errorf("%d rows, want 1 (%v)", len(page.Jobs), err)
	}
	if a := r.get(t, "/readyz"); a.status != 200 {
		t.Errorf("not ready after the table: %s", a.body)
	}
	if j := st.WaitEnd(t, r.sup, r.submit(t, "make it sepia").ID); j.State != job.Succeeded {
		t.Errorf("the next edit is %s: %+v", j.State, j.Error)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*")); len(left) != 0 {
		t.Errorf("temporary files: %v", left)
	}
}

func TestBad_FullQueue(t *testing.T) {
	r := newRig(t, rigConfig{options: []st.Option{queueOf(1)}})
	held := r.held(t)
	a := r.post(t, "/api/v1/jobs", []part{file("image", "p.png", photo), text("recipe", `{"prompt":"x"}`)})
	if a.status != 429 || a.code(t) != string(job.CodeQueueFull) || !strings.Contains(fmt.Sprint(a.json(t)["detail"]), "1 jobs") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	r.cancel(t, held.ID)
}
