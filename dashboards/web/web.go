// Package web serves what the agent knows over HTTP: metrics for Prometheus,
// a status page and runbooks for people, and the same as JSON for programs. It
// changes nothing: changes go through the control socket.
package web

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/collector"
)

// Options is what the pages show and where they take it from. All functions
// must be safe for concurrent use.
type Options struct {
	Metrics  http.Handler
	Snapshot func() *collector.Snapshot
	Problems func(ctx context.Context) []monitor.Problem
	// History returns the problems that closed last, the latest first.
	History func() []ledger.Past
	// Notices returns what whoever runs the agent should know, in sentences.
	Notices func() []string
	// Ready reports whether every enabled probe has finished its first run.
	Ready func() bool
	// Reload re-reads the configuration. It is nil where reloading over HTTP
	// is not allowed.
	Reload func() error
	// Targets answers /probe, what others ask of targets elsewhere; nil where
	// nobody may.
	Targets http.Handler
	// Runbooks holds one Markdown file for each check.
	Runbooks fs.FS

	// Links returns the addresses that the configuration names.
	Links func() Links

	Host    string // the name of this host
	Version string
	// LoopbackOnly refuses requests whose Host header is not a name of the
	// loopback interface, so that no web page elsewhere can make a browser on
	// this host read the agent (DNS rebinding).
	LoopbackOnly bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Links are addresses outside of the agent; an empty one is left out.
type Links struct {
	Alertmanager string // where silences are made
	Runbooks     string // where <probe>-<check> is explained, if not here
	Agent        string // where people reach this page
}

// New returns the handler of everything that the agent serves.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics)
	if o.Targets != nil {
		mux.Handle("GET /probe", o.Targets)
	}
	mux.HandleFunc("GET /{$}", o.status)
	mux.HandleFunc("GET /probes/{name}", o.probe)
	mux.HandleFunc("GET /history", o.history)
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("GET /runbooks/{$}", o.runbooks)
	mux.HandleFunc("GET /runbooks/{name}", o.runbook)
	mux.HandleFunc("GET /api/v1/problems", o.apiProblems)
	mux.HandleFunc("GET /api/v1/history", o.apiHistory)
	mux.HandleFunc("GET /api/v1/facts", o.apiFacts)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "healthy") })
	mux.HandleFunc("GET /-/ready", o.ready)
	mux.HandleFunc("POST /-/reload", o.reload)
	return o.guard(mux)
}

// guard sets the headers of every answer and refuses foreign hosts.
func (o Options) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if o.LoopbackOnly && !loopbackName(r.Host) {
			plain(w, http.StatusMisdirectedRequest, "this agent listens on the loopback interface and answers only to names of it, such as localhost")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackName reports whether a Host header names the loopback interface.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (o Options) ready(w http.ResponseWriter, _ *http.Request) {
	if !o.Ready() {
		plain(w, http.StatusServiceUnavailable, "not every probe has finished its first run")
		return
	}
	plain(w, http.StatusOK, "ready")
}

func (o Options) reload(w http.ResponseWriter, _ *http.Request) {
	if o.Reload == nil {
		plain(w, http.StatusForbidden, "reloading over HTTP is off: send SIGHUP, or start with --web.enable-lifecycle")
		return
	}
	if err := o.Reload(); err != nil {
		plain(w, http.StatusUnprocessableEntity, "the running configuration is kept:\n"+err.Error())
		return
	}
	plain(w, http.StatusOK, "reloaded")
}

func (o Options) apiProblems(w http.ResponseWriter, r *http.Request) {
	problems := o.Problems(r.Context())
	if problems == nil {
		problems = []monitor.Problem{}
	}
	answer := map[string]any{"host": o.Host, "problems": problems}
	if agent := o.Links().Agent; agent != "" {
		answer["agent"] = agent
	}
	writeJSON(w, answer)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // an error here means that the client has gone
}

func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}
