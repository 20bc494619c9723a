package certificate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// A Module is a way in which others may have targets inspected, over /probe.
type Module struct {
	// Name by which a scrape chooses the module; one that names none gets the module default.
	Name string `yaml:"name"`
	// The only targets that may be asked for: host:port, where host is a name, *.domain, an address or a network such as 192.0.2.0/24, and port a number, a range or *.
	Targets []string `yaml:"targets"`
	// What is found out: tls, which is what the target shows, or tcp, which is whether its port is open. Empty means tls.
	Prober string `yaml:"prober"`
	// What is right of a port with the prober tcp: open or closed. Empty means open.
	Expect string `yaml:"expect"`
	// Longest time that one answer may take; a scrape that is given up earlier ends it earlier. 0 means that of handshakes.
	Timeout probes.Duration `yaml:"timeout"`
	// Which addresses of the host are inspected: any or all. Empty means any.
	Addresses string `yaml:"addresses"`
	Client    `yaml:",inline"`
	// Owner of the facts; empty means the owner of the probe.
	Owner string `yaml:"owner"`
	// When certificates must be renewed, as in a source.
	Renew Renew `yaml:"renew"`
}

// The values of prober and expect.
const (
	proberTLS    = "tls"
	proberTCP    = "tcp"
	expectOpen   = "open"
	expectClosed = "closed"
)

func validateModules(modules []Module) error {
	var (
		errs  []error
		names []string
	)
	for i, m := range modules {
		err := m.validate()
		if m.Name != "" && slices.Contains(names, m.Name) {
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.40q is the name of an earlier module too", m.Name)))
		}
		names = append(names, m.Name)
		errs = append(errs, probes.At(fmt.Sprintf("modules[%d]", i), err))
	}
	return errors.Join(errs...)
}

func (m Module) validate() error {
	errs := []error{m.Client.validate(), probes.At("renew", m.Renew.validate())}
	one := func(key, value string, of ...string) {
		if value != "" && !slices.Contains(of, value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.40q is not one of %s", value, strings.Join(of, ", "))))
		}
	}
	one("prober", m.Prober, proberTLS, proberTCP)
	one("expect", m.Expect, expectOpen, expectClosed)
	one("addresses", m.Addresses, "any", "all")
	not := func(key string, wrong bool, why string) {
		if wrong {
			errs = append(errs, probes.At(key, errors.New(why)))
		}
	}
	tcp := m.Prober == proberTCP
	not("name", m.Name == "", "is missing")
	not("targets", len(m.Targets) == 0, "is missing; without it nobody may ask for anything")
	not("expect", m.Expect != "" && !tcp, "is for the prober tcp; what a certificate should be needs no word")
	not("starttls", m.StartTLS != "" && tcp, "the prober tcp says nothing to the target")
	not("addresses", m.Addresses == "all" && tcp, "the prober tcp asks one address; name each as a target")
	not("timeout", m.Timeout < 0, "must not be below 0")
	for n, text := range m.Targets {
		_, err := parseAllowed(text)
		errs = append(errs, probes.At(fmt.Sprintf("targets[%d]", n), err))
	}
	return errors.Join(errs...)
}

// An allowed is an entry of an allow list.
type allowed struct {
	name    string       // in lower case; empty for addresses
	below   bool         // whatever ends in the name, with a dot before it
	network netip.Prefix // of addresses
	ports   ports
}

var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// parseAllowed reads an entry of an allow list.
func parseAllowed(text string) (a allowed, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.Contains(text, "://") {
		return a, fmt.Errorf("%.80q is not host:port, such as *.example.org:443 or [2001:db8::/32]:443", text)
	}
	if a.ports = (ports{1, 65535, ""}); port != "*" {
		a.ports, err = parsePorts(port)
		if err != nil || a.ports.starttls != "" {
			return a, fmt.Errorf("%.40q is no port, no range of ports and not *", port)
		}
	}
	if prefix, err := netip.ParsePrefix(host); err == nil {
		a.network = prefix.Masked()
		return a, nil
	}
	if address, err := netip.ParseAddr(host); err == nil {
		address = address.Unmap().WithZone("")
		a.network = netip.PrefixFrom(address, address.BitLen())
		return a, nil
	}
	a.name, a.below = strings.CutPrefix(strings.ToLower(strings.TrimSuffix(host, ".")), "*.")
	if !hostName.MatchString(a.name) {
		return a, fmt.Errorf("%.80q is no name, no *.domain, no address and no network", host)
	}
	return a, nil
}

// has reports whether an entry allows a target. A name is allowed by names only,
// whatever its addresses are, and an address by networks only.
func (a allowed) has(host string, port uint32) bool {
	if !a.ports.has(port) {
		return false
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return a.network.IsValid() && a.network.Contains(address.Unmap().WithZone(""))
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a.below {
		return strings.HasSuffix(host, "."+a.name)
	}
	return a.name != "" && host == a.name
}

// allows reports whether a module may be asked for a target, and by which entry.
func (m Module) allows(host string, port uint32) (entry string, ok bool) {
	for _, text := range m.Targets {
		if a, err := parseAllowed(text); err == nil && a.has(host, port) {
			return text, true
		}
	}
	return "", false
}

// limit is the longest time of one answer.
func (m Module) limit(h Handshakes) time.Duration {
	if m.Timeout > 0 {
		return time.Duration(m.Timeout)
	}
	return time.Duration(h.Timeout)
}
