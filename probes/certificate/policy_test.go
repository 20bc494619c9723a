package certificate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes/certificate/bundle"
)

func lifetimes() []time.Duration {
	return []time.Duration{
		time.Hour, 6 * time.Hour, day, 3 * day, 6 * day, 160 * time.Hour, 7 * day, 30 * day, 45 * day, 47 * day, 64 * day, 90 * day,
		100 * day, 180 * day, 200 * day, 365 * day, 398 * day, 825 * day, 5 * 365 * day, 10 * 365 * day, 20 * 365 * day,
	}
}

// alarms returns the share of the life of a certificate during which it is
// overdue, when it is renewed with a share of its life left.
func alarms(p policy, life time.Duration, left float64) (overdue bool) {
	c := living(life)
	d, _ := p.deadlines(c, "leaf")
	renewal := c.NotAfter.Add(-time.Duration(left * float64(life)))
	return d.overdue.Before(renewal)
}

// No certificate that is renewed when its owner renews it is ever overdue: at a
// third of its life by default, and later where a profile says so.
func TestHealthyCertificatesAreNeverOverdue(t *testing.T) {
	for name, c := range map[string]struct {
		object string
		left   float64 // at the latest renewal
	}{
		"by default":              {"/etc/ssl/a.pem", 1.0 / 3},
		"by default, a bit later": {"/etc/ssl/a.pem", 0.26},
		"kubelet":                 {"/var/lib/kubelet/pki/kubelet-client-current.pem", 0.10},
		"swarm":                   {"/var/lib/docker/swarm/certificates/swarm-node.crt", 0.20},
	} {
		for _, life := range lifetimes() {
			if p := defaultConfig().policyOf(&Source{}, c.object, living(life)); alarms(p, life, c.left) {
				t.Errorf("%s: a life of %s is overdue before it is renewed", name, life)
			}
		}
	}
	for name, c := range map[string]struct {
		object string
		life   time.Duration
		left   time.Duration
	}{
		"Icinga":      {"/var/lib/icinga2/certs/host.crt", 397 * day, 30 * day},
		"Puppet":      {"/etc/puppetlabs/puppet/ssl/certs/host.pem", 5 * 365 * day, 30 * day},
		"Proxmox":     {"/etc/pve/nodes/a/pve-ssl.pem", 730 * day, 14 * day},
		"Vault, told": {"/etc/vault/a.pem", 7 * day, 16 * time.Hour},
	} {
		config := defaultConfig()
		config.Overrides = []Override{{Paths: []string{"/etc/vault/*"}, Renew: Renew{Profile: Vault}}}
		if p := config.policyOf(&Source{}, c.object, living(c.life)); alarms(p, c.life, float64(c.left)/float64(c.life)) {
			t.Errorf("%s: it is overdue before it is renewed", name)
		}
	}
}

// When renewal stops there is time to act, and less of it is critical.
func TestWhenRenewalStopsThereIsTimeToAct(t *testing.T) {
	p := defaultConfig().policyOf(&Source{}, "/etc/ssl/a.pem", bundle.Certificate{})
	for _, life := range lifetimes() {
		d, _ := p.deadlines(living(life), "leaf")
		end := begin.Add(life)
		warning, critical := end.Sub(d.overdue), end.Sub(d.critical)
		if warning < life/4-time.Second || critical > warning/2 || critical <= 0 {
			t.Errorf("a life of %s: %s of warning, %s critical", life, warning, critical)
		}
		switch {
		case life == 160*time.Hour && warning < 40*time.Hour, life == 45*day && warning < 11*day:
			t.Errorf("a life of %s: only %s of warning", life, warning)
		}
	}
	for _, profile := range profiles() {
		for _, life := range lifetimes() {
			if life < 60*day && strings.HasPrefix(string(profile), "last_") {
				continue // a fixed time is for long lives
			}
			r := Renew{Profile: profile}.expand().withDefaults()
			d := r.deadlines(living(life))
			if !d.overdue.Before(d.critical) || !d.critical.Before(begin.Add(life)) {
				t.Errorf("%s, a life of %s: overdue %s, critical %s", profile, life, d.overdue, d.critical)
			}
		}
	}
}

