package certificate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/internal/listeners"
)

// Listeners is how the TLS listeners of this host are found.
type Listeners struct {
	// Whether the listeners of this host are inspected, over its own addresses only: so a certificate that was renewed on disk is noticed where it is not yet served.
	Enabled bool `yaml:"enabled"`
	// Time between two inspections of a listener. One that serves an old certificate is inspected in every run.
	Interval probes.Duration `yaml:"interval"`
	// Ports that are inspected besides the usual ones of TLS and STARTTLS: 8444, 9000-9010, or with a dialogue 2525/smtp. Software that serves no TLS on them sees a connection with the first message of TLS.
	Ports []string `yaml:"ports"`
	// Ports that are left alone: 443 or 9000-9010.
	Exclude []string `yaml:"exclude"`
	// Most listeners that are inspected; further ones are counted as skipped.
	Max int `yaml:"max"`
}

func defaultListeners() Listeners {
	return Listeners{Enabled: true, Interval: probes.Duration(time.Hour), Max: 64}
}

func (l Listeners) validate() error {
	var errs []error
	if l.Interval <= 0 {
		errs = append(errs, probes.At("interval", fmt.Errorf("must be above 0, not %s", l.Interval)))
	}
	if l.Max < 1 || l.Max > 1000 {
		errs = append(errs, probes.At("max", fmt.Errorf("must be between 1 and 1000, not %d", l.Max)))
	}
	for i, text := range l.Ports {
		_, err := parsePorts(text)
		errs = append(errs, probes.At(fmt.Sprintf("ports[%d]", i), err))
	}
	for i, text := range l.Exclude {
		r, err := parsePorts(text)
		if err == nil && r.starttls != "" {
			err = errors.New("a port is left alone whatever its dialogue is")
		}
		errs = append(errs, probes.At(fmt.Sprintf("exclude[%d]", i), err))
	}
	return errors.Join(errs...)
}

// ports is a range of ports with one dialogue.
type ports struct {
	first, last uint32
	starttls    string
}

func (p ports) has(port uint32) bool { return p.first <= port && port <= p.last }

// parsePorts reads 8444, 9000-9010 or 2525/smtp.
func parsePorts(text string) (p ports, err error) {
	numbers, starttls, dialogue := strings.Cut(text, "/")
	if dialogue && !slices.Contains(endpoint.Protocols(), starttls) {
		return p, fmt.Errorf("%.40q is not one of %s", starttls, strings.Join(endpoint.Protocols(), ", "))
	}
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	a, err1 := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || a < 1 || b < a {
		return p, fmt.Errorf("%.40q is no port, such as 8444, and no range of ports, such as 9000-9010", numbers)
	}
	return ports{uint32(a), uint32(b), starttls}, nil
}

// usualPorts lists where TLS begins at once, and where a dialogue comes before
// it: the assignments of IANA and the defaults of common software. Whatever
// listens there expects strangers to connect.
func usualPorts() map[uint32]string {
	usual := map[uint32]string{
		24: "lmtp", 25: "smtp", 587: "submission", 143: "imap", 110: "pop3", 4190: "sieve", 21: "ftp", 389: "ldap", 3268: "ldap",
		5432: "postgres", 3306: "mysql", 5222: "xmpp-client", 5269: "xmpp-server", 119: "nntp",
	}
	for _, port := range []uint32{
		443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, // protocols over TLS
		2376, 2379, 2380, 6443, 10250, 10257, 10259, // docker, etcd, kubernetes
		3269, 5061, 5223, 5270, 5671, 5986, 6514, 6697, 8883, // directories, telephony, messages, logs, chat
		4443, 8006, 8140, 8443, 8843, 9090, 9443, 10443, // web interfaces
	} {
		usual[port] = ""
	}
	return usual
}

// A portChoice decides which ports are inspected, and how.
type portChoice struct {
	usual           map[uint32]string
	further, except []ports
}

// choice builds the choice of a valid configuration.
func (l Listeners) choice() portChoice {
	c := portChoice{usual: usualPorts()}
	for _, text := range l.Ports {
		if p, err := parsePorts(text); err == nil {
			c.further = append(c.further, p)
		}
	}
	for _, text := range l.Exclude {
		if p, err := parsePorts(text); err == nil {
			c.except = append(c.except, p)
		}
	}
	return c
}

// of returns the dialogue of a port, and whether it is inspected.
func (c portChoice) of(port uint32) (starttls string, chosen bool) {
	if slices.ContainsFunc(c.except, func(p ports) bool { return p.has(port) }) {
		return "", false
	}
	for _, p := range c.further {
		if p.has(port) {
			return p.starttls, true
		}
	}
	starttls, chosen = c.usual[port]
	return starttls, chosen
}

// listenerPrefix begins the object of a listener.
const listenerPrefix = "listener/"

// A listener is a socket of this host that may serve TLS.
type listener struct {
	name   string // the bound address and port
	target endpoint.Target
}

func (l listener) object() string { return listenerPrefix + l.name }

// choose picks the listeners that are inspected, sorted, and counts the others.
func (l Listeners) choose(found []listeners.Listener, timeout time.Duration) (chosen []listener, skipped int) {
	choice := l.choice()
	known := map[string]bool{}
	for _, f := range found {
		bound := netip.AddrPortFrom(f.Address, uint16(f.Port))
		name := bound.String()
		if known[name] {
			continue // several sockets share the port
		}
		known[name] = true
		starttls, wanted := choice.of(f.Port)
		if !wanted {
			skipped++
			continue
		}
		address := netip.AddrPortFrom(reachable(f), uint16(f.Port)).String()
		chosen = append(chosen, listener{name, endpoint.Target{
			Name: listenerPrefix + name, Network: "tcp", Address: address, StartTLS: starttls, Timeout: timeout,
		}})
	}
	slices.SortFunc(chosen, func(a, b listener) int { return strings.Compare(a.name, b.name) })
	if over := len(chosen) - l.Max; over > 0 {
		chosen, skipped = chosen[:l.Max], skipped+over
	}
	return chosen, skipped
}

// reachable is the address under which this host reaches a listener without
// leaving itself.
func reachable(l listeners.Listener) netip.Addr {
	switch {
	case !l.Address.IsUnspecified():
		return l.Address
	case l.Address.Is4(), l.Exact && !l.V6Only: // it accepts IPv4 too, which the host may have alone
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}
