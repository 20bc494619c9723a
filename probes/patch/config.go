package patch

import (
	"errors"
	"fmt"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/updates"
)

const day = 24 * time.Hour

// Config is the section "patch" of the configuration file.
type Config struct {
	probes.Settings `yaml:",inline"`
	// How long something may wait, counted from when it is proven to have been there.
	Deadlines Deadlines `yaml:"deadlines"`
	// How many pending updates of each package manager are listed one by one; all are counted.
	Listed int `yaml:"listed"`
}

// Deadlines are the times that the site allows itself.
type Deadlines struct {
	// Security updates that their publisher rates critical.
	Critical probes.Duration `yaml:"critical"`
	// Security updates that their publisher rates important.
	Important probes.Duration `yaml:"important"`
	// All other security updates, rated or not.
	Security probes.Duration `yaml:"security"`
	// Updates that are not for security.
	Other probes.Duration `yaml:"other"`
	// From one refresh of the metadata of a repository to the next.
	Metadata probes.Duration `yaml:"metadata"`
	// From one publication of an archive of security updates to the next; an older one is frozen.
	Published probes.Duration `yaml:"published"`
	// From one success of the automatic installation to the next, where there is one.
	Automatic probes.Duration `yaml:"automatic"`
	// From what makes a reboot necessary to the reboot.
	Reboot probes.Duration `yaml:"reboot"`
	// The same while only the kernel waits, and is patched in memory.
	RebootLivepatched probes.Duration `yaml:"reboot_livepatched"`
	// From the replacement of code that a service executes to its restart.
	Restart probes.Duration `yaml:"restart"`
	// How long before the end of support the upgrade should be under way.
	Support probes.Duration `yaml:"support"`
}

func defaultConfig() *Config {
	days := func(n int) probes.Duration { return probes.Duration(time.Duration(n) * day) }
	return &Config{
		Settings:  probes.DefaultSettings(15 * time.Minute),
		Deadlines: Deadlines{Critical: days(3), Important: days(7), Security: days(14), Other: days(60), Metadata: days(7), Published: days(30), Automatic: days(7), Reboot: days(14), RebootLivepatched: days(60), Restart: days(14), Support: days(90)},
		Listed:    50,
	}
}

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{c.Settings.Validate(), probes.At("deadlines", c.Deadlines.validate())}
	if c.Listed < 0 {
		errs = append(errs, probes.At("listed", fmt.Errorf("must not be below 0, and is %d", c.Listed)))
	}
	return errors.Join(errs...)
}

func (d Deadlines) validate() error {
	var errs []error
	for _, limit := range []struct {
		key   string
		value probes.Duration
	}{
		{"critical", d.Critical},
		{"important", d.Important},
		{"security", d.Security},
		{"other", d.Other},
		{"metadata", d.Metadata},
		{"published", d.Published},
		{"automatic", d.Automatic},
		{"reboot", d.Reboot},
		{"reboot_livepatched", d.RebootLivepatched},
		{"restart", d.Restart},
		{"support", d.Support},
	} {
		if limit.value <= 0 {
			errs = append(errs, probes.At(limit.key, errors.New("must be above 0; to be told of nothing, override the check")))
		}
	}
	if d.Important < d.Critical {
		errs = append(errs, probes.At("important", fmt.Errorf("%s is shorter than critical, which is %s", d.Important, d.Critical)))
	}
	if d.Security < d.Important {
		errs = append(errs, probes.At("security", fmt.Errorf("%s is shorter than important, which is %s", d.Security, d.Important)))
	}
	return errors.Join(errs...)
}

// of returns how long an update may wait.
func (d Deadlines) of(class updates.Class, advisory updates.Advisory) time.Duration {
	switch {
	case class == updates.Other:
		return time.Duration(d.Other)
	case advisory == updates.Critical:
		return time.Duration(d.Critical)
	case advisory == updates.Important:
		return time.Duration(d.Important)
	}
	return time.Duration(d.Security)
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) { return newProbe(c, host), nil }
