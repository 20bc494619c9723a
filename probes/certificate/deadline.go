package certificate

import (
	"strings"
	"time"

	"hygiene_exporter/probes/certificate/bundle"
)

// Deadlines are the instants by which a certificate must be renewed.
type deadlines struct {
	due      time.Time // it should be renewed from here on
	overdue  time.Time // it should have been
	critical time.Time // it is about to expire
}

const day = 24 * time.Hour

// deadlines returns by when a certificate in a place must be renewed; it is false
// if there is no such time. The members of a bundle without a leaf have none,
// because an old root beside its successor is as it should be; a policy of one's
// own gives them some.
func (p policy) deadlines(c bundle.Certificate, slot string) (deadlines, bool) {
	switch {
	case c.NotAfter.IsZero(), strings.HasPrefix(slot, spare):
		return deadlines{}, false // it never ends, or nobody minds
	case strings.HasPrefix(slot, "leaf"), p.explicit:
		return p.renew.deadlines(c), true
	case strings.HasPrefix(slot, "chain"):
		return chainDeadlines(c), true
	}
	return deadlines{}, false
}

// deadlines applies a renewal policy to a certificate. They never fall: due is
// at or before overdue, overdue at or before critical, critical at or before the
// end. A certificate whose end is before its beginning is critical from its end;
// one without a beginning, as OpenSSH has them, counts as one of a year.
func (r Renew) deadlines(c bundle.Certificate) deadlines {
	life := lifetime(c)
	overdue := r.Overdue.of(life)
	due := max(r.Due.of(life), overdue)
	critical := r.Critical.of(life)
	if r.Critical.Percent > 0 {
		critical = min(max(critical, day), share(life, 15), overdue/2)
	}
	critical = min(critical, overdue)
	return deadlines{c.NotAfter.Add(-due), c.NotAfter.Add(-overdue), c.NotAfter.Add(-critical)}
}

// of returns the margin as a time before the end of a life.
func (m Margin) of(life time.Duration) time.Duration {
	if m.Fixed > 0 {
		return m.Fixed
	}
	return share(life, m.Percent)
}

// share returns a share of a life in whole seconds, the resolution of
// certificates.
func share(life time.Duration, percent float64) time.Duration {
	return time.Duration(life.Seconds()*percent/100) * time.Second
}

// chainDeadlines are those of a certificate that stands behind a leaf. Nobody
// renews it: a newer one comes with the next renewal of the leaf. It is a
// problem when it will end before that can be expected.
func chainDeadlines(c bundle.Certificate) deadlines {
	life := lifetime(c)
	overdue := min(share(life, 25), 14*day)
	critical := min(share(life, 10), 3*day)
	return deadlines{c.NotAfter.Add(-overdue), c.NotAfter.Add(-overdue), c.NotAfter.Add(-critical)}
}

// lifetime is at most 292 years, because Sub saturates.
func lifetime(c bundle.Certificate) time.Duration {
	if c.NotBefore.IsZero() {
		return 365 * day
	}
	return max(0, c.NotAfter.Sub(c.NotBefore))
}

// listOverdue is when somebody is told that a revocation list was not replaced.
// Authorities publish late in its life: of a week and twelve hours, some leave
// the twelve.
func listOverdue(this, next time.Time) time.Time {
	if this.IsZero() || next.IsZero() {
		return time.Time{}
	}
	return next.Add(-share(max(0, next.Sub(this)), 5))
}
