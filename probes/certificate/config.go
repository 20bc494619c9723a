package certificate

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

// Config is the section "certificate" of the configuration file.
type Config struct {
	probes.Settings `yaml:",inline"`
	// Where certificates are looked for. The default knows the usual places of common software.
	Sources []Source `yaml:"sources"`
	// Exceptions to the policies of sources. The first that fits an object has the word; what it leaves empty comes from the source.
	Overrides []Override `yaml:"overrides"`
	// Files with the authorities that clients trust besides those of the system. With any, a certificate that leads to none of them is reported.
	Trust []string `yaml:"trust"`
	// Largest file that is read, in bytes.
	MaxFileSize int64 `yaml:"max_file_size"`
	// Most files that are looked at; further ones are a fault of their source.
	MaxFiles int `yaml:"max_files"`
	// A file with more certificates than this, and no leaf, is a trust store: it is counted and not listed.
	TrustStoreSize int `yaml:"trust_store_size"`
	// Servers whose certificates are inspected over the network.
	Endpoints []Endpoint `yaml:"endpoints"`
	// How servers are inspected.
	Handshakes Handshakes `yaml:"handshakes"`
	// Whom endpoints' certificates are checked with for revocations; nobody by default.
	Revocation Revocation `yaml:"revocation"`
	// The TLS listeners of this host, whose certificates are compared with those in files.
	Listeners Listeners `yaml:"listeners"`
	// What may be asked of targets elsewhere over /probe. Without modules nothing may.
	Modules []Module `yaml:"modules"`
}

// A Source is a set of files with one owner and one policy.
type Source struct {
	// Name of the source in metrics.
	Name string `yaml:"name"`
	// Absolute paths: files, directories that are searched with all that is below them, or patterns with * ? [] {} and **.
	Paths []string `yaml:"paths"`
	// Patterns of paths that are left out.
	Exclude []string `yaml:"exclude"`
	// Who is told of problems with these certificates; empty means the owner of the probe.
	Owner string `yaml:"owner"`
	// Whether paths may be missing. Otherwise a missing file or directory is reported.
	Optional bool `yaml:"optional"`
	// File with the passwords of stores, one on each line; they are tried in turn. It is read in each run. A name without a slash is that of a credential of systemd.
	PasswordsFile string `yaml:"passwords_file"`
	// When certificates must be renewed. Each time is a share of their life, such as 33%, or a time before their end, such as 30d.
	Renew Renew `yaml:"renew"`
	// Longest life that a certificate may have; 0 means any. Authorities may live longer.
	MaxLifetime probes.Duration `yaml:"max_lifetime"`
}

// An Override is an exception. What it names must all fit: a path and an issuer
// if it names both.
type Override struct {
	// Patterns of files, or of objects, such as /etc/app/store.jks#alias.
	Paths []string `yaml:"paths"`
	// Patterns of the common name or the organisation of the issuer.
	Issuers []string `yaml:"issuers"`
	// Whether it is only for certificates that may sign others.
	Authorities bool `yaml:"authorities"`
	// Who is told instead.
	Owner string `yaml:"owner"`
	// When such certificates must be renewed.
	Renew Renew `yaml:"renew"`
	// Longest life that such a certificate may have; authorities only if the override is for them.
	MaxLifetime probes.Duration `yaml:"max_lifetime"`
}

// Renew is a renewal policy. What is left empty has its default.
type Renew struct {
	// Who renews the certificate, if that is software that does so late: kubelet, swarm, vault, last_month (Icinga, Puppet) or last_weeks (Proxmox). It stands for the times below; files where such software puts them have it by default.
	Profile Profile `yaml:"profile"`
	// When the certificate should be renewed; empty means 33%.
	Due Margin `yaml:"due"`
	// When somebody is told that it was not; empty means 25%.
	Overdue Margin `yaml:"overdue"`
	// When it is about to expire; empty means 10%. A share counts as at least a day, and as at most 15% of the life and half of the time that overdue leaves.
	Critical Margin `yaml:"critical"`
}

// A Margin is a time before the end of a certificate: a share of its whole life
// or a fixed time. The zero Margin stands for a default.
type Margin struct {
	Percent float64
	Fixed   time.Duration
}

// UnmarshalYAML reads "33%" or a duration.
func (m *Margin) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := parseMargin(node.Value)
	if node.Kind != yaml.ScalarNode {
		err = errors.New("must be a share like 33% or a time like 30d")
	}
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, err)}}
	}
	*m = parsed
	return nil
}

