package certificate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/certificate/revocation"
)

// An Endpoint is a server whose certificate is inspected over the network.
type Endpoint struct {
	// Where it listens: host:port, or unix: and the absolute path of a socket.
	Target string `yaml:"target"`
	// Which addresses of the host are inspected: any, which is the first that answers, or all. Empty means any.
	Addresses string `yaml:"addresses"`
	Client    `yaml:",inline"`
	// Who is told of problems with its certificate; empty means the owner of the probe.
	Owner string `yaml:"owner"`
	// When its certificate must be renewed, as in a source.
	Renew Renew `yaml:"renew"`
}

// A Client is how a server is spoken to and what is asked of it.
type Client struct {
	// The dialogue that comes before TLS: smtp, submission, lmtp, imap, pop3, sieve, ftp, ldap, postgres, mysql, xmpp-client, xmpp-server or nntp; empty means that TLS begins at once.
	StartTLS string `yaml:"starttls"`
	// The name that is asked for (SNI) and that the certificate must carry; empty means the host of the target.
	ServerName string `yaml:"server_name"`
	// Files with the authorities that are trusted, in PEM; none means those of the host.
	CAFiles []string `yaml:"ca_files"`
	// Files in PEM with the certificate and the key that are shown to a server that asks for one.
	ClientCertificate string `yaml:"client_certificate"`
	// The key of the client certificate; empty means that it is in the same file.
	ClientKey string `yaml:"client_key"`
	// Whether only dates are watched, and it is all right that nobody trusts the certificate or that it carries another name.
	DatesOnly bool `yaml:"dates_only"`
}

// Handshakes is how endpoints and listeners are inspected.
type Handshakes struct {
	// Time between two inspections of an endpoint. A run of the probe begins them, so it is never shorter than its interval.
	Interval probes.Duration `yaml:"interval"`
	// Longest time that an inspection of one address may take.
	Timeout probes.Duration `yaml:"timeout"`
	// Most endpoints that are inspected at a time.
	Concurrency int `yaml:"concurrency"`
	// Most inspections that are begun in a second.
	PerSecond int `yaml:"per_second"`
}

// Revocation is whom the probe asks whether what an endpoint shows was revoked.
// What a server staples is verified in any case.
type Revocation struct {
	// Whether the responders that certificates name are asked (OCSP), over HTTP. They are asked again when an answer is out of date.
	OCSP bool `yaml:"ocsp"`
	// Whether the revocation lists that certificates name are fetched, over HTTP, where no responder has answered.
	CRL bool `yaml:"crl"`
}

// asker returns what asks; nil when nobody is asked.
func (r Revocation) asker(host probes.Host) func(context.Context, *x509.Certificate, *x509.Certificate) (revocation.Answer, bool) {
	if !r.OCSP && !r.CRL {
		return nil
	}
	return (&revocation.Asker{Dial: host.Dial, OCSP: r.OCSP, List: r.CRL}).Ask
}

func defaultHandshakes() Handshakes {
	return Handshakes{
		Interval:    probes.Duration(5 * time.Minute),
		Timeout:     probes.Duration(endpoint.DefaultTimeout),
		Concurrency: 16,
		PerSecond:   50,
	}
}

func (h Handshakes) validate() error {
	var errs []error
	for key, d := range map[string]probes.Duration{"interval": h.Interval, "timeout": h.Timeout} {
		if d <= 0 {
			errs = append(errs, probes.At(key, fmt.Errorf("must be above 0, not %s", d)))
		}
	}
	for key, n := range map[string]int{"concurrency": h.Concurrency, "per_second": h.PerSecond} {
		if n < 1 || n > 1000 {
			errs = append(errs, probes.At(key, fmt.Errorf("must be between 1 and 1000, not %d", n)))
		}
	}
	return errors.Join(errs...)
}

func (h Handshakes) spacing() time.Duration { return time.Second / time.Duration(h.PerSecond) }

// validateEndpoints checks each endpoint, and that no two are the same object.
func validateEndpoints(endpoints []Endpoint) error {
	var errs []error
	seen := map[string]bool{}
	for i, e := range endpoints {
		err := e.validate()
		if object := e.object(); err == nil && seen[object] {
			err = probes.At("target", fmt.Errorf("%.80q with the same server_name is an earlier endpoint too", e.Target))
		}
		seen[e.object()] = true
		errs = append(errs, probes.At(fmt.Sprintf("endpoints[%d]", i), err))
	}
	return errors.Join(errs...)
}

func (e Endpoint) validate() error {
	errs := []error{probes.At("target", validTarget(e.Target)), e.Client.validate(), probes.At("renew", e.Renew.validate())}
	switch {
	case e.Addresses != "" && e.Addresses != "any" && e.Addresses != "all":
		errs = append(errs, probes.At("addresses", fmt.Errorf("%.40q is neither any nor all", e.Addresses)))
	case e.Addresses == "all" && strings.HasPrefix(e.Target, unixPrefix):
		errs = append(errs, probes.At("addresses", errors.New("a socket has one address only")))
	}
	return errors.Join(errs...)
}

func (c Client) validate() error {
	var errs []error
	if c.StartTLS != "" && !slices.Contains(endpoint.Protocols(), c.StartTLS) {
		errs = append(errs, probes.At("starttls", fmt.Errorf("%.40q is not one of %s", c.StartTLS, strings.Join(endpoint.Protocols(), ", "))))
	}
	absolute := func(key, path string) {
		if path != "" && !filepath.IsAbs(path) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", path)))
		}
	}
	for i, path := range c.CAFiles {
		absolute(fmt.Sprintf("ca_files[%d]", i), path)
	}
	absolute("client_certificate", c.ClientCertificate)
	absolute("client_key", c.ClientKey)
	if c.ClientKey != "" && c.ClientCertificate == "" {
		errs = append(errs, probes.At("client_key", errors.New("there is no client_certificate to which it could belong")))
	}
	return errors.Join(errs...)
}

const unixPrefix = "unix:"

func validTarget(target string) error {
	if target == "" {
		return errors.New("is missing")
	}
	if path, ok := strings.CutPrefix(target, unixPrefix); ok {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%.80q is not an absolute path", path)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" || strings.ContainsAny(host, "/ \t") || strings.Contains(target, "://") {
		return fmt.Errorf("%.80q is not host:port, such as www.example.org:443 or [2001:db8::1]:443", target)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%.20q is not the number of a port", port)
	}
	return nil
}

// object is the identity of an endpoint.
func (e Endpoint) object() string {
	host, _, err := net.SplitHostPort(e.Target)
	if e.ServerName == "" || err == nil && e.ServerName == host {
		return e.Target
	}
	return e.Target + "/" + e.ServerName
}

// target is what is inspected. It lacks what is read from files.
func (e Endpoint) target(h Handshakes) endpoint.Target {
	t := endpoint.Target{
		Name: e.object(), Network: "tcp", Address: e.Target,
		ServerName: e.ServerName, StartTLS: e.StartTLS,
		All: e.Addresses == "all", Timeout: time.Duration(h.Timeout),
	}
	if path, ok := strings.CutPrefix(e.Target, unixPrefix); ok {
		t.Network, t.Address = "unix", path
	}
	return t
}

// policy is what is expected of its certificate.
func (e Endpoint) policy() policy {
	renew := e.Renew.expand()
	return policy{owner: e.Owner, renew: renew.withDefaults(), explicit: renew != Renew{}}
}
