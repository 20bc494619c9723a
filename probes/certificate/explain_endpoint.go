package certificate

import (
	"fmt"
	"strings"
	"time"

	"hygiene_exporter/probes/certificate/endpoint"
)

// endpointOf returns the endpoint whose object this is; nil if there is none.
func (p *probe) endpointOf(object string) *Endpoint {
	for i := range p.config.Endpoints {
		if p.config.Endpoints[i].object() == object {
			return &p.config.Endpoints[i]
		}
	}
	return nil
}

// explain describes what the servers of an endpoint showed last.
func (s *servers) explain(e *Endpoint, object string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "It is the endpoint %s", e.Target)
	if e.StartTLS != "" {
		fmt.Fprintf(&b, ", where %s comes before TLS", e.StartTLS)
	}
	fmt.Fprintln(&b, ".")
	if err := s.wrong[object]; err != nil {
		fmt.Fprintf(&b, "It was not asked: %v.\n", err)
	}
	last, known := s.watch.Last(object)
	if !known {
		fmt.Fprintln(&b, "It was not inspected yet.")
		return b.String()
	}
	now := time.Now()
	fmt.Fprintf(&b, "It was inspected last at %s.\n", when(last.At, now))
	for i := range last.Servers {
		e.explainServer(&b, &last.Servers[i], now)
	}
	return b.String()
}

func (e *Endpoint) explainServer(b *strings.Builder, server *endpoint.Server, now time.Time) {
	fmt.Fprintf(b, "\nserver %s\n", server.Address)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	if server.Version != "" {
		line("TLS", "%s, %s", server.Version, server.Cipher)
	}
	switch server.ClientAuth {
	case endpoint.Requested:
		line("client", "the server asked for a certificate of its client, and was content with the answer")
	case endpoint.Refused:
		line("client", "the server asked for a certificate of its client, and ended the connection over the answer")
	}
	if f := server.Failure; f != nil && f.Stage != endpoint.Verify {
		line("failed", "in the stage %s, %s: %v", f.Stage, f.Reason, f.Err)
	}
	if len(server.Certificates) > 0 && !e.DatesOnly {
		if server.Trust.Verified {
			line("verified", "yes, until %s", when(server.Trust.Until, now))
		}
		for _, problem := range server.Trust.Problems {
			line(string(problem.Class), "%v", problem.Err)
		}
	}
	for _, a := range server.Revocation {
		line(string(a.Source), "%s%s", a.Status, because(a.Err))
		if !a.NextUpdate.IsZero() {
			line("next update", "%s", when(a.NextUpdate, now))
		}
	}
	names, list := sentSlots(server.Certificates)
	for i, c := range list {
		fmt.Fprintf(b, "\n%s\n", names[i])
		e.policy().explain(b, c, names[i], now)
	}
	for i, c := range server.Certificates {
		if c.Err != nil {
			fmt.Fprintf(b, "\nUnreadable: certificate %d: %v.\n", i+1, c.Err)
		}
	}
}

// explainListener describes what a listener of the host served last.
func (p *probe) explainListener(object string) string {
	last, known := p.own.watch.Last(object)
	if !known {
		return "It was not inspected in the last runs.\n"
	}
	var b strings.Builder
	now := time.Now()
	fmt.Fprintf(&b, "It is a listener of this host, and was inspected last at %s", when(last.At, now))
	if t := last.Target; t.StartTLS != "" {
		fmt.Fprintf(&b, ", where %s comes before TLS", t.StartTLS)
	}
	fmt.Fprintln(&b, ".")
	if c := leafOf(last); c != nil {
		switch state, file := p.inventory.disk().judge(c.Certificate); state {
		case matched:
			fmt.Fprintf(&b, "It serves the certificate of %s.\n", file.part.object)
		case outdated:
			fmt.Fprintf(&b, "It serves a certificate that %s has replaced by a newer one of %s.\n", file.part.object, when(file.NotBefore, now))
		case unmonitored:
			fmt.Fprintln(&b, "It serves a certificate that is in none of the files that are looked at.")
		}
	}
	e := Endpoint{Client: Client{DatesOnly: true}}
	for i := range last.Servers {
		e.explainServer(&b, &last.Servers[i], now)
	}
	return b.String()
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