func parseMargin(text string) (Margin, error) {
	if text == "" {
		return Margin{}, nil
	}
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if err != nil || !(percent > 0 && percent < 100) {
			return Margin{}, fmt.Errorf("%.40q is not a share between 0%% and 100%%", text)
		}
		return Margin{Percent: percent}, nil
	}
	fixed, err := probes.ParseDuration(text)
	if err != nil {
		return Margin{}, fmt.Errorf("%.40q is neither a share like 33%% nor a time like 30d", text)
	}
	return Margin{Fixed: time.Duration(fixed)}, nil
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (m Margin) MarshalYAML() (any, error) { return m.String(), nil }

// String returns the margin as it is written in the configuration.
func (m Margin) String() string {
	switch {
	case m.Percent > 0:
		return strconv.FormatFloat(m.Percent, 'f', -1, 64) + "%"
	case m.Fixed > 0:
		return probes.Duration(m.Fixed).String()
	}
	return ""
}

// defaultConfig looks at the usual places. It is used when nobody says where
// certificates are, so none of the places need exist.
func defaultConfig() *Config {
	settings := probes.DefaultSettings(5 * time.Minute)
	return &Config{
		Settings:       settings,
		MaxFileSize:    4 << 20,
		MaxFiles:       50_000,
		TrustStoreSize: 20,
		Handshakes:     defaultHandshakes(),
		Listeners:      defaultListeners(),
		Sources:        []Source{{Name: "system", Optional: true, Paths: wellKnown(), Exclude: notOurs()}},
	}
}

// wellKnown lists where common software keeps the certificates that a host
// serves or identifies itself with, by the defaults of distributions and the
// manuals of the software.
func wellKnown() []string {
	const files = "/**/*.{pem,crt,cer,cert,crl,p12,pfx,p7b,jks,jceks}"
	return []string{
		"/etc/letsencrypt/live/*/fullchain.pem",
		"/root/.acme.sh/*/fullchain.cer",
		"/etc/ssl/*.{pem,crt,cer,crl,p12,jks}", "/etc/ssl/private" + files, "/etc/ssl/certs/{ssl-cert-snakeoil.pem,ca-certificates.crt}", "/etc/ssl/certs/java/cacerts",
		"/etc/ssh/*-cert.pub",
		"/etc/pki/tls/certs" + files, "/etc/pki/tls/private" + files,
		"/etc/nginx" + files, "/etc/apache2" + files, "/etc/httpd" + files, "/etc/haproxy" + files, "/etc/caddy" + files, "/etc/traefik" + files,
		"/etc/postfix" + files, "/etc/dovecot" + files, "/etc/exim4" + files,
		"/etc/postgresql" + files, "/var/lib/postgresql/**/server.crt", "/var/lib/pgsql/**/server.crt",
		"/etc/mysql" + files, "/var/lib/mysql/*.pem", "/etc/redis" + files, "/etc/rabbitmq" + files, "/etc/mongodb" + files,
		"/etc/ldap" + files, "/etc/openldap" + files, "/etc/openvpn" + files, "/etc/ipsec.d/certs" + files, "/etc/swanctl/x509" + files,
		"/etc/kubernetes/pki/**/*.crt", "/etc/kubernetes/*.conf", "/var/lib/kubelet/pki/kubelet*.{pem,crt}", "/etc/etcd" + files, "/var/lib/rancher/k3s/server/tls/**/*.crt",
		"/var/lib/docker/swarm/certificates/*.crt", "/etc/docker" + files, "/etc/cockpit/ws-certs.d/*.{cert,crt,pem}", "/etc/pve/**/*.pem",
		"/etc/prometheus" + files, "/etc/alertmanager" + files, "/etc/grafana" + files, "/etc/zabbix" + files, "/etc/icinga2" + files, "/var/lib/icinga2/certs/*.crt",
		"/etc/puppetlabs/puppet/ssl/certs/*.pem", "/etc/puppetlabs/puppet/ssl/crl.pem", "/etc/bacula" + files, "/etc/tomcat*" + files, "/etc/kafka" + files, "/etc/elasticsearch" + files, "/etc/logstash" + files, "/etc/filebeat" + files,
	}
}

