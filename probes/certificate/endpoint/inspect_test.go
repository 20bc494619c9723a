package endpoint_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
)

func TestAServerInOrder(t *testing.T) {
	p := newPKI(t)
	leaf := p.intermediate.issue(t, nil)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		name := tls.VersionName(version)
		t.Run(name, func(t *testing.T) {
			config := serving(leaf.chain(p.intermediate))
			config.MinVersion, config.MaxVersion = version, version
			for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
				config.CipherSuites = append(config.CipherSuites, suite.ID)
			}
			i := endpoint.Inspector{Dial: inMemory(overTLS(config)), Now: now}
			r := i.Inspect(t.Context(), endpoint.Target{Address: "server.test:443", Roots: p.roots})
			s := r.Servers[0]
			if s.Failure != nil || !s.Trust.Verified || len(s.Trust.Problems) > 0 {
				t.Fatalf("%v %v", s.Failure, s.Trust)
			}
			if len(s.Certificates) != 2 || s.Certificates[0].Serial != "1234" || !s.Certificates[0].NotAfter.Equal(leaf.NotAfter) || string(s.Certificates[1].Raw) != string(p.intermediate.Raw) {
				t.Errorf("certificates %+v", s.Certificates)
			}
			if "TLS "+s.Version != name || s.Cipher == "" || s.ClientAuth != endpoint.NotRequested || s.Revocation != nil {
				t.Errorf("%s %s %q %v", s.Version, s.Cipher, s.ClientAuth, s.Revocation)
			}
			if !s.Trust.Until.Equal(leaf.NotAfter) {
				t.Errorf("trusted until %s", s.Trust.Until)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	var none *signer
	issue := func(edit func(*x509.Certificate)) *signer { return p.intermediate.issue(t, edit) }
	expired := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now().Add(-90*day), now().Add(-day) }
	early := func(c *x509.Certificate) { c.NotBefore = now().Add(day) }
	foreign := func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} }
	old := p.root.issue(t, authority("old", expired))
	for _, row := range []struct {
		name  string
		chain tls.Certificate
		want  []endpoint.Class
	}{
		{"a healthy chain", issue(nil).chain(p.intermediate), nil},
		{"a chain with its root", issue(nil).chain(p.intermediate, p.root), nil},
		{"a chain in disorder with something else in it", issue(nil).chain(other.root, p.intermediate), nil},
		{"an expired certificate", issue(expired).chain(p.intermediate), []endpoint.Class{endpoint.Expired}},
		{"a certificate from the future", issue(early).chain(p.intermediate), []endpoint.Class{endpoint.NotYetValid}},
		{"a certificate for another host", issue(foreign).chain(p.intermediate), []endpoint.Class{endpoint.WrongName}},
		{"an expired certificate for another host", issue(func(c *x509.Certificate) { expired(c); foreign(c) }).chain(p.intermediate), []endpoint.Class{endpoint.Expired, endpoint.WrongName}},
		{"a chain without its intermediate certificate", issue(nil).chain(), []endpoint.Class{endpoint.IncompleteChain}},
		{"an expired one without its intermediate certificate", issue(expired).chain(), []endpoint.Class{endpoint.Expired, endpoint.IncompleteChain}},
		{"a certificate that signs itself", none.issue(t, nil).chain(), []endpoint.Class{endpoint.Untrusted}},
		{"a chain to a root that nobody trusts", other.intermediate.issue(t, nil).chain(other.intermediate), []endpoint.Class{endpoint.Untrusted}},
		{"the same with its root", other.intermediate.issue(t, nil).chain(other.intermediate, other.root), []endpoint.Class{endpoint.Untrusted}},
		{"an expired intermediate certificate", old.issue(t, nil).chain(old), []endpoint.Class{endpoint.Expired}},
		{"a certificate for clients only", issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }).chain(p.intermediate), []endpoint.Class{endpoint.Invalid}},
	} {
		t.Run(row.name, func(t *testing.T) {
			i := endpoint.Inspector{Dial: inMemory(overTLS(serving(row.chain))), Now: now}
			s := i.Inspect(t.Context(), endpoint.Target{Address: "server.test:443", Roots: p.roots}).Servers[0]
			if diff := cmp.Diff(row.want, classes(s.Trust)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", s.Failure, diff)
			}
			if len(s.Certificates) != len(row.chain.Certificate) || s.Certificates[0].NotAfter.IsZero() || s.Version == "" {
				t.Errorf("facts were lost: %+v", s)
			}
			failed := s.Failure != nil && s.Failure.Stage == endpoint.Verify
			if ok := row.want == nil; s.Trust.Verified != ok || failed == ok || s.Trust.Until.IsZero() == ok {
				t.Errorf("verified %t until %s, failure %v", s.Trust.Verified, s.Trust.Until, s.Failure)
			}
		})
	}
}

