package redundancy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// Config is the section "redundancy" of the configuration file.
type Config struct {
	probes.Settings `yaml:",inline"`
	// What there should be, where the agent must not decide from what it saw. It is also how less than there was is accepted.
	Expect []Expect `yaml:"expect"`
	// Tools that are asked more or less often than every 30 s (drbdsetup), 1 min (zpool, dmsetup, teamdctl), 5 min (ipmitool, redfish, sg_ses) or 10 min (all others).
	Tools []Tool `yaml:"tools"`
	// Management controllers that are asked over the network for their power supplies and fans.
	Redfish []Redfish `yaml:"redfish"`
	// Patterns of objects that are of no interest, such as "bond/test*" or "route/*".
	Ignore []string `yaml:"ignore"`
	// Time after which redundancy that is not back, and not being rebuilt, is somebody's omission.
	Repair probes.Duration `yaml:"repair"`
	// Time in which a rebuild gets on by a ten-thousandth; one that does not has stalled.
	Stall probes.Duration `yaml:"stall"`
	// Time after which all data of an array or file system should have been read and checked again; 0 means never.
	Scrub probes.Duration `yaml:"scrub"`
	// How full the data or metadata of a thin pool may be, from 0 to 1.
	PoolFull float64 `yaml:"pool_full"`
}

// An Expect says what there should be of one object.
type Expect struct {
	// The object, such as bond/bond0 or mdraid/md0.
	Object string `yaml:"object"`
	// How many members there should be; 0 accepts that there is no such object. Without it, the most that there ever were.
	Members *int `yaml:"members,omitempty"`
	// How many spares there should be. Without it, the most that there ever were.
	Spares *int `yaml:"spares,omitempty"`
	// Who is told of problems with this object; empty means the owner of the probe.
	Owner string `yaml:"owner"`
}

func defaultConfig() *Config {
	return &Config{
		Settings: probes.DefaultSettings(15 * time.Second),
		Repair:   probes.Duration(24 * time.Hour),
		Stall:    probes.Duration(2 * time.Hour),
		Scrub:    probes.Duration(40 * 24 * time.Hour),
		PoolFull: 0.9,
	}
}

// maxMembers bounds what can be expected.
const maxMembers = 10_000

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{c.Settings.Validate()}
	for _, d := range []struct {
		key   string
		value probes.Duration
	}{{"repair", c.Repair}, {"stall", c.Stall}} {
		if d.value <= 0 {
			errs = append(errs, probes.At(d.key, fmt.Errorf("must be above 0, not %s", d.value)))
		}
	}
	if !(c.PoolFull > 0 && c.PoolFull <= 1) {
		errs = append(errs, probes.At("pool_full", fmt.Errorf("must be above 0 and at most 1, not %g", c.PoolFull)))
	}
	if c.Scrub < 0 {
		errs = append(errs, probes.At("scrub", errors.New("must not be below 0")))
	}
	errs = append(errs, c.validateTools(), c.validateRedfish())
	var names []string
	for i, e := range c.Expect {
		err := e.validate()
		if slices.Contains(names, e.Object) {
			err = errors.Join(err, probes.At("object", fmt.Errorf("%.80q stands here twice", e.Object)))
		}
		names = append(names, e.Object)
		errs = append(errs, probes.At(fmt.Sprintf("expect[%d]", i), err))
	}
	for i, pattern := range c.Ignore {
		if !doublestar.ValidatePattern(pattern) {
			errs = append(errs, probes.At(fmt.Sprintf("ignore[%d]", i), fmt.Errorf("%.80q is not a valid pattern", pattern)))
		}
	}
	return errors.Join(errs...)
}

func (e Expect) validate() error {
	var errs []error
	kind, name, _ := strings.Cut(e.Object, "/")
	if name == "" || !slices.Contains(group.Kinds(), kind) {
		errs = append(errs, probes.At("object", fmt.Errorf("%.80q is no object; write it like bond/bond0, with one of the kinds %s", e.Object, strings.Join(group.Kinds(), ", "))))
	}
	for _, count := range []struct {
		key   string
		value *int
	}{{"members", e.Members}, {"spares", e.Spares}} {
		if count.value != nil && (*count.value < 0 || *count.value > maxMembers) {
			errs = append(errs, probes.At(count.key, fmt.Errorf("must be between 0 and %d, not %d", maxMembers, *count.value)))
		}
	}
	return errors.Join(errs...)
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) { return newProbe(c, host), nil }

// expected returns what the configuration says of an object.
func (c *Config) expected(object string) Expect {
	for _, e := range c.Expect {
		if e.Object == object {
			return e
		}
	}
	return Expect{Object: object}
}

// dropped reports whether the configuration says that an object is of no
// interest.
func (c *Config) dropped(object string) bool {
	return slices.ContainsFunc(c.Ignore, func(pattern string) bool {
		return doublestar.MatchUnvalidated(pattern, object)
	})
}
