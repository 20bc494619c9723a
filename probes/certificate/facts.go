package certificate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// facts are what is known of a part as long as its file stays the same.
type facts struct {
	slots    []string
	verdicts []verdicts // by certificate
	labels   [][]string // of the info of each certificate, as it takes time to make them
	key      string     // where the private key is
}

// slots names the certificates of a part. A single certificate is a leaf
// whatever it says of itself, unless it is one of the authorities that a keystore
// trusts. Otherwise the leaf is the first that may not sign others, and the rest
// stands behind it in the order of the file; further ones that may not sign are
// leaf2 and so on. A part without a leaf is a set, in which only the subjects
// tell the certificates apart.
func slots(certificates []bundle.Certificate, set bool) []string {
	if len(certificates) == 1 && (!set || !certificates[0].CA) {
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

// describe makes the facts of a part, and the verdicts for which nothing but its
// file is needed.
func (p *part) describe(trustStoreSize int) {
	p.facts = facts{slots: slots(p.bundle.Certificates, p.set)}
	p.roots = p.roots || len(p.slots) > trustStoreSize && !strings.HasPrefix(p.slots[0], "leaf") && !strings.HasPrefix(p.slots[0], "chain")
	if p.roots {
		return
	}
	for i, c := range p.bundle.Certificates {
		p.labels = append(p.labels, []string{p.object, p.slots[i], p.policy.owner, c.Subject, c.Issuer, c.Serial, c.Fingerprint, c.Key, c.Signature, nameList(c.SANs)})
		p.verdicts = append(p.verdicts, judge(p, i))
	}
}

// validity adds the dates and deadlines of a certificate.
func (p policy) validity(r *probes.Result, object, slot string, c bundle.Certificate) {
	p.dates(r, c, []string{object, slot, p.owner})
}

// dates adds them with these labels, the same for all, because there can be many
// files.
func (p policy) dates(r *probes.Result, c bundle.Certificate, labels []string) {
	r.AddTime(notBefore, c.NotBefore, labels...)
	r.AddTime(notAfter, c.NotAfter, labels...)
	if d, ok := p.deadlines(c, labels[1]); ok {
		r.AddTime(due, d.due, labels...)
		r.AddTime(overdue, d.overdue, labels...)
		r.AddTime(critical, d.critical, labels...)
	}
}

// leaf returns the place of the first leaf.
func (p *part) leaf() (int, bool) {
	for i, slot := range p.slots {
		if slot == "leaf" {
			return i, true
		}
	}
	return 0, false
}

// shownNames is how many names of a certificate are shown.
const shownNames = 5

func nameList(s bundle.SANs) string {
	if s.NameCount <= shownNames {
		return strings.Join(s.Names, ",")
	}
	return fmt.Sprintf("%s (+%d)", strings.Join(s.Names[:min(shownNames, len(s.Names))], ","), s.NameCount-shownNames)
}

// tell adds the facts of a part and its findings.
func (p *part) tell(r *probes.Result, now time.Time) {
	if p.roots {
		p.countRoots(r, now)
		return
	}
	for i, v := range p.verdicts {
		p.policy.dates(r, p.bundle.Certificates[i], p.labels[i][:3:3])
		r.Add(info, 1, p.labels[i]...)
		for c, verdict := range v {
			if verdict == fail {
				r.Add(finding, 1, p.object, p.slots[i], check(c).String(), p.policy.owner)
			}
		}
	}
}

// countRoots adds the aggregate of a trust store.
func (p *part) countRoots(r *probes.Result, now time.Time) {
	states := map[string]float64{}
	for _, c := range p.bundle.Certificates {
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
		r.Add(trustStore, states[state], p.object, state, p.policy.owner)
	}
}
