// Package api owns HTTP: qie's own routes, the original program's, the live stream and the guards in front of them.
// It decides nothing about jobs: every road leads to the supervisor's facade.
package api

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"qie/supervisor"
	"qie/supervisor/config"
	"qie/supervisor/doctor"
	"qie/supervisor/folder"
)

// Config of the handler. A nil Supervisor is enough to generate the OpenAPI document.
type Config struct {
	Supervisor *supervisor.Supervisor
	Host       string // as bound
	Token      string // empty: none is asked for
	Dist       fs.FS  // the built page
	// Settings are those in force; origins and folders of them may change while the server runs. nil: the defaults.
	Settings *config.Live
	Input    *folder.Input // nil: none
	Doctor   func(ctx context.Context) doctor.Diagnosis
	Log      *slog.Logger
	Version  string
}

// origins are trusted on the original program's routes.
func (c Config) origins() []string { return c.Settings.Config().Origins }

type server struct {
	Config
	sup     *supervisor.Supervisor
	metrics *metrics
	openapi *huma.OpenAPI
}

// New makes the handler of everything that qie answers.
func New(cfg Config) http.Handler {
	s, engine := build(cfg)
	return s.guard(engine)
}

// NewServer sets the limits that a handler cannot: header size, header time and idle time. Bodies and streams have no
// global limit, since a photo on a slow line takes long.
func NewServer(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
}

func build(cfg Config) (*server, *gin.Engine) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Settings == nil {
		cfg.Settings = config.NewLive(config.Sources{}, config.Config{})
	}
	gin.SetMode(gin.ReleaseMode)
	s := &server{Config: cfg, sup: cfg.Supervisor}
	s.metrics = newMetrics(s)
	r := gin.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleMethodNotAllowed = false, false, true
	r.UseRawPath = true // an encoded slash belongs to a name, so that a traversal is seen as one
	r.NoRoute(s.page)
	r.NoMethod(func(c *gin.Context) { s.fail(c, errMethod) })

	a := humagin.New(r, humaConfig(cfg.Version))
	s.openapi = a.OpenAPI()
	tag := func(method, path, id, summary string, status int) huma.Operation {
		return huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, DefaultStatus: status}
	}
	huma.Register(a, tag("GET", "/healthz", "healthz", "The process lives", 200), s.healthz)
	huma.Register(a, tag("GET", "/readyz", "readyz", "A job would start now", 200), s.readyz)
	huma.Register(a, tag("GET", "/api/v1/system", "getSystem", "Program and machine", 200), s.system)
	huma.Register(a, tag("GET", "/api/v1/state", "getState", "All that a page needs", 200), s.state)
	huma.Register(a, tag("GET", "/api/v1/jobs", "listJobs", "Jobs, newest first", 200), s.listJobs)
	huma.Register(a, tag("GET", "/api/v1/jobs/{id}", "getJob", "One job", 200), s.getJob)
	huma.Register(a, tag("DELETE", "/api/v1/jobs/{id}", "removeJob", "Remove a job with its files", 204), s.removeJob)
	huma.Register(a, tag("POST", "/api/v1/jobs/{id}/cancel", "cancelJob", "Stop a job; twice is once", 200), s.cancelJob)
	huma.Register(a, tag("POST", "/api/v1/jobs/{id}/retry", "retryJob", "Queue an ended job again", 200), s.retryJob)
	huma.Register(a, tag("POST", "/api/v1/jobs/{id}/move", "moveJob", "Put a waiting job in front of another, or of all", 200), s.moveJob)
	huma.Register(a, tag("POST", "/api/v1/jobs/{id}/duplicate", "duplicateJob", "Queue a new job with the same recipe and pictures", 202), s.duplicateJob)
	huma.Register(a, tag("POST", "/api/v1/jobs/{id}/mark", "markJob", "Star a job, or put it into the trash and take it out again", 200), s.markJob)
	huma.Register(a, tag("POST", "/api/v1/queue/pause", "pauseQueue", "Start nothing until it is resumed; what runs goes on", 200), s.pauseQueue)
	huma.Register(a, tag("POST", "/api/v1/queue/resume", "resumeQueue", "Let the queue go on", 200), s.resumeQueue)
	huma.Register(a, tag("GET", "/api/v1/storage", "getStorage", "What jobs take on the disk", 200), s.storage)
	huma.Register(a, tag("POST", "/api/v1/cleanup", "cleanup", "Remove ended jobs, or tell what would go", 200), s.cleanup)
	huma.Register(a, tag("GET", "/api/v1/settings", "getSettings", "Settings in force, and where each came from", 200), s.settings)
	huma.Register(a, tag("GET", "/api/v1/models", "listModels", "Models on this machine, and what can be fetched", 200), s.listModels)
	huma.Register(a, tag("POST", "/api/v1/models/{id}/pull", "pullModel", "Start or resume a download", 200), s.pullModel)
	huma.Register(a, tag("DELETE", "/api/v1/models/{id}/pull", "pauseModel", "Pause a download", 204), s.pauseModel)
	huma.Register(a, tag("DELETE", "/api/v1/models/{id}", "removeModel", "Delete what was fetched of a model", 200), s.removeModel)
	huma.Register(a, tag("GET", "/api/v1/doctor", "doctor", "The findings of qie doctor", 200), s.doctor)
	huma.Register(a, tag("GET", "/api/v1/crashes", "listCrashes", "Reports of the worker's crashes, newest first", 200), s.listCrashes)
	huma.Register(a, tag("GET", "/api/v1/crashes/{name}", "getCrash", "One report; it holds no prompt, no file name and no path", 200), s.getCrash)
	huma.Register(a, tag("POST", "/api/v1/worker/restart", "restartWorker", "Start the worker anew", 204), s.restartWorker)
	huma.Register(a, tag("POST", "/api/v1/worker/unload", "unloadWorker", "Free the model's memory", 204), s.unloadWorker)
	s.rawRoutes(r)
	s.originalRoutes(r)
	return s, r
}

// rawRoutes carry bytes, so their schema is written by hand in openapi.go.
func (s *server) rawRoutes(r *gin.Engine) {
	r.POST("/api/v1/jobs", s.submit)
	for path, handler := range map[string]gin.HandlerFunc{
		"/api/v1/jobs/:id/result": s.result, "/api/v1/jobs/:id/preview": s.preview, "/api/v1/jobs/:id/thumb": s.thumb, "/api/v1/jobs/:id/images/:n": s.image,
		"/api/v1/jobs/:id/mask": s.mask,
		"/docs":                 s.docs,
	} {
		r.GET(path, handler)
		r.HEAD(path, handler)
	}
	r.GET("/api/v1/live", s.live)
	r.GET("/metrics", gin.WrapH(s.metrics.handler()))
	describeRaw(s.openapi)
}

// originalRoutes are the original program's, in its own words and shapes.
func (s *server) originalRoutes(r *gin.Engine) {
	r.POST("/api/edit", s.origEdit)
	r.GET("/api/jobs/:id/status", s.origStatus)
	r.GET("/api/jobs/:id/images", s.origImages)
	r.GET("/api/jobs/:id/images/:n", s.origImage)
	r.GET("/api/jobs/:id/download", s.origImage)
	r.DELETE("/api/jobs/:id", s.origDelete)
	r.POST("/api/cleanup", s.origCleanup)
	r.GET("/ws/:id", s.origLive)
	r.GET("/api/input-folder/list", s.folderList)
	r.GET("/api/input-folder/image/:name", s.folderImage)
	r.POST("/api/input-folder/load", s.folderLoad)
}
