package endpoint

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/revocation"
)

// A Dial connects to an address, as net.Dialer.DialContext does.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// An Inspector inspects servers. Dial must be set; it is safe for concurrent
// use.
type Inspector struct {
	Dial Dial
	// Lookup resolves a name; nil means the resolver of the host. It is used for
	// a Target with All; otherwise Dial resolves.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Now is the instant for which certificates are verified; nil means
	// time.Now.
	Now func() time.Time
	// Revoked asks others whether a certificate that leads to a trusted authority
	// was revoked, and is false when there is nobody to ask; nil asks nobody.
	Revoked func(ctx context.Context, certificate, issuer *x509.Certificate) (revocation.Answer, bool)
}

// What is inspected of the addresses of one name, in all and at a time.
const (
	maxAddresses = 32
	atATime      = 4
)

// Inspect reports what the server of a target shows, by its first address that
// answers or, with All, by each.
func Inspect(ctx context.Context, dial Dial, t Target) Report {
	return Inspector{Dial: dial}.Inspect(ctx, t)
}

// Inspect reports what the server of a target shows. Finding its addresses, and
// each of them, may take the timeout of the target.
func (i Inspector) Inspect(ctx context.Context, t Target) Report {
	r := Report{Target: t}
	t = t.withDefaults()
	addresses, err := i.addresses(ctx, t)
	if err != nil {
		r.Servers = []Server{{Failure: fail(DNS, err)}}
		return r
	}
	r.Servers = make([]Server, len(addresses))
	var (
		wg    sync.WaitGroup
		seats = make(chan struct{}, atATime)
	)
	for n, address := range addresses {
		seats <- struct{}{}
		wg.Go(func() {
			r.Servers[n] = i.server(ctx, t, address)
			i.revoked(ctx, &r.Servers[n])
			<-seats
		})
	}
	wg.Wait()
	return r
}

func (t Target) withDefaults() Target {
	if t.Network == "" {
		t.Network = "tcp"
	}
	if t.Timeout <= 0 {
		t.Timeout = DefaultTimeout
	}
	if t.ServerName == "" && t.Network != "unix" {
		if host, _, err := net.SplitHostPort(t.Address); err == nil {
			t.ServerName = host
		}
	}
	t.ServerName = strings.TrimSuffix(t.ServerName, ".") // a name in a certificate has no dot at its end
	return t
}

// addresses returns what to connect to: the address of the target, or all that
// its name has.
func (i Inspector) addresses(ctx context.Context, t Target) ([]string, error) {
	if !t.All || t.Network == "unix" {
		return []string{t.Address}, nil
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, probes.Because(probes.Malformed, err)
	}
	lookup := i.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	found, err := lookup(ctx, host)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, probes.Because(probes.NotFound, fmt.Errorf("%.80q has no address", host))
	}
	addresses := make([]string, 0, len(found))
	for _, address := range found {
		if a := net.JoinHostPort(address.Unmap().String(), port); !slices.Contains(addresses, a) && len(addresses) < maxAddresses {
			addresses = append(addresses, a)
		}
	}
	return addresses, nil
}

// server inspects one address. What parses the words of a stranger may have a
// bug; it must not end the agent.
func (i Inspector) server(ctx context.Context, t Target, address string) (s Server) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	s.Address = address
	stage := Connect
	defer func() {
		if cause := recover(); cause != nil {
			s.Failure = fail(stage, fmt.Errorf("panic: %v", cause))
		}
	}()
	conn, err := i.Dial(ctx, t.Network, address)
	if err != nil {
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
			return Server{Failure: fail(DNS, err)}
		}
		s.Failure = fail(Connect, err)
		return s
	}
	defer conn.Close()
	if remote := conn.RemoteAddr(); t.Network != "unix" && remote != nil {
		s.Address = remote.String()
	}
	// A deadline of the connection ends reads and writes; the context may end
	// before it.
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	stage = StartTLS
	if err == nil {
		err = startTLS(conn, t)
	}
	if err != nil {
		s.Failure = fail(StartTLS, because(ctx, err))
		return s
	}
	stage = Handshake
	i.shake(ctx, conn, t, &s)
	return s
}

// revoked asks whether the certificate of a server was revoked. Whom to ask stands
// in the certificate, so it must be one of a trusted authority.
func (i Inspector) revoked(ctx context.Context, s *Server) {
	issuer := s.Trust.issuer
	s.Trust.issuer = nil // reports are kept, and nobody needs it any more
	if i.Revoked == nil || !s.Trust.Verified || issuer == nil {
		return
	}
	certificate, err := x509.ParseCertificate(s.Certificates[0].Raw)
	if err != nil {
		return // then it was not verified
	}
	if answer, asked := i.Revoked(ctx, certificate, issuer); asked {
		s.Revocation = append(s.Revocation, answer)
	}
}

// because returns the end of the context as the cause of an error that followed
// from it.
func because(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && (errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)) {
		return cause
	}
	return err
}
