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
	// File with the passwords of stores, one on each line; they are tried in turn. It is read in each run.
	PasswordsFile string `yaml:"passwords_file"`
	// When certificates must be renewed. Each time is a share of their life, such as 33%, or a time before their end, such as 30d.
	Renew Renew `yaml:"renew"`
}

// Renew is a renewal policy. What is left empty has its default.
type Renew struct {
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
		Sources:        []Source{{Name: "system", Optional: true, Paths: wellKnown(), Exclude: notOurs()}},
	}
}

// wellKnown lists where common software keeps the certificates that a host
// serves or identifies itself with, by the defaults of distributions and the
// manuals of the software.
func wellKnown() []string {
	const files = "/**/*.{pem,crt,cer,cert}"
	return []string{
		"/etc/letsencrypt/live/*/fullchain.pem",
		"/root/.acme.sh/*/fullchain.cer",
		"/etc/ssl/*.{pem,crt,cer}", "/etc/ssl/private" + files, "/etc/ssl/certs/{ssl-cert-snakeoil.pem,ca-certificates.crt}",
		"/etc/pki/tls/certs" + files, "/etc/pki/tls/private" + files,
		"/etc/nginx" + files, "/etc/apache2" + files, "/etc/httpd" + files, "/etc/haproxy" + files, "/etc/caddy" + files, "/etc/traefik" + files,
		"/etc/postfix" + files, "/etc/dovecot" + files, "/etc/exim4" + files,
		"/etc/postgresql" + files, "/var/lib/postgresql/**/server.crt", "/var/lib/pgsql/**/server.crt",
		"/etc/mysql" + files, "/var/lib/mysql/*.pem", "/etc/redis" + files, "/etc/rabbitmq" + files, "/etc/mongodb" + files,
		"/etc/ldap" + files, "/etc/openldap" + files, "/etc/openvpn" + files, "/etc/ipsec.d/certs" + files, "/etc/swanctl/x509" + files,
		"/etc/kubernetes/pki/**/*.crt", "/etc/kubernetes/*.conf", "/var/lib/kubelet/pki/kubelet*.{pem,crt}", "/etc/etcd" + files, "/var/lib/rancher/k3s/server/tls/**/*.crt",
		"/etc/docker" + files, "/etc/cockpit/ws-certs.d/*.{cert,crt,pem}", "/etc/pve/**/*.pem",
		"/etc/prometheus" + files, "/etc/alertmanager" + files, "/etc/grafana" + files, "/etc/zabbix" + files, "/etc/icinga2" + files, "/var/lib/icinga2/certs/*.crt",
		"/etc/puppetlabs/puppet/ssl/certs/*.pem", "/etc/bacula" + files, "/etc/elasticsearch" + files, "/etc/logstash" + files, "/etc/filebeat" + files,
	}
}

// notOurs lists what is found in those places and is nobody's certificate.
func notOurs() []string {
	return []string{"**/*.key.pem", "**/privkey*.pem", "**/dh*.pem", "**/*dhparam*", "/etc/pki/tls/certs/ca-bundle.trust.crt", "/etc/docker/certs.d/**/ca.crt"}
}

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{c.Settings.Validate(), validateEndpoints(c.Endpoints), probes.At("handshakes", c.Handshakes.validate())}
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
	if s.PasswordsFile != "" && !filepath.IsAbs(s.PasswordsFile) {
		errs = append(errs, probes.At("passwords_file", fmt.Errorf("%.80q is not an absolute path", s.PasswordsFile)))
	}
	for i, pattern := range s.Exclude {
		if !doublestar.ValidatePattern(pattern) {
			errs = append(errs, probes.At(fmt.Sprintf("exclude[%d]", i), fmt.Errorf("%.80q is not a valid pattern", pattern)))
		}
	}
	return errors.Join(append(errs, probes.At("renew", s.Renew.validate()))...)
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
	r = r.withDefaults()
	before(r.Due, r.Overdue, "due", "overdue")
	before(r.Overdue, r.Critical, "overdue", "critical")
	return errors.Join(errs...)
}

// withDefaults fills in what was left empty.
func (r Renew) withDefaults() Renew {
	fill := func(m *Margin, percent float64) {
		if *m == (Margin{}) {
			m.Percent = percent
		}
	}
	fill(&r.Due, 33)
	fill(&r.Overdue, 25)
	fill(&r.Critical, 10)
	return r
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) { return newProbe(c, host), nil }
