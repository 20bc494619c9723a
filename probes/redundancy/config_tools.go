package redundancy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/tool"
)

// A Tool says how often a program is asked for what the kernel does not tell.
type Tool struct {
	// The tool: arcconf, cli64, dmsetup (with lvs), drbdsetup, ipmitool, mpt-status, redfish, sas3ircu (and sas2ircu), ssacli (and its forerunners), storcli (and perccli, MegaCli), teamdctl, tw_cli or zpool.
	Name string `yaml:"name"`
	// Time from one question to the next.
	Every probes.Duration `yaml:"every"`
}

// A Redfish is a management controller, and how it is trusted.
type Redfish struct {
	// Its name, which its objects bear: power/NAME/CHASSIS.
	Name string `yaml:"name"`
	// Where it is, such as https://192.0.2.7.
	URL string `yaml:"url"`
	// Who asks. A user who may only read is enough.
	Username string `yaml:"username"`
	// File that holds the password.
	PasswordFile string `yaml:"password_file"`
	// File of certificates that its own is checked against; empty means those of the system.
	CAFile string `yaml:"ca_file"`
	// SHA-256 fingerprint of its certificate, in place of any other check: for those that sign themselves.
	Fingerprint string `yaml:"fingerprint"`
}

func (c *Config) validateTools() error {
	var errs []error
	seen := map[string]bool{}
	for i, t := range c.Tools {
		at := func(key string, err error) { errs = append(errs, probes.At(fmt.Sprintf("tools[%d].%s", i, key), err)) }
		switch {
		case !slices.Contains(tool.Names(), t.Name):
			at("name", fmt.Errorf("%.80q is no tool; known are %s", t.Name, strings.Join(tool.Names(), ", ")))
		case seen[t.Name]:
			at("name", fmt.Errorf("%.80q stands here twice", t.Name))
		}
		seen[t.Name] = true
		if t.Every < probes.Duration(time.Second) {
			at("every", fmt.Errorf("must be at least 1s, not %s", t.Every))
		}
	}
	return errors.Join(errs...)
}

var (
	serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	fingerprint = regexp.MustCompile(`^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$`)
)

func (c *Config) validateRedfish() error {
	var errs []error
	seen := map[string]bool{}
	for i, r := range c.Redfish {
		at := func(key string, err error) {
			errs = append(errs, probes.At(fmt.Sprintf("redfish[%d].%s", i, key), err))
		}
		switch {
		case !serviceName.MatchString(r.Name):
			at("name", fmt.Errorf("%.80q is no name; it has letters, digits, dots and dashes", r.Name))
		case seen[r.Name]:
			at("name", fmt.Errorf("%.80q stands here twice", r.Name))
		}
		seen[r.Name] = true
		u, err := url.Parse(r.URL)
		switch {
		case err != nil, u.Host == "" || u.User != nil || u.RawQuery != "":
			at("url", fmt.Errorf("%.80q is no address like https://192.0.2.7", r.URL))
		case u.Scheme != "https":
			at("url", errors.New("must begin with https://: a password goes there"))
		}
		if r.Fingerprint != "" && !fingerprint.MatchString(r.Fingerprint) {
			at("fingerprint", errors.New("must be 64 hexadecimal digits, with or without colons"))
		}
		if r.Fingerprint != "" && r.CAFile != "" {
			at("fingerprint", errors.New("is there in place of ca_file"))
		}
		if r.PasswordFile != "" && r.Username == "" {
			at("username", errors.New("is missing, and there is a password"))
		}
	}
	return errors.Join(errs...)
}

// tools returns what the configuration says of tools.
func (c *Config) tools() tool.Options {
	o := tool.Options{Every: map[string]time.Duration{}}
	for _, t := range c.Tools {
		o.Every[t.Name] = time.Duration(t.Every)
	}
	for _, r := range c.Redfish {
		o.Services = append(o.Services, tool.Service(r))
	}
	return o
}