// notOurs lists what is found in those places and is nobody's certificate, and the
// old ones that kubelet keeps beside its link to the current one.
func notOurs() []string {
	return []string{"**/*.key.pem", "**/privkey*.pem", "**/dh*.pem", "**/*dhparam*", "/etc/pki/tls/certs/ca-bundle.trust.crt", "/etc/docker/certs.d/**/ca.crt", "/var/lib/kubelet/pki/kubelet-{client,server}-20*.pem"}
}

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{
		c.Settings.Validate(), validateEndpoints(c.Endpoints), validateModules(c.Modules),
		probes.At("handshakes", c.Handshakes.validate()), probes.At("listeners", c.Listeners.validate()),
	}
	for _, limit := range []struct {
		key   string
		value int64
	}{{"max_file_size", c.MaxFileSize}, {"max_files", int64(c.MaxFiles)}, {"trust_store_size", int64(c.TrustStoreSize)}} {
		if limit.value < 1 {
			errs = append(errs, probes.At(limit.key, fmt.Errorf("must be above 0, not %d", limit.value)))
		}
	}
	var names []string
	for i, source := range c.Sources {
		err := source.validate()
		if slices.Contains(names, source.Name) && source.Name != "" {
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.40q is the name of an earlier source too", source.Name)))
		}
		names = append(names, source.Name)
		errs = append(errs, probes.At(fmt.Sprintf("sources[%d]", i), err))
	}
	for i, override := range c.Overrides {
		errs = append(errs, probes.At(fmt.Sprintf("overrides[%d]", i), override.validate()))
	}
	for i, name := range c.Trust {
		if !filepath.IsAbs(name) {
			errs = append(errs, probes.At(fmt.Sprintf("trust[%d]", i), fmt.Errorf("%.80q is not an absolute path", name)))
		}
	}
	return errors.Join(errs...)
}

func (s Source) validate() error {
	var errs []error
	if s.Name == "" {
		errs = append(errs, probes.At("name", errors.New("is missing")))
	}
	if len(s.Paths) == 0 {
		errs = append(errs, probes.At("paths", errors.New("is missing; name files, directories or patterns")))
	}
	for i, path := range s.Paths {
		at := fmt.Sprintf("paths[%d]", i)
		switch {
		case !filepath.IsAbs(path):
			errs = append(errs, probes.At(at, fmt.Errorf("%.80q is not an absolute path", path)))
		case !doublestar.ValidatePattern(path):
			errs = append(errs, probes.At(at, fmt.Errorf("%.80q is not a valid pattern", path)))
		default:
			errs = append(errs, probes.At(at, slashInBraces(path)))
		}
	}
	if strings.Contains(s.PasswordsFile, "/") && !filepath.IsAbs(s.PasswordsFile) {
		errs = append(errs, probes.At("passwords_file", fmt.Errorf("%.80q is neither an absolute path nor the name of a credential", s.PasswordsFile)))
	}
	errs = append(errs, validPatterns("exclude", s.Exclude), probes.At("renew", s.Renew.validate()))
	return errors.Join(errs...)
}

func validPatterns(key string, patterns []string) error {
	var errs []error
	for i, pattern := range patterns {
		if !doublestar.ValidatePattern(pattern) {
			errs = append(errs, probes.At(fmt.Sprintf("%s[%d]", key, i), fmt.Errorf("%.80q is not a valid pattern", pattern)))
		}
	}
	return errors.Join(errs...)
}

func (o Override) validate() error {
	var errs []error
	if len(o.Paths)+len(o.Issuers) == 0 && !o.Authorities {
		errs = append(errs, errors.New("fits everything; name paths or issuers, or set authorities"))
	}
	if o.Owner == "" && o.Renew == (Renew{}) && o.MaxLifetime == 0 {
		errs = append(errs, errors.New("changes nothing; set owner, renew or max_lifetime"))
	}
	errs = append(errs, validPatterns("paths", o.Paths), validPatterns("issuers", o.Issuers), probes.At("renew", o.Renew.validate()))
	return errors.Join(errs...)
}

// validate compares what can be compared: shares with shares, times with times.
func (r Renew) validate() error {
	var errs []error
	before := func(early, late Margin, earlyKey, lateKey string) {
		wrong := early.Percent > 0 && late.Percent > early.Percent || early.Fixed > 0 && late.Fixed > early.Fixed
		if wrong {
			errs = append(errs, probes.At(lateKey, fmt.Errorf("%s is earlier than %s, which is %s", late, earlyKey, early)))
		}
	}
	if r.Profile != "" && !slices.Contains(profiles(), r.Profile) {
		errs = append(errs, probes.At("profile", fmt.Errorf("%.40q is not one of %q", string(r.Profile), profiles())))
	}
	r = r.expand().withDefaults()
	before(r.Due, r.Overdue, "due", "overdue")
	before(r.Overdue, r.Critical, "overdue", "critical")
	return errors.Join(errs...)
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) { return newProbe(c, host), nil }
