package certificate

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
)

// servers is what a probe knows of endpoints. It is used by one goroutine; the
// watch inspects in the background.
type servers struct {
	config *Config
	host   probes.Host
	watch  endpoint.Watch
	wrong  map[string]error // why an endpoint could not be asked at all, by object
	blind  error            // why nobody knows whom this host trusts
}

func newServers(c *Config, host probes.Host) *servers {
	return &servers{config: c, host: host, watch: endpoint.Watch{Pool: endpoint.Pool{
		Inspector:   endpoint.Inspector{Dial: host.Dial, Revoked: c.Revocation.asker(host)},
		Concurrency: c.Handshakes.Concurrency,
		Spacing:     c.Handshakes.spacing(),
	}}}
}

// begin begins to inspect the endpoints whose time has come.
func (s *servers) begin(ctx context.Context, now time.Time) {
	var targets []endpoint.Target
	s.wrong = map[string]error{}
	for _, e := range s.config.Endpoints {
		t := e.target(s.config.Handshakes)
		if !s.due(t.Name, time.Duration(s.config.Handshakes.Interval), now) {
			continue
		}
		have, err := e.read(s.host.Files)
		if err != nil {
			s.wrong[t.Name] = err
			continue
		}
		t.Roots, t.ClientCertificates = have.roots, have.shown
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return
	}
	roots, err := hostRoots(s.host.Files, s.config.Trust)
	s.blind = err
	for i := range targets {
		switch {
		case targets[i].Roots != nil:
		case err != nil:
			targets[i].Roots = x509.NewCertPool() // and not those of the agent's own file system
		default:
			targets[i].Roots = roots
		}
	}
	s.watch.Begin(ctx, targets)
}

// due reports whether a target must be inspected. Runs of the probe are not
// exactly one interval apart, so half of one makes no difference.
func (s *servers) due(name string, interval time.Duration, now time.Time) bool {
	last, known := s.watch.Last(name)
	return !known || now.Sub(last.At) >= interval-time.Duration(s.config.Interval)/2
}

// patience is how long a run waits for servers at most.
const patience = 30 * time.Second

// wait waits for a round of inspections, but no longer than the run has time for.
// What comes later is told by the next run.
func (s *scan) wait(ctx context.Context, watch *endpoint.Watch) {
	limit := patience
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	watch.Wait(ctx)
}

var errNotInspected = probes.Because(probes.NotRun, errors.New("was not inspected yet"))

// endpoints adds what is known of every endpoint.
func (s *scan) endpoints() {
	for i := range s.config.Endpoints {
		e := &s.config.Endpoints[i]
		s.endpoint(e, e.object())
	}
}

func (s *scan) endpoint(e *Endpoint, object string) {
	s.seen[object] = true
	var remembered dates
	if known, ok := s.memory.Object(object); ok {
		remembered = parseDates(known.Detail.Shown)
	}
	last, inspected := s.servers.watch.Last(object)
	var now shown
	switch err := s.servers.wrong[object]; {
	case err != nil:
		now.err = err
	case !inspected:
		now.err = errNotInspected
	case s.servers.blind != nil && len(e.CAFiles) == 0 && !e.DatesOnly:
		unjudged := *e
		unjudged.DatesOnly = true
		now = unjudged.describe(object, last.Report)
		now.err = errors.Join(s.servers.blind, now.err)
	default:
		now = e.describe(object, last.Report)
	}
	s.result.Samples = append(s.result.Samples, now.Samples...)
	s.sum.join(now.verdicts)
	stale := 0.0
	if len(now.dates) == 0 {
		stale = 1
		now.dates = remembered
		e.recall(&s.result, object, remembered)
	} else {
		s.result.AddTime(lastSeen, last.At, object, e.Owner)
	}
	s.result.Add(staleMetric, stale, object, e.Owner)
	if now.err != nil {
		s.fault(object, now.err)
	}
	s.memory.Saw(object, place{Shown: now.dates.String()}, s.now)
}
