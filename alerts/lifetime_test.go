package alerts

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/probes"
)

const day = 24 * time.Hour

// A life is that of a certificate, with the default deadlines of the design: due
// at a third of life left, overdue at a quarter, critical when the smallest is
// left of 15 % of life, half of the overdue span, and the larger of 10 % of life
// and a day.
type life struct{ notBefore, overdue, critical, notAfter time.Time }

func born(at time.Time, span time.Duration) life {
	end := at.Add(span)
	// Multiplied first, 15 % of 20 years would not fit into a time.Duration.
	left := min(max(span/10, day), span/100*15, span/4/2)
	return life{notBefore: at, overdue: end.Add(-span / 4), critical: end.Add(-left), notAfter: end}
}

func (l life) facts(t *testing.T) []probes.Sample {
	t.Helper()
	var samples []probes.Sample
	for name, at := range map[string]time.Time{
		"not_before": l.notBefore, "renewal_overdue": l.overdue, "renewal_critical": l.critical, "not_after": l.notAfter,
	} {
		sample := facts(t, "hygiene_certificate_"+name+`_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} 0`)[0]
		sample.Value = probes.Seconds(at)
		samples = append(samples, sample)
	}
	return samples
}

func lives() map[string]time.Duration {
	return map[string]time.Duration{
		"an hour": time.Hour, "a day": day, "72 hours": 3 * day, "160 hours": 160 * time.Hour, "6 days": 6 * day, "45 days": 45 * day,
		"47 days": 47 * day, "64 days": 64 * day, "90 days": 90 * day, "200 days": 200 * day, "398 days": 398 * day, "20 years": 20 * 365 * day,
	}
}

func found(t *testing.T, rules *detect.Rules, at time.Time, l life) []string {
	t.Helper()
	e := rules.Evaluate(t.Context(), snapshot(at, l.facts(t)), "certificate")
	if len(e.Errors) > 0 {
		t.Fatal(e.Errors)
	}
	alerts := []string{}
	for _, finding := range e.Findings {
		alerts = append(alerts, finding.Rule)
	}
	return alerts
}

// TestHealthyCertificatesNeverAlert renews certificates with a third of their
// life left, and again 5 % of their life later than that, over three lives.
func TestHealthyCertificatesNeverAlert(t *testing.T) {
	t.Parallel()
	rules := load(t)
	for name, span := range lives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, late := range []time.Duration{0, span / 20} {
				current := born(now, span)
				renewal := span*2/3 + late
				step := span / 60
				for at := now; at.Before(now.Add(3 * span)); at = at.Add(step) {
					if !at.Before(current.notBefore.Add(renewal)) {
						current = born(at, span)
					}
					if alerts := found(t, rules, at, current); len(alerts) > 0 {
						t.Fatalf("%s after issue, with %s left: %v", at.Sub(current.notBefore), current.notAfter.Sub(at), alerts)
					}
				}
			}
		})
	}
}

// TestForgottenCertificatesAlertInOrder lets certificates expire: each alert
// comes exactly at its deadline and stays, and there is time between them.
func TestForgottenCertificatesAlertInOrder(t *testing.T) {
	t.Parallel()
	rules := load(t)
	const (
		overdue  = "HygieneCertificateRenewalOverdue"
		critical = "HygieneCertificateRenewalCritical"
		expired  = "HygieneCertificateExpired"
	)
	for name, span := range lives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := born(now, span)
			if !l.notBefore.Before(l.overdue) || !l.overdue.Before(l.critical) || !l.critical.Before(l.notAfter) {
				t.Fatalf("the deadlines are not in order: %+v", l)
			}
			if got, want := l.notAfter.Sub(l.overdue), span/4; got != want {
				t.Errorf("%s left at the first alert, want %s", got, want)
			}
			tests := []struct {
				name string
				at   time.Time
				want []string
			}{
				{"at issue", l.notBefore, []string{}},
				{"just before it is overdue", l.overdue.Add(-time.Millisecond), []string{}},
				{"when it is overdue", l.overdue, []string{overdue}},
				{"just before it is critical", l.critical.Add(-time.Millisecond), []string{overdue}},
				{"when it is critical", l.critical, []string{critical, overdue}},
				{"just before it expires", l.notAfter.Add(-time.Millisecond), []string{critical, overdue}},
				{"when it expires", l.notAfter, []string{expired, critical, overdue}},
				{"a life later", l.notAfter.Add(span), []string{expired, critical, overdue}},
			}
			for _, test := range tests {
				if diff := cmp.Diff(test.want, found(t, rules, test.at, l)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", test.name, diff)
				}
			}
		})
	}
}

func TestACertificateThatIsNotValidYet(t *testing.T) {
	t.Parallel()
	got := found(t, load(t), now, born(now.Add(time.Hour), 90*day))
	if diff := cmp.Diff([]string{"HygieneCertificateNotYetValid"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