func TestPoliciesAreMergedFromTheNearest(t *testing.T) {
	config := defaultConfig()
	text := `
overrides:
- {paths: ["/etc/app/**"], issuers: ["Our CA*", "Example*"], owner: app, renew: {overdue: 20d}, max_lifetime: 90d}
- {paths: ["/etc/app/**"], renew: {profile: vault, critical: 1d}}
- {authorities: true, owner: pki, renew: {due: 3y, overdue: 2y, critical: 1y}}
- {paths: ["/etc/store.jks#alias"], owner: java}
`
	if err := yaml.Unmarshal([]byte(text), config); err != nil {
		t.Fatal(err)
	}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	source := &Source{Owner: "web", Renew: Renew{Due: Margin{Percent: 40}}}
	show := func(object string, c bundle.Certificate) string {
		p := config.policyOf(source, object, c)
		return fmt.Sprintf("%s %s %s %s %s", p.owner, p.renew.Due, p.renew.Overdue, p.renew.Critical, p.maxLifetime)
	}
	for name, c := range map[string]struct {
		object      string
		certificate bundle.Certificate
		want        string
	}{
		"the source alone":                           {"/etc/ssl/a.pem", bundle.Certificate{}, "web 40% 25% 10% 0s"},
		"a path and an issuer":                       {"/etc/app/a.pem", bundle.Certificate{Issuer: "Our CA 3"}, "app 40% 20d 10% 2160h0m0s"},
		"the organisation":                           {"/etc/app/a.pem", bundle.Certificate{Issuer: "R3", Organization: "Example Inc"}, "app 40% 20d 10% 2160h0m0s"},
		"a path with another issuer":                 {"/etc/app/a.pem", bundle.Certificate{Issuer: "R3"}, "web 15% 6% 1d 0s"},
		"an authority":                               {"/etc/ssl/ca.pem", bundle.Certificate{CA: true}, "pki 3y 2y 1y 0s"},
		"an entry of a store":                        {"/etc/store.jks#alias", bundle.Certificate{}, "java 40% 25% 10% 0s"},
		"another entry of that store":                {"/etc/store.jks#other", bundle.Certificate{}, "web 40% 25% 10% 0s"},
		"a store in a path":                          {"/etc/app/a.jks#x", bundle.Certificate{}, "web 15% 6% 1d 0s"},
		"kubelet, with a source that says one thing": {"/var/lib/kubelet/pki/kubelet.crt", bundle.Certificate{}, "web 40% 8% 4% 0s"},
	} {
		if got := show(c.object, c.certificate); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestPoliciesReachTheFacts(t *testing.T) {
	r := newRig(t, "/s")
	r.config.Overrides = []Override{{Issuers: []string{"b"}, Owner: "other", Renew: Renew{Overdue: Margin{Fixed: 10 * day}}, MaxLifetime: 1}}
	r.write("/s/a.pem", text(t, "a"))
	r.write("/s/b.pem", text(t, "ca1", "b")) // of which the leaf decides
	r.restart()
	result, err := r.probe.Run(t.Context())
	r.do(err)
	got := map[string]string{}
	for _, s := range result.Samples {
		switch {
		case s.Metric == overdue && s.Label("slot") == "leaf":
			got[s.Object()] = fmt.Sprintf("%s %v before the end", s.Label("owner"), end.Sub(time.Unix(int64(s.Value), 0)))
		case s.Metric == finding && s.Label("finding") == "lifetime_exceeds_policy":
			got[s.Object()+" too long"] = ""
		}
	}
	want := map[string]string{"/s/a.pem": " 540h0m0s before the end", "/s/b.pem": "other 240h0m0s before the end", "/s/b.pem too long": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
