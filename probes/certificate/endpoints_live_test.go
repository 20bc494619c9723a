//go:build live

package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
)

// A variant is a kind of certificate that every server shows once.
type variant struct {
	name  string
	edit  func(*x509.Certificate)
	alone bool // without the certificate of its issuer
	want  []endpoint.Class
	codes []string // what OpenSSL says of it, see openssl-verification-options(1)
}

func variants() []variant {
	return []variant{
		{name: "healthy", codes: []string{"0"}},
		{
			name: "expired", want: []endpoint.Class{endpoint.Expired}, codes: []string{"10"},
			edit: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotBefore.Add(-200*day), time.Now().Add(-2*day) },
		},
		{
			name: "for another host", want: []endpoint.Class{endpoint.WrongName}, codes: []string{"62"},
			edit: func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} },
		},
		{name: "without its chain", alone: true, want: []endpoint.Class{endpoint.IncompleteChain}, codes: []string{"20", "21"}},
	}
}

// livePKI is an authority, one below it, and a file with the first.
type livePKI struct {
	root, intermediate *authority
	rootFile           string
}

func newLivePKI(t *testing.T) livePKI {
	p := livePKI{root: newAuthority(t, "root"), rootFile: filepath.Join(t.TempDir(), "root.pem")}
	p.intermediate = p.root.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "intermediate", nil
		c.IsCA, c.BasicConstraintsValid, c.NotAfter = true, true, time.Now().Add(1000*day)
	})
	if err := os.WriteFile(p.rootFile, p.root.pem(), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// issue returns a certificate of a variant with its chain, and its key.
func (p livePKI) issue(t *testing.T, v variant) (leaf *authority, chain, key []byte) {
	t.Helper()
	leaf = p.intermediate.issue(t, v.edit)
	chain = leaf.pem()
	if !v.alone {
		chain = append(chain, p.intermediate.pem()...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

var verifyCode = regexp.MustCompile(`Verify return code: (\d+)`)

// opensslDialogue is the name of a dialogue in OpenSSL.
func opensslDialogue(starttls string) string {
	switch starttls {
	case "submission":
		return "smtp"
	case "xmpp-client":
		return "xmpp"
	}
	return starttls
}

// askOpenSSL connects as a client and returns the certificates and the verdict.
func askOpenSSL(t *testing.T, p livePKI, address, starttls string) (certificates []*x509.Certificate, code string) {
	t.Helper()
	argv := []string{"s_client", "-showcerts", "-servername", "server.test", "-CAfile", p.rootFile, "-no-CApath", "-no-CAstore", "-verify_hostname", "server.test"}
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		argv = append(argv, "-unix", path)
	} else {
		argv = append(argv, "-connect", address)
	}
	if starttls != "" {
		argv = append(argv, "-starttls", opensslDialogue(starttls), "-name", "server.test")
		if strings.HasPrefix(starttls, "xmpp") {
			argv = append(argv, "-xmpphost", "server.test")
			argv = slices.DeleteFunc(argv, func(a string) bool { return a == "-name" })
			i := slices.Index(argv, "-starttls")
			argv = slices.Delete(argv, i+2, i+3)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", argv...).CombinedOutput() // standard input is empty, so it ends at once
	if match := verifyCode.FindSubmatch(out); match != nil {
		code = string(match[1])
	} else {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	for block, rest := pem.Decode(out); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			certificates = append(certificates, c)
		}
	}
	return certificates, code
}

// datesOf asks OpenSSL for the dates of a certificate.
func datesOf(t *testing.T, der []byte) (begin, end time.Time) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, begin, end = openssl(t, path)
	return begin, end
}

// Every server with every kind of certificate: the same certificates, dates and
// verdicts as those that OpenSSL gets.
func TestLiveServersShowWhatOpenSSLSees(t *testing.T) {
	p := newLivePKI(t)
	roots := x509.NewCertPool()
	roots.AddCert(p.root.Certificate)
	for _, d := range daemons() {
		t.Run(d.name, func(t *testing.T) {
			s := d.place(t)
			d.prepare(s)
			for _, v := range variants() {
				leaf, chain, key := p.issue(t, v)
				s.install(chain, key)
				s.start()
				for name, starttls := range d.ports {
					t.Run(name+" "+v.name, func(t *testing.T) { compare(t, p, roots, s, name, starttls, leaf, v) })
				}
				s.stop()
			}
		})
	}
}

func compare(t *testing.T, p livePKI, roots *x509.CertPool, s *site, name, starttls string, leaf *authority, v variant) {
	e := Endpoint{Target: s.address(name), Client: Client{StartTLS: starttls, ServerName: "server.test"}}
	target := e.target(defaultHandshakes())
	target.Roots = roots
	server := endpoint.Inspect(t.Context(), new(net.Dialer).DialContext, target).Servers[0]
	var got []endpoint.Class
	for _, problem := range server.Trust.Problems {
		got = append(got, problem.Class)
	}
	if diff := cmp.Diff(v.want, got); diff != "" || server.Trust.Verified != (v.want == nil) {
		t.Errorf("verdict (-want +got):\n%s\n%v\n%s", diff, server.Failure, s.log())
	}
	oracle, code := askOpenSSL(t, p, s.address(name), starttls)
	if !slices.Contains(v.codes, code) {
		t.Errorf("OpenSSL says %s, want one of %s", code, v.codes)
	}
	if len(oracle) != len(server.Certificates) || len(oracle) == 0 {
		t.Fatalf("%d certificates, OpenSSL sees %d", len(server.Certificates), len(oracle))
	}
	if !bytes.Equal(oracle[0].Raw, leaf.Raw) {
		t.Error("OpenSSL was shown another certificate than the one of the test")
	}
	for i, c := range server.Certificates {
		if begin, end := datesOf(t, oracle[i].Raw); !bytes.Equal(c.Raw, oracle[i].Raw) || !c.NotBefore.Equal(begin) || !c.NotAfter.Equal(end) {
			t.Errorf("certificate %d: %s to %s, OpenSSL says %s to %s", i, c.NotBefore, c.NotAfter, begin, end)
		}
	}
	if server.Version == "" || server.Cipher == "" {
		t.Error("no version or no cipher")
	}
}

// daemonOf returns the daemon of a name.
func daemonOf(t *testing.T, name string) *daemon {
	t.Helper()
	for _, d := range daemons() {
		if d.name == name {
			return d
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// A server that demands a certificate of its client is seen without one, is
// content with ours, and refuses that of a stranger.
func TestLiveClientCertificates(t *testing.T) {
	p := newLivePKI(t)
	roots := x509.NewCertPool()
	roots.AddCert(p.root.Certificate)
	s := daemonOf(t, "haproxy").place(t)
	s.write("haproxy.cfg", "global\n  maxconn 50\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend f\n  bind 127.0.0.1:%d ssl crt %s ca-file %s verify required\n", s.port["https"], s.path("both.pem"), p.rootFile)
	_, chain, key := p.issue(t, variant{})
	s.install(chain, key)
	s.start()
	pair := func(by *authority) []tls.Certificate {
		c := by.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }).serving().Certificates
		c[0].Certificate = append(c[0].Certificate, by.Raw)
		return c
	}
	for _, row := range []struct {
		name    string
		show    []tls.Certificate
		want    endpoint.ClientAuth
		failure probes.Reason
	}{
		{"none, and the server is all there is to see", nil, endpoint.Refused, ""},
		{"one of its authority", pair(p.intermediate), endpoint.Requested, ""},
		{"one of a stranger", pair(newAuthority(t, "stranger")), endpoint.Refused, probes.Auth},
	} {
		target := Endpoint{Target: s.address("https"), Client: Client{ServerName: "server.test"}}.target(defaultHandshakes())
		target.Roots, target.ClientCertificates = roots, row.show
		server := endpoint.Inspect(t.Context(), new(net.Dialer).DialContext, target).Servers[0]
		var failure probes.Reason
		if server.Failure != nil {
			failure = server.Failure.Reason
		}
		if server.ClientAuth != row.want || failure != row.failure || !server.Trust.Verified || len(server.Certificates) != 2 {
			t.Errorf("%s: %q, %v, %d certificates", row.name, server.ClientAuth, server.Failure, len(server.Certificates))
		}
	}
}

// Every address of a name, of both families, one of which nobody listens on.
func TestLiveEveryAddress(t *testing.T) {
	p := newLivePKI(t)
	d := daemonOf(t, "nginx")
	s := d.place(t)
	d.prepare(s)
	_, chain, key := p.issue(t, variant{})
	s.install(chain, key)
	s.start()
	roots := x509.NewCertPool()
	roots.AddCert(p.root.Certificate)
	i := endpoint.Inspector{Dial: new(net.Dialer).DialContext, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), netip.MustParseAddr("127.9.9.9")}, nil
	}}
	var got []string
	for _, server := range i.Inspect(t.Context(), endpoint.Target{Address: fmt.Sprintf("server.test:%d", s.port["https"]), All: true, Roots: roots}).Servers {
		state := "verified"
		if server.Failure != nil {
			state = fmt.Sprintf("%s %s", server.Failure.Stage, server.Failure.Reason)
		}
		host, _, _ := net.SplitHostPort(server.Address)
		got = append(got, host+" "+state)
	}
	if diff := cmp.Diff([]string{"127.0.0.1 verified", "::1 verified", "127.9.9.9 connect network"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
