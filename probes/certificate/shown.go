package certificate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/certificate/revocation"
)

// A shown is what the servers of an endpoint showed, as facts.
type shown struct {
	probes.Result
	verdicts tally
	dates    dates // empty when no server showed a certificate
	err      error // why a server could not be inspected; nil when all could be
}

// describe makes facts of a report. Dates are those of the server whose
// certificate ends first.
func (e *Endpoint) describe(object string, report endpoint.Report) shown {
	var s shown
	var (
		errs  []error
		first *endpoint.Server
		until time.Time
	)
	for i := range report.Servers {
		server := &report.Servers[i]
		address := ""
		if report.Target.All {
			address = server.Address
		}
		e.server(&s.Result, object, address, server)
		if server.Failure != nil && server.Failure.Stage != endpoint.Verify {
			errs = append(errs, failureOf(report.Target, server))
		}
		if !hasDates(server) {
			continue
		}
		if first == nil || server.Certificates[0].NotAfter.Before(first.Certificates[0].NotAfter) {
			first = server
		}
		if end := server.Trust.Until; !end.IsZero() && (until.IsZero() || end.Before(until)) {
			until = end
		}
	}
	if first != nil {
		s.chain(e.policy(), object, first.Certificates)
	}
	if !e.DatesOnly {
		s.AddTime(trustedUntil, until, object, e.Owner)
	}
	for _, source := range revocation.Sources() {
		if answer, known := worstAnswer(report.Servers, source); known {
			s.Add(ocspStatus, 1, object, string(source), string(answer.Status), e.Owner)
			s.AddTime(ocspNextUpdate, answer.NextUpdate, object, string(source), e.Owner)
		}
	}
	s.err = errors.Join(errs...)
	return s
}

func hasDates(server *endpoint.Server) bool {
	return len(server.Certificates) > 0 && server.Certificates[0].Err == nil
}

// failureOf names the address only where there are several.
func failureOf(t endpoint.Target, server *endpoint.Server) error {
	err := error(server.Failure)
	if t.All && server.Address != "" {
		err = fmt.Errorf("%s: %w", server.Address, err)
	}
	return probes.Because(server.Failure.Reason, err)
}

// server adds what is known of one address.
func (e *Endpoint) server(r *probes.Result, object, address string, server *endpoint.Server) {
	if server.Version != "" {
		r.Add(tlsInfo, 1, object, address, server.Version, server.Cipher, e.Owner)
	}
	if f := server.Failure; f != nil && f.Stage != endpoint.Verify {
		r.Add(endpointFailure, 1, object, address, string(f.Stage), string(f.Reason), e.Owner)
	}
	if e.DatesOnly || len(server.Certificates) == 0 {
		return
	}
	verified := 0.0
	if server.Trust.Verified {
		verified = 1
	}
	r.Add(verifiedMetric, verified, object, address, e.Owner)
	if server.Trust.Verified {
		return
	}
	for _, class := range classesOf(server.Trust) {
		r.Add(endpointFailure, 1, object, address, string(endpoint.Verify), class, e.Owner)
	}
}

// classesOf lists the classes of the problems, each once.
func classesOf(t endpoint.Trust) []string {
	var classes []string
	for _, problem := range t.Problems {
		if class := string(problem.Class); !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	return classes
}

// chain adds the certificates of one server.
func (s *shown) chain(expected policy, object string, sent []endpoint.Certificate) {
	names, list := sentSlots(sent)
	p := part{policy: &expected, bundle: bundle.Bundle{Certificates: list}, facts: facts{slots: names}}
	for i, c := range list {
		s.dates = append(s.dates, validity{names[i], c.NotBefore, c.NotAfter})
		expected.validity(&s.Result, object, names[i], c)
		s.Add(info, 1, object, names[i], expected.owner, c.Subject, c.Issuer, c.Serial, c.Fingerprint, c.Key, c.Signature, nameList(c.SANs))
		if strings.HasPrefix(names[i], spare) {
			continue
		}
		all := judge(&p, i)
		var made verdicts
		for _, check := range []check{nonconforming, weakKey, weakSignature, chainDisordered} {
			if made[check] = all[check]; made[check] == fail {
				s.Add(finding, 1, object, names[i], check.String(), expected.owner)
			}
		}
		s.verdicts.add(made)
	}
}

// spare begins the slot of a certificate that a server sends and no client
// needs: its end is no problem.
const spare = "spare"

// sentSlots names the certificates of a server: the first is its own, whatever
// it says of itself.
func sentSlots(sent []endpoint.Certificate) (names []string, list []bundle.Certificate) {
	chain, spares := 0, 0
	for i, c := range sent {
		switch {
		case c.Err != nil:
			continue
		case i == 0:
			names = append(names, "leaf")
		case c.Spare:
			spares++
			names = append(names, spare+strconv.Itoa(spares))
		default:
			chain++
			names = append(names, "chain"+strconv.Itoa(chain))
		}
		list = append(list, c.Certificate)
	}
	return names, list
}

// worstAnswer returns the answer of a source that is worst for a client.
func worstAnswer(servers []endpoint.Server, source revocation.Source) (worst revocation.Answer, known bool) {
	order := []revocation.Status{revocation.Good, revocation.Unknown, revocation.Stale, revocation.Unverified, revocation.Revoked}
	for _, server := range servers {
		for _, a := range server.Revocation {
			if a.Source == source && (!known || slices.Index(order, a.Status) > slices.Index(order, worst.Status)) {
				worst, known = a, true
			}
		}
	}
	return worst, known
}

// dates are what is remembered of the certificates of a server, so that they
// survive an outage and a restart.
type dates []validity

type validity struct {
	slot       string
	begin, end time.Time
}

// String is the form in which dates are saved: "leaf 1700000000 1710000000, …".
func (d dates) String() string {
	var b strings.Builder
	for i, v := range d {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d %d", v.slot, v.begin.Unix(), v.end.Unix())
	}
	return b.String()
}

// parseDates reads what String wrote, and leaves out what it did not.
func parseDates(text string) (d dates) {
	for item := range strings.SplitSeq(text, ", ") {
		var (
			slot       string
			begin, end int64
		)
		if n, err := fmt.Sscanf(item, "%s %d %d", &slot, &begin, &end); n == 3 && err == nil {
			d = append(d, validity{slot, time.Unix(begin, 0).UTC(), time.Unix(end, 0).UTC()})
		}
	}
	return d
}

// recall adds dates that were shown earlier.
func (e *Endpoint) recall(r *probes.Result, object string, remembered dates) {
	for _, v := range remembered {
		e.policy().validity(r, object, v.slot, bundle.Certificate{NotBefore: v.begin, NotAfter: v.end})
	}
}
