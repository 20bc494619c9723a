package endpoint_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
)

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// silent is a server that only listens.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// endless is a server that says the same until its client goes, and never
// listens.
func endless(words string) handler {
	return func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, words); err != nil {
				return
			}
		}
	}
}

// slow is a server that says one byte a second.
func slow(words string) handler {
	return func(conn net.Conn) {
		gone := make(chan struct{})
		go func() {
			silent(conn)
			close(gone)
		}()
		for _, b := range []byte(words) {
			select {
			case <-gone:
				return
			case <-time.After(time.Second):
				_, _ = conn.Write([]byte{b})
			}
		}
		<-gone
	}
}

// A hostile server costs no more than one timeout, whatever protocol it is asked
// for, and leaves a reason.
func TestHostileServersCostAtMostOneTimeout(t *testing.T) {
	const timeout = 10 * time.Second
	for _, row := range []struct {
		name  string
		serve handler
		want  []probes.Reason
	}{
		{"silence", silent, []probes.Reason{probes.Timeout}},
		{"an immediate end", func(net.Conn) {}, []probes.Reason{probes.Network}},
		{"a banner without an end", endless(strings.Repeat("x", 4096)), []probes.Reason{probes.TooLarge, probes.Malformed, probes.Timeout}},
		{"lines without an end", endless("220-more\r\n"), []probes.Reason{probes.TooLarge, probes.Malformed, probes.Timeout}},
		{"untagged lines without an end", endless("* OK\r\n"), []probes.Reason{probes.TooLarge, probes.Malformed, probes.Timeout}},
		{"elements without an end", endless("<a>"), []probes.Reason{probes.TooLarge, probes.Malformed, probes.Timeout}},
		{"zeros without an end", endless("\x00\x00\x00\x00\x00\x00\x00"), []probes.Reason{probes.TooLarge, probes.Malformed, probes.Timeout}},
		{"one byte a second", slow(strings.Repeat("220-", 100)), []probes.Reason{probes.Timeout, probes.Malformed}},
		{"the record of a TLS server that never comes", slow("\x16\x03\x03\x40\x00" + strings.Repeat("\x02", 100)), []probes.Reason{probes.Timeout, probes.Malformed}},
	} {
		for _, protocol := range append(endpoint.Protocols(), "") {
			t.Run(row.name+" instead of "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					begin := time.Now()
					i := endpoint.Inspector{Dial: inMemory(row.serve)}
					s := i.Inspect(t.Context(), endpoint.Target{Address: "server.test:1", StartTLS: protocol, Timeout: timeout}).Servers[0]
					if s.Failure == nil || !slices.Contains(row.want, s.Failure.Reason) {
						t.Fatalf("%+v", s.Failure)
					}
					if stage := map[bool]endpoint.Stage{true: endpoint.Handshake, false: endpoint.StartTLS}[protocol == ""]; s.Failure.Stage != stage {
						t.Errorf("failed at %s", s.Failure.Stage)
					}
					if took := time.Since(begin); took > timeout {
						t.Errorf("took %s", took)
					}
				})
			})
		}
	}
}

// A server may stop in the middle of its handshake, or send more certificates
// than anybody needs.
func TestHalfAHandshakeAndHugeCertificates(t *testing.T) {
	p := newPKI(t)
	names := func(n int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for i := range n {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-%06d.server.test", i))
			}
		}
	}
	for _, row := range []struct {
		name  string
		serve handler
		want  *endpoint.Failure
		sent  int
	}{
		{"half a hello", func(conn net.Conn) { cut(conn, overTLS(p.healthy(t)), 20) }, &endpoint.Failure{Stage: endpoint.Handshake, Reason: probes.Timeout}, 0},
		{"half of the certificates", func(conn net.Conn) { cut(conn, overTLS(p.healthy(t)), 600) }, &endpoint.Failure{Stage: endpoint.Handshake, Reason: probes.Timeout}, 0},
		{"a certificate with 5,000 names", overTLS(serving(p.intermediate.issue(t, names(5000)).chain(p.intermediate))), nil, 2},
		{"a certificate with 15,000 names", overTLS(serving(p.intermediate.issue(t, names(15000)).chain(p.intermediate))), &endpoint.Failure{Stage: endpoint.Handshake, Reason: probes.Malformed}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				i := endpoint.Inspector{Dial: inMemory(row.serve), Now: now}
				s := i.Inspect(t.Context(), endpoint.Target{Address: "server.test:1", Roots: p.roots, Timeout: time.Minute}).Servers[0]
				if (s.Failure == nil) != (row.want == nil) || row.want != nil && (s.Failure.Stage != row.want.Stage || s.Failure.Reason != row.want.Reason) {
					t.Errorf("%+v", s.Failure)
				}
				if len(s.Certificates) != row.sent || time.Since(begin) > time.Minute {
					t.Errorf("%d certificates after %s", len(s.Certificates), time.Since(begin))
				}
			})
		})
	}
}

