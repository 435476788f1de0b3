package api

import (
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"qie/supervisor"
)

type metrics struct {
	registry *prometheus.Registry
	answers  *prometheus.CounterVec
}

func newMetrics(s *server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), answers: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "qie_http_responses_total", Help: "Answers by status."}, []string{"status"})}
	m.registry.MustRegister(m.answers)
	gauge := func(name, help string, value func(supervisor.System) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(s.sup.System()) }))
	}
	gauge("qie_jobs_queued", "Jobs that wait.", func(y supervisor.System) float64 { return float64(y.Queued) })
	gauge("qie_jobs_active", "Jobs that the worker holds.", func(y supervisor.System) float64 { return float64(y.Active) })
	gauge("qie_worker_generation", "Workers started.", func(y supervisor.System) float64 { return float64(y.Worker.Generation) })
	gauge("qie_worker_rss_bytes", "Memory of the worker.", func(y supervisor.System) float64 { return float64(y.Gauges.WorkerRSS) })
	gauge("qie_disk_free_bytes", "Free on the data folder's disk.", func(y supervisor.System) float64 { return float64(y.Gauges.DiskFree) })
	gauge("qie_live_connections", "Live streams.", func(y supervisor.System) float64 { return float64(y.Listeners) })
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "qie_goroutines", Help: "Of the supervisor."},
		func() float64 { return float64(runtime.NumGoroutine()) }))
	return m
}

func (m *metrics) answered(status int) {
	if status == 0 {
		status = http.StatusOK
	}
	m.answers.WithLabelValues(strconv.Itoa(status)).Inc()
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
