package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"qie/supervisor/config"
	"qie/supervisor/job"
	st "qie/supervisor/supervisortest"
)

// keys gives the names in a JSON object, sorted: what the original's clients read.
func keys(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return "no object"
	}
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestOriginal_EditAsItsClientDoes(t *testing.T) {
	output := t.TempDir()
	r := newRig(t, rigConfig{options: []st.Option{st.OutputFolder(output)}, api: Config{Settings: inForce(config.Config{OutputFolder: output})}})
	a := r.post(t, "/api/edit", []part{file("image1", "a.png", photo),
		text("config", `{"prompt":"make it sepia","true_cfg_scale":4.0,"num_inference_steps":10,"seed":7,"go_fast":true,"output_quality":90}`)})
	if a.status != 200 || keys(a.json(t)) != "job_id message status" || a.json(t)["status"] != "processing" {
		t.Fatalf("edit: %d %s", a.status, a.body)
	}
	if got := a.header.Get("X-QIE-Ignored"); got != "go_fast, output_quality" {
		t.Errorf("ignored %q", got)
	}
	id := a.json(t)["job_id"].(string)

	s := r.dial(t, "/ws/"+id)
	last, frames := -1.0, 0
	for {
		var frame map[string]any
		if err := json.Unmarshal(s.frame(t), &frame); err != nil {
			t.Fatal(err)
		}
		frames++
		if keys(frame) != "error progress status" {
			t.Fatalf("frame %v", frame)
		}
		progress := frame["progress"].(map[string]any)
		if keys(progress) != "message progress stage updated_at" {
			t.Errorf("progress %v", progress)
		}
		stages := []any{"loading_model", "loading_images", "combining_images", "editing", "saving", "complete"}
		if !slices.Contains(stages, progress["stage"]) || progress["progress"].(float64) < last {
			t.Errorf("progress %v after %g", progress, last)
		}
		last = progress["progress"].(float64)
		if frame["status"] == "complete" {
			break
		}
	}
	if last != 100 || frames < 2 {
		t.Errorf("%d frames up to %g", frames, last)
	}
	j, err := r.sup.Job(t.Context(), job.ID(id))
	if err != nil || j.Recipe.Steps != 10 || j.Recipe.TrueCFGScale != 4 || *j.Recipe.Seed != 7 {
		t.Errorf("explicit fields: %+v %v", j.Recipe, err)
	}

	status := r.get(t, "/api/jobs/"+id+"/status").json(t)
	if keys(status) != "error job_id progress status" || status["status"] != "complete" || status["error"] != nil {
		t.Errorf("status %v", status)
	}
	images := r.get(t, "/api/jobs/"+id+"/images").json(t)
	entry := images["images"].([]any)[0].(map[string]any)
	if keys(images) != "images images_count job_id" || keys(entry) != "download_url filename height index size_bytes width" {
		t.Errorf("images %v", images)
	}
	for _, path := range []string{entry["download_url"].(string), "/api/jobs/" + id + "/download"} {
		if a := r.get(t, path); a.status != 200 || a.header.Get("Content-Type") != "image/png" || float64(len(a.body)) != entry["size_bytes"] {
			t.Errorf("%s: %d, %d bytes", path, a.status, len(a.body))
		}
	}
	if a := r.get(t, "/api/jobs/"+id+"/images/1"); a.status != 404 || keys(a.json(t)) != "detail" {
		t.Errorf("no second image: %d %s", a.status, a.body)
	}
	if data, err := os.ReadFile(filepath.Join(output, id+"_result.png")); err != nil || float64(len(data)) != entry["size_bytes"] {
		t.Errorf("copy in the output folder: %d bytes, %v", len(data), err)
	}
	if a := r.do(t, "DELETE", "/api/jobs/"+id, nil); a.status != 200 || keys(a.json(t)) != "message" {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := r.get(t, "/api/jobs/"+id+"/status"); a.status != 404 || a.json(t)["detail"] != "Job not found" {
		t.Errorf("gone: %d %s", a.status, a.body)
	}
}

func TestOriginal_DefaultsCollageAndRefusals(t *testing.T) {
	r := newRig(t, rigConfig{})
	a := r.post(t, "/api/edit", []part{file("image1", "a.png", photo), file("image2", "b.png", photo), text("config", `{"prompt":"join"}`)})
	if a.status != 200 {
		t.Fatalf("two images: %d %s", a.status, a.body)
	}
	j := st.WaitEnd(t, r.sup, job.ID(a.json(t)["job_id"].(string)))
	if !j.Recipe.Collage || j.Recipe.Steps != 0 || j.Steps != 3 || j.State != job.Succeeded {
		t.Errorf("got %+v", j)
	}
	image := file("image1", "a.png", photo)
	for name, c := range map[string]struct {
		parts  []part
		status int
	}{
		"no image":      {[]part{text("config", `{"prompt":"x"}`)}, 400},
		"no config":     {[]part{image}, 400},
		"bad JSON":      {[]part{image, text("config", `{`)}, 400},
		"no picture":    {[]part{file("image1", "a.png", []byte("text")), text("config", `{"prompt":"x"}`)}, 400},
		"cfg 0":         {[]part{image, text("config", `{"prompt":"x","true_cfg_scale":0}`)}, 422},
		"5 steps":       {[]part{image, text("config", `{"prompt":"x","num_inference_steps":5}`)}, 422},
		"empty prompt":  {[]part{image, text("config", `{"prompt":" "}`)}, 422},
		"a cloud model": {[]part{image, text("config", `{"prompt":"x","model_type":"seedream"}`)}, 400},
	} {
		a := r.post(t, "/api/edit", c.parts)
		if a.status != c.status || keys(a.json(t)) != "detail" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	health := r.get(t, "/").json(t)
	if keys(health) != "device input_folder message models output_folder status" || health["status"] != "online" {
		t.Errorf("health %v", health)
	}
	if a := r.get(t, "/", "Accept: text/html"); !strings.Contains(string(a.body), "<title>page") {
		t.Errorf("page %s", a.body)
	}
}

func TestOriginal_InputFolder(t *testing.T) {
	folder := t.TempDir()
	for name, data := range map[string][]byte{"a.png": photo, "notes.txt": []byte("no picture")} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, rigConfig{api: Config{Input: input(t, folder, "a.png")}})
	list := r.get(t, "/api/input-folder/list").json(t)
	if keys(list) != "count folder images" || list["count"] != 1.0 || keys(list["images"].([]any)[0]) != "filename height modified size_bytes width" {
		t.Errorf("list %v", list)
	}
	for path, want := range map[string]int{"a.png": 200, "notes.txt": 400, "gone.png": 404, "..%2fsecret": 403, "..": 403} {
		if a := r.get(t, "/api/input-folder/image/"+path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	a := r.do(t, "POST", "/api/input-folder/load", strings.NewReader("image1=a.png"), "Content-Type: application/x-www-form-urlencoded")
	if a.status != 200 || keys(a.json(t)) != "filenames images_loaded message status" || a.json(t)["images_loaded"] != 1.0 {
		t.Errorf("load: %d %s", a.status, a.body)
	}
}

// Pages of QIE_ORIGINS pass on the original's routes, without credentials; all others nowhere.
func TestOriginal_Origins(t *testing.T) {
	const page = "http://localhost:3000"
	r := newRig(t, rigConfig{api: Config{Settings: inForce(config.Config{Origins: []string{page}})}})
	a := r.do(t, "OPTIONS", "/api/edit", nil, "Origin: "+page, "Access-Control-Request-Method: POST")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != page || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	a = r.post(t, "/api/edit", []part{file("image1", "a.png", photo), text("config", `{"prompt":"x"}`)}, "Origin: "+page, "Sec-Fetch-Site: cross-site")
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != page {
		t.Fatalf("edit: %d %s", a.status, a.body)
	}
	id := a.json(t)["job_id"].(string)
	r.dial(t, "/ws/"+id, "Origin: "+page).frame(t)
	for _, header := range [][]string{{"Origin: http://localhost:3001", "Sec-Fetch-Site: cross-site"}, {"Origin: " + page, "Sec-Fetch-Site: cross-site", "X: own routes"}} {
		path := "/api/jobs/" + id + "/status"
		if len(header) == 3 {
			path = "/api/v1/jobs/" + id
		}
		if a := r.get(t, path, header...); a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v: %d %v", header, a.status, a.header)
		}
	}
	st.WaitEnd(t, r.sup, job.ID(id))
}
