package api

//go:generate go run ./openapi

import (
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

// LiveEvent is one frame on /api/v1/live; it has its name so that the document carries its schema.
type LiveEvent event.Event

func humaConfig(version string) huma.Config {
	cfg := huma.DefaultConfig("qie", version)
	cfg.Info.Description = "Edit a photo by saying what should change, on one's own computer."
	cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", nil
	return cfg
}

// Document is the OpenAPI document, made without a supervisor. Its version is fixed: the document changes when the
// contract does, not at every build.
func Document() ([]byte, error) {
	s, _ := build(Config{Version: "1"})
	data, err := json.MarshalIndent(s.openapi, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// describeRaw adds the routes that huma does not serve.
func describeRaw(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas
	ref := func(t reflect.Type, name string) *huma.Schema { return schemas.Schema(t, true, name) }
	problem := &huma.Response{Description: "Refused, with a stable code", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: ref(reflect.TypeFor[Problem](), "Problem")}}}
	pictures := func() map[string]*huma.Response {
		return map[string]*huma.Response{"default": problem, "200": {Description: "The picture", Content: map[string]*huma.MediaType{
			"image/png": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	}
	param := func(name, in, kind string) *huma.Param {
		return &huma.Param{Name: name, In: in, Required: in == "path", Schema: &huma.Schema{Type: kind}}
	}
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	doc.AddOperation(&huma.Operation{Method: http.MethodPost, Path: "/api/v1/jobs", OperationID: "submitJob",
		Summary: "Submit an edit; durable before the answer",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {
			Schema: &huma.Schema{Type: huma.TypeObject, Required: []string{"image", "recipe"}, Properties: map[string]*huma.Schema{
				"image": {Type: huma.TypeArray, Items: binary, MinItems: new(1), MaxItems: new(3), Description: "JPEG, PNG, WebP or BMP, at most 100 MB each"},
				"mask": {Type: huma.TypeString, Format: "binary", Description: "What of image 1 may change, as large as the photo is seen: white " +
					"may change, black stays bit for bit, grey mixes. A picture with transparent parts is read the other way round: clear may change."},
				"parent": {Type: huma.TypeString, Description: "id of the job whose result is edited; absent: the newest job whose result the first image is, if there is one"},
				"recipe": ref(reflect.TypeFor[job.Recipe](), "Recipe"),
			}},
			Encoding: map[string]*huma.Encoding{"recipe": {ContentType: "application/json"}},
		}}},
		Responses: map[string]*huma.Response{"default": problem, "202": {Description: "The queued job",
			Content: map[string]*huma.MediaType{"application/json": {Schema: ref(reflect.TypeFor[job.Job](), "Job")}}}},
	})
	for _, r := range []struct{ path, id, summary string }{
		{"/api/v1/jobs/{id}/result", "getResult", "The finished picture"},
		{"/api/v1/jobs/{id}/preview", "getPreview", "The newest preview"},
		{"/api/v1/jobs/{id}/mask", "getMask", "What of image 1 may change: grey, white may change"},
		{"/api/v1/jobs/{id}/thumb", "getThumb", "A small picture of the result, or of the first source"},
		{"/api/v1/jobs/{id}/images/{n}", "getImage", "A source, upright, from 1"},
	} {
		op := &huma.Operation{Method: http.MethodGet, Path: r.path, OperationID: r.id, Summary: r.summary,
			Parameters: []*huma.Param{param("id", "path", "string")}, Responses: pictures()}
		if r.id == "getThumb" {
			op.Parameters = append(op.Parameters, param("of", "query", "string"))
			op.Parameters[1].Description = "source: of the first source, also when there is a result"
		}
		if r.id == "getImage" {
			op.Parameters = append(op.Parameters, param("n", "path", "integer"))
		}
		doc.AddOperation(op)
	}
	doc.AddOperation(&huma.Operation{Method: http.MethodGet, Path: "/api/v1/live", OperationID: "live",
		Summary:    "WebSocket: state, then events",
		Parameters: []*huma.Param{param("epoch", "query", "string"), param("seq", "query", "integer")},
		Responses: map[string]*huma.Response{"default": problem, "101": {Description: "Each frame is a LiveEvent",
			Content: map[string]*huma.MediaType{"application/json": {Schema: ref(reflect.TypeFor[LiveEvent](), "LiveEvent")}}}},
	})
}

func operations(item *huma.PathItem) map[string]*huma.Operation {
	ops := map[string]*huma.Operation{}
	for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "DELETE": item.Delete} {
		if op != nil {
			ops[method] = op
		}
	}
	return ops
}
