package api

import (
	"bytes"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

const noPage = `<!doctype html><meta charset="utf-8"><title>qie</title><h1>qie is running</h1>
<p>The page is not part of this binary. Run <code>./setup.sh</code> in the checkout, then <code>./start</code>.</p>
<p>The API works: <a href="/docs">/docs</a>.</p>`

// page answers GET / and every address that no route takes: assets, the page, or an error.
func (s *server) page(c *gin.Context) {
	p := c.Request.URL.Path
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead || strings.HasPrefix(p, "/api/") || strings.HasPrefix(p, "/ws/") {
		s.fail(c, errNoRoute)
		return
	}
	wantsHTML := strings.Contains(c.GetHeader("Accept"), "text/html")
	if p == "/" && !wantsHTML {
		s.origHealth(c)
		return
	}
	name := strings.TrimPrefix(path.Clean(p), "/")
	if p != "/" && s.asset(c, name) {
		return
	}
	if !wantsHTML || path.Ext(name) != "" {
		s.fail(c, errNoRoute)
		return
	}
	c.Header("Cache-Control", "no-cache")
	if s.Dist != nil {
		if index, err := fs.ReadFile(s.Dist, "index.html"); err == nil {
			c.Data(http.StatusOK, "text/html; charset=utf-8", index)
			return
		}
	}
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(noPage))
}

func (s *server) asset(c *gin.Context, name string) bool {
	if s.Dist == nil || !fs.ValidPath(name) || strings.HasPrefix(name, ".") {
		return false
	}
	data, err := fs.ReadFile(s.Dist, name)
	if err != nil {
		return false
	}
	cache := "no-cache"
	if strings.HasPrefix(name, "assets/") { // Vite puts the hash into these names
		cache = "public, max-age=31536000, immutable"
	}
	c.Header("Cache-Control", cache)
	http.ServeContent(c.Writer, c.Request, name, time.Time{}, bytes.NewReader(data))
	return true
}

// tokenPage is what a browser without the cookie sees: the page itself needs the token for everything that it loads.
const tokenPage = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>qie</title><style>body{font:16px system-ui;max-width:26rem;margin:20vh auto;padding:0 1rem}input,button{font:inherit;padding:.5rem}</style>
<h1>qie</h1><form method="get" action="/"><p><label for="token">The token that qie printed at its start</label></p>
<p><input id="token" name="token" type="password" autocomplete="off" required autofocus> <button>Open</button></p></form></html>`

func askToken(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", strings.Replace(pagePolicy, "form-action 'none'", "form-action 'self'", 1))
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(tokenPage)) // the client may be gone
}

var docsPage = template.Must(template.New("docs").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>qie API</title>
<style>body{font:16px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}td{padding:.3rem .8rem .3rem 0}</style>
<h1>qie API</h1><p>The whole document: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p><table>
{{range .}}<tr><td><code>{{.Method}}</code></td><td><code>{{.Path}}</code></td><td>{{.Summary}}</td></tr>
{{end}}</table></html>`))

// docs is drawn here, since the usual viewers load themselves from other people's servers.
func (s *server) docs(c *gin.Context) {
	type row struct{ Method, Path, Summary string }
	var rows []row
	for path, item := range s.openapi.Paths {
		for method, op := range operations(item) {
			rows = append(rows, row{method, path, op.Summary})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	c.Header("Content-Type", "text/html; charset=utf-8")
	_ = docsPage.Execute(c.Writer, rows) // the client may be gone
}