func TestTheNameThatIsCheckedAndAskedFor(t *testing.T) {
	p := newPKI(t)
	leaf := p.intermediate.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1")} })
	for _, row := range []struct {
		name      string
		target    endpoint.Target
		sni       string
		wantWrong bool
	}{
		{"the host of the address", endpoint.Target{Address: "server.test:443"}, "server.test", false},
		{"a host with a dot at its end", endpoint.Target{Address: "server.test.:443"}, "server.test", false},
		{"a name of its own", endpoint.Target{Address: "192.0.2.7:443", ServerName: "server.test"}, "server.test", false},
		{"an address that the certificate names", endpoint.Target{Address: "192.0.2.1:443"}, "", false},
		{"an address that it does not name", endpoint.Target{Address: "192.0.2.7:443"}, "", true},
		{"a socket, which has no name", endpoint.Target{Network: "unix", Address: "/run/s"}, "", false},
		{"a socket with a name", endpoint.Target{Network: "unix", Address: "/run/s", ServerName: "other.test"}, "other.test", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked := make(chan string, 1)
			config := serving(leaf.chain(p.intermediate))
			config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				asked <- hello.ServerName
				return nil, nil
			}
			row.target.Roots = p.roots
			s := endpoint.Inspector{Dial: inMemory(overTLS(config)), Now: now}.Inspect(t.Context(), row.target).Servers[0]
			if wrong := cmp.Equal(classes(s.Trust), []endpoint.Class{endpoint.WrongName}); wrong != row.wantWrong {
				t.Errorf("%v", s.Trust)
			}
			if sni := <-asked; sni != row.sni {
				t.Errorf("asked for %q, want %q", sni, row.sni)
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	p := newPKI(t)
	client := p.intermediate.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	var none *signer
	for _, row := range []struct {
		name    string
		demand  tls.ClientAuthType
		show    []tls.Certificate
		want    endpoint.ClientAuth
		failure probes.Reason
	}{
		{"none is asked for", tls.NoClientCert, nil, endpoint.NotRequested, ""},
		{"one is welcome", tls.RequestClientCert, nil, endpoint.Requested, ""},
		{"one is demanded and there is none, which is no failure: the server is all there is to see", tls.RequireAndVerifyClientCert, nil, endpoint.Refused, ""},
		{"one is demanded and shown", tls.RequireAndVerifyClientCert, []tls.Certificate{client.chain(p.intermediate)}, endpoint.Requested, ""},
		{"the one that is shown is not accepted", tls.RequireAndVerifyClientCert, []tls.Certificate{none.issue(t, nil).chain()}, endpoint.Refused, probes.Auth},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(row.name+" in "+tls.VersionName(version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config := p.healthy(t)
					config.ClientAuth, config.ClientCAs, config.MaxVersion = row.demand, p.roots, version
					i := endpoint.Inspector{Dial: inMemory(overTLS(config)), Now: now}
					s := i.Inspect(t.Context(), endpoint.Target{Address: "server.test:443", Roots: p.roots, ClientCertificates: row.show}).Servers[0]
					var failure probes.Reason
					if s.Failure != nil {
						failure = s.Failure.Reason
					}
					if s.ClientAuth != row.want || failure != row.failure {
						t.Errorf("%q, %v", s.ClientAuth, s.Failure)
					}
					if len(s.Certificates) != 2 || !s.Trust.Verified || s.Cipher == "" {
						t.Errorf("facts were lost: %+v", s)
					}
				})
			})
		}
	}
}

func TestAnInspectionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := contextFor(t, time.Second)
		defer cancel()
		i := endpoint.Inspector{Dial: inMemory(silent)}
		s := i.Inspect(ctx, endpoint.Target{Address: "server.test:443", StartTLS: "smtp", Timeout: time.Hour}).Servers[0]
		if s.Failure == nil || s.Failure.Reason != probes.Timeout || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", s.Failure, time.Since(begin))
		}
	})
}

func TestServersOnEveryKindOfSocket(t *testing.T) {
	p := newPKI(t)
	serve := script(overTLS(p.healthy(t)), "* OK ready\r\n", "a1 STARTTLS\r\n", "a1 OK go\r\n")
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) {
			target := endpoint.Target{Network: strings.TrimRight(network, "46"), Address: listen(t, network, serve), ServerName: "server.test", StartTLS: "imap", Roots: p.roots}
			i := endpoint.Inspector{Dial: new(net.Dialer).DialContext, Now: now}
			s := i.Inspect(t.Context(), target).Servers[0]
			if s.Failure != nil || s.Address != target.Address || len(s.Certificates) != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// An authority that was replaced is often sent for the sake of old clients. That
// it has expired is no news to those who are served without it.
func TestCertificatesThatNoClientNeedsAreSpare(t *testing.T) {
	p, old := newPKI(t), newPKI(t)
	expired := old.root.issue(t, authority("cross", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now().Add(-90*day), now().Add(-day) }))
	for _, row := range []struct {
		name  string
		chain tls.Certificate
		want  []bool
	}{
		{"the whole chain", p.intermediate.issue(t, nil).chain(p.intermediate, p.root), []bool{false, false, false}},
		{"one that has expired behind it", p.intermediate.issue(t, nil).chain(p.intermediate, expired), []bool{false, false, true}},
		{"nobody can tell where nobody is trusted", old.intermediate.issue(t, nil).chain(old.intermediate, expired), []bool{false, false, false}},
	} {
		i := endpoint.Inspector{Dial: inMemory(overTLS(serving(row.chain))), Now: now}
		s := i.Inspect(t.Context(), endpoint.Target{Address: "server.test:443", Roots: p.roots}).Servers[0]
		var got []bool
		for _, c := range s.Certificates {
			got = append(got, c.Spare)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}
