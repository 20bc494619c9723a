package certificate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
)

// A Remote inspects targets for others, who ask for one by a module of the
// configuration. What it finds belongs to whoever asked: it is no fact of this
// host, and nothing of it is kept. It is safe for concurrent use.
type Remote struct {
	config *Config
	host   probes.Host

	mu    sync.Mutex
	read  time.Time // when the authorities of the host were read
	roots *x509.CertPool
	blind error // why they could not be
}

// fresh is how long the authorities of the host are believed to be unchanged.
const fresh = time.Minute

// trusted returns the authorities that the host trusts.
func (r *Remote) trusted() (*x509.CertPool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.read.IsZero() || now.Sub(r.read) > fresh {
		r.roots, r.blind = hostRoots(r.host.Files, r.config.Trust)
		r.read = now
	}
	return r.roots, r.blind
}

// Remote returns what answers for the modules; nil when there are none.
func (c *Config) Remote(host probes.Host) *Remote {
	if len(c.Modules) == 0 {
		return nil
	}
	return &Remote{config: c, host: host}
}

// A Question asks for one target.
type Question struct {
	Module     string // empty means the module "default"
	Target     string // host:port
	StartTLS   string // in place of that of the module; empty means that of the module
	ServerName string // the same
}

// An Answer is what was found of a target.
type Answer struct {
	probes.Result
	Success bool   // the target is as the module expects it
	Story   string // what was done and seen, for a person
	Owner   string // of facts without one
}

// The errors of a Question that is not answered.
var (
	ErrQuestion   = errors.New("the question cannot be answered")
	ErrNotAllowed = errors.New("the target is not allowed")
)

// Facts of an Answer that no run of the probe has.
var (
	probeSuccess = &probes.Metric{Name: "probe_success", Help: "Whether the target is as its module expects it."}
	probeSeconds = &probes.Metric{Name: "probe_duration_seconds", Help: "How long the answer took."}
	reach        = &probes.Metric{
		Name:   "hygiene_certificate_reach",
		Help:   "How the port looks from this host, from an attempt to connect, 1 for what it is: unanswered when the question could not be put.",
		Labels: []string{probes.LabelObject, "state", probes.LabelOwner},
		Values: map[string][]string{"state": reaches()},
	}
	reachExpected = &probes.Metric{
		Name:   "hygiene_certificate_reach_expected",
		Help:   "Whether the port looks as the module expects it; a question that could not be put proves nothing.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
)

func reaches() (names []string) {
	for _, r := range endpoint.Reaches() {
		names = append(names, string(r))
	}
	return names
}

// AnswerMetrics lists what an Answer may hold.
func AnswerMetrics() []*probes.Metric {
	return append(Spec().Metrics, probeSuccess, probeSeconds, reach, reachExpected)
}

// Ask answers a question. The error is ErrQuestion or ErrNotAllowed; a target
// that cannot be inspected is an answer.
func (r *Remote) Ask(ctx context.Context, q Question) (Answer, error) {
	m, e, story, err := r.understand(q)
	if err != nil {
		return Answer{}, err
	}
	begin := time.Now()
	a := Answer{Owner: r.config.Owner}
	t := e.target(r.config.Handshakes)
	t.Timeout = m.limit(r.config.Handshakes)
	if m.Prober == proberTCP {
		r.knock(ctx, &a, m, t)
	} else {
		r.inspect(ctx, &a, e, t)
	}
	success := 0.0
	if a.Success {
		success = 1
	}
	a.Add(probeSuccess, success)
	a.Add(probeSeconds, time.Since(begin).Seconds())
	a.Story = story + a.Story
	return a, nil
}

// understand finds the module and checks that it may ask for the target.
func (r *Remote) understand(q Question) (m *Module, e *Endpoint, story string, err error) {
	name := q.Module
	if name == "" {
		name = "default"
	}
	i := slices.IndexFunc(r.config.Modules, func(m Module) bool { return m.Name == name })
	if i < 0 {
		return nil, nil, "", fmt.Errorf("%w: there is no module %.40q", ErrQuestion, name)
	}
	m = &r.config.Modules[i]
	if strings.HasPrefix(q.Target, unixPrefix) {
		return nil, nil, "", fmt.Errorf("%w: a socket belongs to this host only", ErrNotAllowed)
	}
	e = &Endpoint{Target: q.Target, Addresses: m.Addresses, Client: m.Client, Owner: m.Owner, Renew: m.Renew}
	if q.StartTLS != "" {
		e.StartTLS = q.StartTLS
	}
	if q.ServerName != "" {
		e.ServerName = q.ServerName
	}
	if m.Prober == proberTCP && e.StartTLS != "" {
		return nil, nil, "", fmt.Errorf("%w: the module %.40q says nothing to its target, so starttls has no meaning", ErrQuestion, name)
	}
	if err := e.validate(); err != nil {
		return nil, nil, "", fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	host, port, err := net.SplitHostPort(q.Target)
	if err != nil {
		return nil, nil, "", fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	number, _ := strconv.ParseUint(port, 10, 16) // it is valid
	entry, ok := m.allows(host, uint32(number))
	if !ok {
		return nil, nil, "", fmt.Errorf("%w: %.120q is in none of the targets of the module %.40q", ErrNotAllowed, q.Target, name)
	}
	return m, e, fmt.Sprintf("The module %s allows the target %s by its entry %s.\n", name, q.Target, entry), nil
}

// inspect finds out what a target shows.
func (r *Remote) inspect(ctx context.Context, a *Answer, e *Endpoint, t endpoint.Target) {
	have, err := e.read(r.host.Files)
	if err != nil {
		a.Story = fmt.Sprintf("It was not asked: %v.\n", err)
		return
	}
	t.Roots, t.ClientCertificates = have.roots, have.shown
	a.Success = true
	var b strings.Builder
	if t.Roots == nil {
		if t.Roots, err = r.trusted(); err != nil && !e.DatesOnly {
			fmt.Fprintf(&b, "Whom this host trusts is not known, so only dates are told: %v.\n", err)
			a.Success, e.DatesOnly = false, true
		}
	}
	if t.Roots == nil {
		t.Roots = x509.NewCertPool()
	}
	report := endpoint.Inspect(ctx, r.host.Dial, t)
	a.Result = e.describe(t.Name, report).Result
	for i := range report.Servers {
		server := &report.Servers[i]
		if f := server.Failure; f != nil && (f.Stage != endpoint.Verify || !e.DatesOnly) {
			a.Success = false
		}
		e.explainServer(&b, server, time.Now())
	}
	a.Story = b.String()
}

// knock finds out how a port looks.
func (r *Remote) knock(ctx context.Context, a *Answer, m *Module, t endpoint.Target) {
	state, err := endpoint.Knock(ctx, r.host.Dial, t)
	a.Success = state == endpoint.ReachOpen
	if m.Expect == expectClosed {
		a.Success = state.Closed()
	}
	for _, s := range endpoint.Reaches() {
		value := 0.0
		if s == state {
			value = 1
		}
		a.Add(reach, value, t.Name, string(s), m.Owner)
	}
	expected := 0.0
	if a.Success {
		expected = 1
	}
	a.Add(reachExpected, expected, t.Name, m.Owner)
	wanted := m.Expect
	if wanted == "" {
		wanted = expectOpen
	}
	a.Story = fmt.Sprintf("The port is %s%s. It should be %s.\n", state, because(err), wanted)
}
