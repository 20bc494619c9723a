package endpoint

import (
	"context"
	"errors"
	"net"
	"syscall"

	"hygiene_exporter/probes"
)

// A Reach says how a port looks from here. The set is closed and part of the
// metric contract.
type Reach string

// The answers of a port.
const (
	ReachOpen       Reach = "open"       // somebody accepts connections
	ReachRefused    Reach = "refused"    // the host answers that nobody does
	ReachFiltered   Reach = "filtered"   // nothing answers, or a device on the way says no
	ReachUnanswered Reach = "unanswered" // the question could not be put: no such name, no route, no permission
)

// Reaches lists the closed set.
func Reaches() []Reach { return []Reach{ReachOpen, ReachRefused, ReachFiltered, ReachUnanswered} }

// Closed reports whether nobody can connect from here. An unanswered question
// proves nothing.
func (r Reach) Closed() bool { return r == ReachRefused || r == ReachFiltered }

// Knock connects to a target and says nothing. The error is the one of the
// connection.
func Knock(ctx context.Context, dial Dial, t Target) (Reach, error) {
	t = t.withDefaults()
	limited, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := dial(limited, t.Network, t.Address)
	if err == nil {
		conn.Close()
		return ReachOpen, nil
	}
	dns := (*net.DNSError)(nil)
	switch {
	case errors.As(err, &dns), ctx.Err() != nil:
		return ReachUnanswered, err
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReachRefused, err
	case errors.Is(err, syscall.EHOSTUNREACH), probes.ReasonOf(err) == probes.Timeout:
		return ReachFiltered, err // an ICMP error of a firewall is EHOSTUNREACH too
	}
	return ReachUnanswered, err
}
