package certificate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// facts are the samples of one file, which stay the same as long as the file
// does. A trust store has none here: what it counts changes with the time.
type facts struct {
	samples    []probes.Sample
	trustStore bool
	verdicts   map[string]tally // by finding
}

// A tally counts certificates by the result of a check.
type tally [3]int

// slots names the certificates of a bundle. A single certificate is a leaf
// whatever it says of itself. Otherwise the leaf is the first that may not sign
// others, and the rest stands behind it in the order of the file; further ones
// that may not sign are leaf2 and so on. A bundle without a leaf is a set, in
// which only the subjects tell the certificates apart.
func slots(certificates []bundle.Certificate) []string {
	if len(certificates) == 1 {
		return []string{"leaf"}
	}
	names := make([]string, len(certificates))
	leaves := 0
	for i, c := range certificates {
		if !c.CA {
			leaves++
			names[i] = numbered("leaf", leaves)
		}
	}
	chain, taken := 0, map[string]int{}
	for i, c := range certificates {
		switch {
		case !c.CA:
		case leaves > 0:
			chain++
			names[i] = "chain" + strconv.Itoa(chain)
		default:
			taken[c.SubjectHash]++
			names[i] = numbered(c.SubjectHash+"-", taken[c.SubjectHash])
			names[i] = strings.TrimSuffix(names[i], "-")
		}
	}
	return names
}

// numbered appends a number above 1.
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	return name + strconv.Itoa(n)
}

// describe makes the facts of a part of a file.
func (s *Source) describe(p part, key privateKey, trustStoreSize int) facts {
	object, b := p.object, p.bundle
	names := slots(b.Certificates)
	if isTrustStore(b, names, trustStoreSize) {
		return facts{trustStore: true}
	}
	var r probes.Result
	f := facts{verdicts: map[string]tally{}}
	for i, c := range b.Certificates {
		slot := names[i]
		s.validity(&r, object, slot, c)
		r.Add(info, 1, object, slot, s.Owner, c.Subject, c.Issuer, c.Serial, c.Fingerprint, c.Key, c.Signature, nameList(c.Names))
		verdicts := judge(p, names, i, key)
		for _, name := range findings() {
			v, judged := verdicts[name]
			if !judged {
				continue // the check is not made on a certificate in this place
			}
			count := f.verdicts[name]
			count[v]++
			f.verdicts[name] = count
			if v == fail {
				r.Add(finding, 1, object, slot, name, s.Owner)
			}
		}
	}
	f.samples = r.Samples
	return f
}

// validity adds the dates and deadlines of a certificate.
func (s *Source) validity(r *probes.Result, object, slot string, c bundle.Certificate) {
	labels := []string{object, slot, s.Owner} // one for all, because there can be many files
	r.AddTime(notBefore, c.NotBefore, labels...)
	r.AddTime(notAfter, c.NotAfter, labels...)
	if d, ok := s.deadlines(c, slot); ok {
		r.AddTime(due, d.due, labels...)
		r.AddTime(overdue, d.overdue, labels...)
		r.AddTime(critical, d.critical, labels...)
	}
}

// isTrustStore reports whether a bundle is a set of roots that nobody here
// renews one by one.
func isTrustStore(b bundle.Bundle, names []string, size int) bool {
	return len(b.Certificates) > size && !strings.HasPrefix(names[0], "leaf") && !strings.HasPrefix(names[0], "chain")
}

// deadlines returns by when a certificate must be renewed. The members of a
// bundle without a leaf have no deadlines, because an old root beside its
// successor is as it should be; a policy of the source's own gives them some.
func (s *Source) deadlines(c bundle.Certificate, slot string) (deadlines, bool) {
	switch {
	case c.NotAfter.IsZero(), strings.HasPrefix(slot, spare):
		return deadlines{}, false // it never ends, or nobody minds
	case strings.HasPrefix(slot, "leaf"), s.Renew != (Renew{}):
		return s.Renew.deadlines(c), true
	case strings.HasPrefix(slot, "chain"):
		return chainDeadlines(c), true
	}
	return deadlines{}, false
}

// shownNames is how many names of a certificate are shown.
const shownNames = 5

func nameList(names []string) string {
	if len(names) <= shownNames {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s (+%d)", strings.Join(names[:shownNames], ","), len(names)-shownNames)
}

// count adds the aggregate of a trust store.
func (s *Source) count(r *probes.Result, object string, b bundle.Bundle, now time.Time) {
	states := map[string]float64{}
	for _, c := range b.Certificates {
		switch {
		case now.After(c.NotAfter):
			states["expired"]++
		case now.Before(c.NotBefore):
			states["not_yet_valid"]++
		default:
			states["valid"]++
		}
	}
	for _, state := range trustStore.Values["state"] {
		r.Add(trustStore, states[state], object, state, s.Owner)
	}
}
