package endpoint_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hygiene_exporter/probes/certificate/endpoint"
)

// now is when the certificates of the tests are looked at. It is the time at
// which synctest begins.
func now() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

const day = 24 * time.Hour

// A signer is a certificate with its key: an authority, or a server.
type signer struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate; with no signer it signs itself.
func (s *signer) issue(t testing.TB, edit func(*x509.Certificate)) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x1234),
		Subject:      pkix.Name{CommonName: "server"},
		NotBefore:    now().Add(-10 * day),
		NotAfter:     now().Add(80 * day),
		DNSNames:     []string{"server.test"},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(template)
	}
	parent, parentKey := template, crypto.Signer(key)
	if s != nil {
		parent, parentKey = s.Certificate, s.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{made, key}
}

// authority makes a template one of a certificate authority.
func authority(name string, edits ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.IsCA, c.BasicConstraintsValid, c.DNSNames, c.ExtKeyUsage = true, true, nil, nil
		c.NotAfter = now().Add(3650 * day)
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
		for _, edit := range edits {
			edit(c)
		}
	}
}

// A pki is a root, an intermediate authority and what the root makes trusted.
type pki struct {
	root, intermediate *signer
	roots              *x509.CertPool
}

func newPKI(t testing.TB) pki {
	t.Helper()
	var none *signer
	p := pki{root: none.issue(t, authority("root")), roots: x509.NewCertPool()}
	p.intermediate = p.root.issue(t, authority("intermediate"))
	p.roots.AddCert(p.root.Certificate)
	return p
}

// chain makes what a server sends.
func (s *signer) chain(behind ...*signer) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{s.Raw}, PrivateKey: s.key}
	for _, other := range behind {
		c.Certificate = append(c.Certificate, other.Raw)
	}
	return c
}

// healthy is a configuration of a server that is in order.
func (p pki) healthy(t testing.TB) *tls.Config {
	return serving(p.intermediate.issue(t, nil).chain(p.intermediate))
}

func serving(c tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, Time: now}
}

// A handler is a server's side of one connection.
type handler func(net.Conn)

// overTLS makes the handshake of a server and then reads until its client ends.
func overTLS(config *tls.Config) handler {
	return func(conn net.Conn) {
		session := tls.Server(conn, config)
		if session.Handshake() == nil {
			_, _ = io.Copy(io.Discard, session)
		}
		_ = session.Close()
	}
}

// script is a server that talks by turns: it says the first of the steps, hears
// the second, says the third. It ends the connection when it hears anything
// else. Behind its last word comes next.
func script(next handler, steps ...string) handler {
	return func(conn net.Conn) {
		for n, step := range steps {
			if n%2 == 0 {
				if _, err := io.WriteString(conn, step); err != nil {
					return
				}
				continue
			}
			heard := make([]byte, len(step))
			if _, err := io.ReadFull(conn, heard); err != nil || string(heard) != step {
				return
			}
		}
		next(conn)
	}
}

// inMemory dials a server without a network.
func inMemory(serve handler) endpoint.Dial {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			serve(server)
		}()
		return client, nil
	}
}

// listen serves on a socket until the test ends, and returns its address.
func listen(t testing.TB, network string, serve handler) string {
	t.Helper()
	address := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": filepath.Join(t.TempDir(), "s")}[network]
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// classes lists the classes of the problems.
func classes(t endpoint.Trust) (list []endpoint.Class) {
	for _, problem := range t.Problems {
		list = append(list, problem.Class)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
