// Package multitarget serves /probe: a Prometheus elsewhere names a target, and
// gets what was found of it. It promises that nothing is asked which the
// configuration does not allow, that many questions at once are refused and not
// queued, and that nothing that is found enters the facts, rules or problems of
// this host.
package multitarget

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/expfmt"
	"golang.org/x/time/rate"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes/certificate"
)

// The bounds of what strangers can make this host do.
const (
	atATime   = 64
	perSecond = 500
)

// New returns the handler. The function is called for each request and returns
// who answers; nil means that nothing may be asked.
func New(remote func() *certificate.Remote) http.Handler {
	return &handler{remote: remote, facts: collector.NewExposition(certificate.AnswerMetrics()), seats: make(chan struct{}, atATime), pace: rate.NewLimiter(perSecond, perSecond)}
}

type handler struct {
	remote func() *certificate.Remote
	facts  collector.Exposition
	seats  chan struct{}
	pace   *rate.Limiter
}

// ServeHTTP answers /probe?target=host:port with module, starttls, server_name
// and debug.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	remote := h.remote()
	if remote == nil {
		http.Error(w, "nothing can be asked here: the configuration has no probes.certificate.modules", http.StatusNotFound)
		return
	}
	question, debug, err := read(r.URL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case h.seats <- struct{}{}:
		defer func() { <-h.seats }()
	default:
		h.busy(w)
		return
	}
	if !h.pace.Allow() {
		h.busy(w)
		return
	}
	ctx, cancel := withinScrape(r)
	defer cancel()
	answer, err := remote.Ask(ctx, question)
	switch {
	case errors.Is(err, certificate.ErrNotAllowed):
		http.Error(w, err.Error(), http.StatusForbidden)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case debug:
		h.explain(w, answer)
	default:
		h.expose(w, r, answer)
	}
}

func (h *handler) busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, fmt.Sprintf("too much is asked at once: at most %d questions at a time and %d in a second", atATime, perSecond), http.StatusServiceUnavailable)
}

// read reads the parameters of a request. One that is misspelt or there twice
// would change nothing in silence, so it is refused.
func read(u *url.URL) (q certificate.Question, debug bool, err error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return q, false, err
	}
	for key, given := range values {
		if len(given) > 1 {
			return q, false, fmt.Errorf("the parameter %.40q is there %d times", key, len(given))
		}
		value := given[0]
		switch key {
		case "target":
			q.Target = value
		case "module":
			q.Module = value
		case "starttls":
			q.StartTLS = value
		case "server_name":
			q.ServerName = value
		case "debug":
			if debug, err = strconv.ParseBool(value); err != nil {
				return q, false, fmt.Errorf("debug is true or false, not %.40q", value)
			}
		default:
			return q, false, fmt.Errorf("there is no parameter %.40q; there are target, module, starttls, server_name and debug", key)
		}
	}
	if q.Target == "" {
		return q, false, errors.New("the parameter target is missing, such as target=www.example.org:443")
	}
	return q, debug, nil
}

// margin is what is left of the time of a scrape for the way back.
const margin = 500 * time.Millisecond

// withinScrape ends a request before Prometheus gives it up, so that the answer
// says what took so long.
func withinScrape(r *http.Request) (context.Context, context.CancelFunc) {
	seconds, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	limit := time.Duration(seconds*float64(time.Second)) - margin
	if err != nil || seconds > 3600 || limit <= 0 {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), limit)
}

// expose writes the facts for Prometheus.
func (h *handler) expose(w http.ResponseWriter, r *http.Request, a certificate.Answer) {
	families, _ := h.facts.Families(a.Result, a.Owner)
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if encoder.Encode(family) != nil {
			return // the client is gone
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		_ = closer.Close() // as above
	}
}

// explain writes the story for a person, and then the facts.
func (h *handler) explain(w http.ResponseWriter, a certificate.Answer) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	families, refused := h.facts.Families(a.Result, a.Owner)
	fmt.Fprintf(w, "%s\n", a.Story)
	for _, err := range refused {
		fmt.Fprintf(w, "Left out: %v.\n", err)
	}
	fmt.Fprintln(w, "Facts:")
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if encoder.Encode(family) != nil {
			return
		}
	}
}
