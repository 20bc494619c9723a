// Package send tells Alertmanager of problems without a Prometheus in between,
// for hosts that none scrapes. It promises that the alerts are those that the
// escalation rules would make of the same problems: the same names, labels and
// tiers, and the same manner of repeating and of ending.
package send

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	httpconfig "github.com/prometheus/common/config"

	"hygiene_exporter/probes"
)

// A Config is the section "alertmanager".
type Config struct {
	// Addresses of Alertmanagers to which the agent itself sends its alerts, each of a cluster; none where Prometheus scrapes the agent.
	URLs []string `yaml:"urls"`
	// Label "job" of the alerts.
	Job string `yaml:"job"`
	// Label "instance" of the alerts; empty means the name of the host.
	Instance string `yaml:"instance"`
	// How long an Alertmanager may take to answer.
	Timeout probes.Duration `yaml:"timeout"`
	// User name for basic authentication; empty means none.
	Username string `yaml:"username"`
	// File with the password of the user.
	PasswordFile string `yaml:"password_file"`
	// File with a bearer token.
	TokenFile string `yaml:"token_file"`
	// File with the certificate authorities of the Alertmanagers; empty means those of the system.
	CAFile string `yaml:"ca_file"`
	// File with a client certificate.
	CertFile string `yaml:"cert_file"`
	// File with the key of the client certificate.
	KeyFile string `yaml:"key_file"`
}

// Default returns the configuration of an agent that sends nothing.
func Default() Config {
	return Config{Job: "hygiene_exporter", Timeout: probes.Duration(10 * time.Second)}
}

// Validate returns everything that is wrong with the section.
func (c Config) Validate() error {
	var errs []error
	for i, address := range c.URLs {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			errs = append(errs, probes.At(fmt.Sprintf("urls[%d]", i), fmt.Errorf("%.80q is not an http or https address", address)))
		} else if parsed.User != nil {
			errs = append(errs, probes.At(fmt.Sprintf("urls[%d]", i), errors.New("holds a user or a password; write username and password_file")))
		}
	}
	if c.Job == "" {
		errs = append(errs, probes.At("job", errors.New("must not be empty")))
	}
	if c.Timeout <= 0 || time.Duration(c.Timeout) > time.Minute {
		errs = append(errs, probes.At("timeout", fmt.Errorf("must be above 0 and at most 1m, not %s", c.Timeout)))
	}
	for key, path := range map[string]string{
		"password_file": c.PasswordFile, "token_file": c.TokenFile,
		"ca_file": c.CAFile, "cert_file": c.CertFile, "key_file": c.KeyFile,
	} {
		if path != "" && !filepath.IsAbs(path) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", path)))
		}
	}
	if (c.Username == "") != (c.PasswordFile == "") {
		errs = append(errs, probes.At("username", errors.New("and password_file belong together")))
	}
	if c.Username != "" && c.TokenFile != "" {
		errs = append(errs, probes.At("token_file", errors.New("and username exclude each other")))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, probes.At("cert_file", errors.New("and key_file belong together")))
	}
	return errors.Join(errs...)
}

// client returns a client that authenticates as the configuration says. Files
// are read for each request, so that a password can be changed.
func (c Config) client() (*http.Client, error) {
	settings := httpconfig.DefaultHTTPClientConfig
	if c.Username != "" {
		settings.BasicAuth = &httpconfig.BasicAuth{Username: c.Username, PasswordFile: c.PasswordFile}
	}
	if c.TokenFile != "" {
		settings.Authorization = &httpconfig.Authorization{Type: "Bearer", CredentialsFile: c.TokenFile}
	}
	settings.TLSConfig = httpconfig.TLSConfig{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
	settings.FollowRedirects = false
	return httpconfig.NewClientFromConfig(settings, "alertmanager")
}

// endpoint is where an Alertmanager takes alerts.
func endpoint(address string) string {
	return strings.TrimRight(address, "/") + "/api/v2/alerts"
}
