package stack

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// A Gap is a proxy between Prometheus and an agent that can stop answering, as
// a network does.
type Gap struct {
	server *httptest.Server
	open   atomic.Bool
}

// NewGap starts a proxy to the agent at this address.
func NewGap(agent string) *Gap {
	target := &url.URL{Scheme: "http", Host: agent}
	// The host of the request becomes that of the target: on loopback the agent
	// answers only to its own name.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { hangUp(w) }
	g := &Gap{}
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.open.Load() {
			hangUp(w)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	return g
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
		closeNow(connection)
	}
}

func closeNow(connection net.Conn) { _ = connection.Close() }

// Address is where Prometheus finds the agent.
func (g *Gap) Address() string { return g.server.Listener.Addr().String() }

// Cut ends or restores the way to the agent.
func (g *Gap) Cut(open bool) { g.open.Store(open) }

// Close ends the proxy.
func (g *Gap) Close() { g.server.Close() }
