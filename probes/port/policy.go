package port

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/process"
	"hygiene_exporter/probes/port/workload"
)

// What is thought of an object: the label policy. The last four are violations.
const (
	policyNone       = "none"      // there is no policy for it
	policyAllowed    = "allowed"   // a rule permits it
	policyRequired   = "required"  // a rule demands it
	policyIgnored    = "ignored"   // noise, such as the ports of clients
	policyUndecided  = "undecided" // a rule asks for what is not known
	policyUnexpected = "unexpected"
	policyForbidden  = "forbidden"
	policyExpired    = "expired"
	policyDangerous  = "dangerous"
)

func violations() []string {
	return []string{policyUnexpected, policyForbidden, policyExpired, policyDangerous}
}

// A verdict is what the policy says of an object.
type verdict struct {
	policy  string
	rule    int    // number of the rule in the configuration; -1 without one
	unknown string // what an undecided rule asks for
	pending bool   // it will be known soon
	danger  string // the service that must never be public
}

func (v verdict) violated() bool {
	return slices.Contains(violations(), v.policy)
}

// An answer is what came of comparing a rule with a socket.
type answer int

const (
	no answer = iota
	yes
	unknown
)

// judge returns what the rules say of an object. The first that fits decides; if
// it cannot be told whether one fits, nobody can decide.
func (c *Config) judge(o *object, now time.Time) verdict {
	for i, rule := range c.Policy {
		fits, what, pending := rule.fits(o)
		switch {
		case fits == unknown:
			return verdict{policy: policyUndecided, rule: i, unknown: what, pending: pending}
		case fits == no:
		case rule.Expect == forbidden:
			return verdict{policy: policyForbidden, rule: i}
		case rule.expired(now):
			return verdict{policy: policyExpired, rule: i}
		case rule.Expect == required:
			return verdict{policy: policyRequired, rule: i}
		default:
			return verdict{policy: policyAllowed, rule: i}
		}
	}
	v := verdict{rule: -1, danger: o.danger()}
	switch {
	case v.danger != "":
		v.policy = policyDangerous
	case !c.covers(o):
		v.policy = policyNone
	case o.noise():
		v.policy = policyIgnored
	default:
		v.policy = policyUnexpected
	}
	return v
}

func (r Rule) expired(now time.Time) bool {
	end := r.ends()
	return !end.IsZero() && !now.Before(end)
}

// covers reports whether there is a policy for objects of this kind.
func (c *Config) covers(o *object) bool {
	for _, rule := range c.Policy {
		if (rule.Namespace == "") != (o.namespace == "") {
			continue
		}
		switch o.protocol {
		case listeners.Unix, listeners.Raw, listeners.Packet:
			if rule.Protocol == string(o.protocol) {
				return true
			}
		default:
			if rule.Protocol == "" || !local(rule.Protocol) {
				return true
			}
		}
	}
	return false
}

// local reports whether a protocol is none that carries ports over a network.
func local(protocol string) bool {
	switch listeners.Protocol(protocol) {
	case listeners.Unix, listeners.Raw, listeners.Packet:
		return true
	}
	return false
}

// noise reports whether an object is of the kind that clients leave behind:
// ports that the kernel chose, DHCP, mDNS.
func (o *object) noise() bool {
	const dhcp, dhcp6, mdns = 68, 546, 5353
	if o.protocol != listeners.UDP && o.protocol != listeners.UDPLite {
		return false
	}
	return o.ephemeral || o.number == dhcp || o.number == dhcp6 || o.number == mdns
}

// fits compares a rule with all sockets of an object.
func (r Rule) fits(o *object) (is answer, what string, pending bool) {
	if !r.fitsObject(o) {
		return no, "", false
	}
	is = yes
	for _, s := range o.sockets {
		a, field := r.fitsSocket(s)
		if a == no {
			return no, "", false
		}
		if a == unknown {
			is, what = unknown, field
			pending = pending || s.state == process.Pending
		}
	}
	return is, what, pending
}

// fitsObject compares what is always known.
func (r Rule) fitsObject(o *object) bool {
	if r.Protocol != "" && r.Protocol != string(o.protocol) || !r.fitsNamespace(o.namespace) || !r.fitsExposure(o.exposure) {
		return false
	}
	if r.Path != "" && !match(r.Path, o.port) {
		return false
	}
	if len(r.Ports) == 0 || o.protocol == listeners.Unix {
		return true
	}
	for _, ports := range r.Ports {
		if ports.Ephemeral && o.ephemeral || !o.ephemeral && !ports.Ephemeral && ports.First <= o.number && o.number <= ports.Last {
			return true
		}
	}
	return false
}

func (r Rule) fitsNamespace(namespace string) bool {
	if r.Namespace == "" || namespace == "" {
		return r.Namespace == namespace
	}
	return match(r.Namespace, namespace)
}

func (r Rule) fitsExposure(exposure string) bool {
	switch r.Exposure {
	case "", "any":
		return true
	case wildcard:
		return wild(exposure)
	}
	return r.Exposure == exposure
}

// fitsSocket compares what may not be known. It returns the key of the rule that
// asks for it.
func (r Rule) fitsSocket(s *socket) (answer, string) {
	is, what := yes, ""
	for _, ask := range []struct {
		key   string
		fit   bool
		known bool
	}{
		{"user", r.User == "" || s.HasUID && (r.User == s.user || r.User == strconv.Itoa(int(s.UID))), s.HasUID},
		{"unit", r.Unit == "" || match(r.Unit, s.workload.Unit), s.placed},
		{"container", r.Container == "" || match(r.Container, workload.Workload{Container: s.workload.Container, Pod: s.workload.Pod}.String()), s.placed},
		{"executable", r.Executable == "" || match(r.Executable, s.process.Executable), s.process.Executable != ""},
	} {
		switch {
		case !ask.fit && ask.known:
			return no, ""
		case !ask.fit:
			is, what = unknown, ask.key
		}
	}
	return is, what
}

// match compares with a pattern that was validated.
func match(pattern, text string) bool {
	fits, err := doublestar.Match(pattern, text)
	return err == nil && fits && text != ""
}

// object returns the name under which a missing listener is reported: what the
// rule demands.
func (r Rule) object() string {
	var b strings.Builder
	if r.Namespace != "" {
		b.WriteString(r.Namespace + "/")
	}
	exposure := r.Exposure
	if exposure == "" {
		exposure = "any"
	}
	port := r.Path
	if len(r.Ports) > 0 {
		port = r.Ports[0].String()
	}
	fmt.Fprintf(&b, "%s/%s:%s", r.Protocol, exposure, port)
	for _, who := range []string{r.Container, r.Unit} {
		if who != "" {
			b.WriteString("@" + who)
			break
		}
	}
	return b.String()
}

// names reports whether a rule speaks of this very port, so that it must not be
// taken for one that the kernel chose.
func (c *Config) names(protocol listeners.Protocol, port uint32) bool {
	for _, rule := range c.Policy {
		if rule.Protocol != "" && rule.Protocol != string(protocol) {
			continue
		}
		for _, ports := range rule.Ports {
			if !ports.Ephemeral && ports.First <= port && port <= ports.Last {
				return true
			}
		}
	}
	for _, s := range neverPublic() {
		if s.protocol == protocol && s.first <= port && port <= max(s.first, s.last) {
			return true
		}
	}
	return false
}
