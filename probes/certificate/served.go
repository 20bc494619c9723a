package certificate

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"

	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/endpoint"
)

// A served is what a certificate that is served is on disk.
type served string

const (
	matched     served = "matched"     // it is in a file
	outdated    served = "outdated"    // it is in none, and a newer one for the same names is
	unmonitored served = "unmonitored" // neither
)

// A disk is an inventory that is made ready for many questions.
type disk struct {
	inventory
	known map[string]lying // by fingerprint; of copies the first
	names []string         // that servers are asked for, one of each leaf
}

// maxAsked bounds the names for which each listener is asked.
const maxAsked = 50

// disk makes the inventory ready.
func (v inventory) disk() disk {
	d := disk{inventory: v, known: make(map[string]lying, len(v))}
	for _, l := range v {
		if _, known := d.known[l.Fingerprint]; !known {
			d.known[l.Fingerprint] = l
		}
		if name := serverName(l); name != "" && len(d.names) < maxAsked && !slices.Contains(d.names, name) {
			d.names = append(d.names, name)
		}
	}
	return d
}

// serverName is a name of a leaf that a server may know; empty if there is none.
func serverName(l lying) string {
	for _, name := range l.Names {
		if rest, wildcard := strings.CutPrefix(name, "*."); wildcard {
			name = "www." + rest
		}
		if strings.Contains(name, ".") && !strings.ContainsAny(name, ":@/ ") && net.ParseIP(name) == nil {
			return name
		}
	}
	return ""
}

// judge compares a served certificate with the files. A certificate that is in
// a file is what somebody wants to be served, even if another one for the same
// names is newer: a host may have one for each kind of key, or for each service.
func (d disk) judge(c bundle.Certificate) (served, lying) {
	if l, known := d.known[c.Fingerprint]; known {
		return matched, l
	}
	newer := d.newer(c)
	if len(newer) == 0 {
		return unmonitored, lying{}
	}
	// The same kind of key is more likely meant, then the newest.
	best := slices.MaxFunc(newer, func(a, b lying) int {
		same := func(l lying) bool { return kindOfKey(l.Key) == kindOfKey(c.Key) }
		if same(a) != same(b) {
			if same(a) {
				return 1
			}
			return -1
		}
		return a.NotBefore.Compare(b.NotBefore)
	})
	return outdated, best
}

// leafOf returns what a server showed of itself; nil if it showed nothing.
func leafOf(s endpoint.Sighting) *endpoint.Certificate {
	if len(s.Servers) == 0 || !hasDates(&s.Servers[0]) {
		return nil
	}
	return &s.Servers[0].Certificates[0]
}

// carries reports whether a certificate is one for this name, and not the one
// that a server shows to whoever asks for a name that it does not know.
func carries(c *endpoint.Certificate, name string) bool {
	x, err := x509.ParseCertificate(c.Raw)
	return err == nil && x.VerifyHostname(name) == nil
}