// cut passes on only the first bytes that a server says.
func cut(conn net.Conn, serve handler, n int64) {
	near, far := net.Pipe()
	defer near.Close()
	go serve(far)
	go io.Copy(near, conn)
	_, _ = io.CopyN(conn, near, n)
	silent(conn)
}

func TestServersThatSpeakNoTLS(t *testing.T) {
	answer := func(words string) handler {
		return func(conn net.Conn) {
			head := make([]byte, 5)
			_, _ = io.ReadFull(conn, head)
			_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(head[3:])))
			_, _ = io.WriteString(conn, words)
		}
	}
	alert := func(code byte) handler { return answer("\x15\x03\x01\x00\x02\x02" + string([]byte{code})) }
	for _, row := range []struct {
		name  string
		serve handler
		want  probes.Reason
	}{
		{"a web server without TLS", answer("HTTP/1.1 400 Bad Request\r\n\r\n"), probes.Malformed},
		{"one that knows no version of ours", alert(70), probes.Unsupported},
		{"one that knows no cipher of ours", alert(40), probes.Unsupported},
		{"one that does not know the name", alert(112), probes.NotFound},
		{"one that has an error of its own", alert(80), probes.Unavailable},
		{"one that lets nobody in", alert(49), probes.Auth},
		{"one that finds our hello wrong", alert(50), probes.Malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := endpoint.Inspect(t.Context(), inMemory(row.serve), endpoint.Target{Address: "server.test:443"}).Servers[0]
			if s.Failure == nil || s.Failure.Stage != endpoint.Handshake || s.Failure.Reason != row.want {
				t.Errorf("%+v", s.Failure)
			}
		})
	}
}

func TestNamesAndConnectionsThatFail(t *testing.T) {
	p := newPKI(t)
	missing := &net.DNSError{Name: "server.test", IsNotFound: true}
	dial := func(err error) endpoint.Dial {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	lookup := func(addresses ...string) func(context.Context, string) ([]netip.Addr, error) {
		return func(context.Context, string) (list []netip.Addr, err error) {
			for _, a := range addresses {
				list = append(list, netip.MustParseAddr(a))
			}
			return list, nil
		}
	}
	var many, first32 []string
	for n := range 100 {
		many = append(many, fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("192.0.2.%d", n))
		if n < 32 {
			first32 = append(first32, fmt.Sprintf("192.0.2.%d:1 connect other", n))
		}
	}
	good := inMemory(overTLS(p.healthy(t)))
	half := func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "[") {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		return good(ctx, network, address)
	}
	for _, row := range []struct {
		name   string
		i      endpoint.Inspector
		target endpoint.Target
		want   []string
	}{
		{"a name that does not exist", endpoint.Inspector{Dial: dial(&net.OpError{Op: "dial", Err: missing})}, endpoint.Target{Address: "server.test:1"}, []string{" dns not_found"}},
		{"a resolver that does not answer", endpoint.Inspector{Dial: dial(&net.DNSError{IsTimeout: true})}, endpoint.Target{Address: "server.test:1"}, []string{" dns timeout"}},
		{"a port that nobody listens on", endpoint.Inspector{Dial: dial(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})}, endpoint.Target{Address: "server.test:1"}, []string{"server.test:1 connect network"}},
		{"a socket that may not be opened", endpoint.Inspector{Dial: dial(syscall.EACCES)}, endpoint.Target{Network: "unix", Address: "/run/s"}, []string{"/run/s connect permission_denied"}},
		{"a dialogue that does not exist", endpoint.Inspector{Dial: good}, endpoint.Target{Address: "server.test:1", StartTLS: "gopher"}, []string{"pipe starttls unsupported"}},
		{"a dial that panics", endpoint.Inspector{Dial: func(context.Context, string, string) (net.Conn, error) { panic("bug") }}, endpoint.Target{Address: "server.test:1"}, []string{"server.test:1 connect other"}},
		{"every address of a name, one of which refuses", endpoint.Inspector{Dial: half, Lookup: lookup("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.2"), Now: now}, endpoint.Target{Address: "server.test:1", All: true, Roots: p.roots}, []string{"pipe", "[2001:db8::1]:1 connect network", "pipe"}},
		{"a name without an address", endpoint.Inspector{Dial: half, Lookup: lookup()}, endpoint.Target{Address: "server.test:1", All: true}, []string{" dns not_found"}},
		{"an address without a port", endpoint.Inspector{Dial: half, Lookup: lookup()}, endpoint.Target{Address: "server.test", All: true}, []string{" dns malformed"}},
		{"more addresses than a name should have", endpoint.Inspector{Dial: dial(errors.New("no")), Lookup: lookup(many...)}, endpoint.Target{Address: "server.test:1", All: true}, first32},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, s := range row.i.Inspect(t.Context(), row.target).Servers {
				text := s.Address
				if s.Failure != nil {
					text += fmt.Sprintf(" %s %s", s.Failure.Stage, s.Failure.Reason)
				}
				got = append(got, text)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
