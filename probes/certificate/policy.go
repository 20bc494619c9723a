package certificate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes/certificate/bundle"
)

// A Profile is a renewal policy that follows from who renews the certificate.
type Profile string

// The profiles: what their software does by its own defaults.
const (
	// Kubelet renews its certificates when 70 to 90 % of their life are over.
	Kubelet Profile = "kubelet"
	// Swarm renews those of its nodes when 50 to 80 % are over.
	Swarm Profile = "swarm"
	// Vault is what the agents of Vault and Consul do: they renew at about 90 %.
	Vault Profile = "vault"
	// LastMonth is what Icinga and Puppet do: they renew 30 days before the end,
	// however long the life.
	LastMonth Profile = "last_month"
	// LastWeeks is what Proxmox does: it renews two weeks before the end.
	LastWeeks Profile = "last_weeks"
)

// profiles returns the closed set.
func profiles() []Profile { return []Profile{Kubelet, Swarm, Vault, LastMonth, LastWeeks} }

// renew returns the margins of a profile, and none of one that does not exist.
func (p Profile) renew() Renew {
	switch p {
	case Kubelet:
		return Renew{Due: Margin{Percent: 30}, Overdue: Margin{Percent: 8}, Critical: Margin{Percent: 4}}
	case Swarm:
		return Renew{Due: Margin{Percent: 50}, Overdue: Margin{Percent: 16}, Critical: Margin{Percent: 8}}
	case Vault:
		return Renew{Due: Margin{Percent: 15}, Overdue: Margin{Percent: 6}, Critical: Margin{Percent: 3}}
	case LastMonth:
		return Renew{Due: Margin{Fixed: 30 * day}, Overdue: Margin{Fixed: 21 * day}, Critical: Margin{Fixed: 7 * day}}
	case LastWeeks:
		return Renew{Due: Margin{Fixed: 14 * day}, Overdue: Margin{Fixed: 10 * day}, Critical: Margin{Fixed: 4 * day}}
	}
	return Renew{}
}

// builtIn are the profiles of software whose files are where it puts them.
func builtIn() []Override {
	late := func(profile Profile, paths ...string) Override {
		return Override{Paths: paths, Renew: Renew{Profile: profile}}
	}
	return []Override{
		late(Kubelet, "/var/lib/kubelet/pki/**"),
		late(Swarm, "/var/lib/docker/swarm/certificates/**"),
		late(LastMonth, "/var/lib/icinga2/certs/**", "/etc/puppetlabs/puppet/ssl/certs/**", "/var/lib/puppet/ssl/certs/**"),
		late(LastWeeks, "/etc/pve/**/pve-ssl.pem"),
	}
}

// A policy is what is expected of the certificates of one object.
type policy struct {
	owner       string
	renew       Renew         // complete
	explicit    bool          // the configuration says it
	maxLifetime time.Duration // 0 if there is none
	authorities bool          // it is for authorities
}

// policyOf returns the policy for an object: the first override that fits has
// the word, then its source, then what is known of its place.
func (c *Config) policyOf(source *Source, object string, leaf bundle.Certificate) policy {
	chosen := Override{}
	if i := slices.IndexFunc(c.Overrides, func(o Override) bool { return o.fits(object, leaf) }); i >= 0 {
		chosen = c.Overrides[i]
	}
	known := Override{}
	if i := slices.IndexFunc(builtIn(), func(o Override) bool { return o.fits(object, leaf) }); i >= 0 {
		known = builtIn()[i]
	}
	configured := chosen.Renew.expand().over(source.Renew.expand())
	return policy{
		owner:       cmp.Or(chosen.Owner, source.Owner),
		renew:       configured.over(known.Renew.expand()).withDefaults(),
		explicit:    configured != Renew{},
		maxLifetime: time.Duration(cmp.Or(chosen.MaxLifetime, source.MaxLifetime)),
		authorities: chosen.Authorities,
	}
}

// fits reports whether an override is for a certificate. Everything that it names
// must fit.
func (o *Override) fits(object string, c bundle.Certificate) bool {
	matches := func(patterns []string, texts ...string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
			return slices.ContainsFunc(texts, func(text string) bool {
				match, err := doublestar.Match(pattern, text)
				return err == nil && match
			})
		})
	}
	return (!o.Authorities || c.CA) && matches(o.Paths, object, fileName(object)) && matches(o.Issuers, c.Issuer, c.Organization)
}

// expand fills in the margins of the profile.
func (r Renew) expand() Renew {
	margins := r.over(r.Profile.renew())
	margins.Profile = ""
	return margins
}

// over fills in what is empty.
func (r Renew) over(base Renew) Renew {
	return Renew{
		Due:      cmp.Or(r.Due, base.Due),
		Overdue:  cmp.Or(r.Overdue, base.Overdue),
		Critical: cmp.Or(r.Critical, base.Critical),
	}
}

// withDefaults fills in what was left empty.
func (r Renew) withDefaults() Renew {
	return r.over(Renew{Due: Margin{Percent: 33}, Overdue: Margin{Percent: 25}, Critical: Margin{Percent: 10}})
}

// fileName is the path of the file of an object: an entry of a store stands
// behind the first mark, unless the path itself has one.
func fileName(object string) string {
	name, _, _ := strings.Cut(object, "#")
	return name
}
