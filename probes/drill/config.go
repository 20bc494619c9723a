package drill

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
)

// The kinds of drill: where the evidence comes from.
const (
	attested = "attested" // a person says so
	observed = "observed" // the probe "redundancy" saw a failover
	command  = "command"  // a program is run by hand
	restore  = "restore"  // the probe "backup" restored for a test
)

func kinds() []string { return []string{attested, observed, command, restore} }

// Config is the section "drill" of the configuration file.
type Config struct {
	probes.Settings `yaml:",inline"`
	// What must be exercised, and how often.
	Drills []Drill `yaml:"drills"`
}

// A Drill is one thing that must be exercised.
type Drill struct {
	// Name of the drill; its object in metrics.
	Name string `yaml:"name"`
	// What counts: attested (a person says so with "drill record"), observed (a failover that the probe redundancy sees), restore (a test restore of the probe backup), command (a program that "drill run" runs). A person can attest a drill of any kind.
	Kind string `yaml:"kind"`
	// Who is told of problems with it; empty means the owner of the probe.
	Owner string `yaml:"owner"`
	// How often it must be passed.
	Interval probes.Duration `yaml:"interval"`
	// How long it may take until everything works again; 0 means that nobody has said.
	Objective probes.Duration `yaml:"objective"`
	// For observed and restore: the object in which it is seen, such as bond/bond0 or the name of a backup job, or a pattern such as bond/*.
	Object string `yaml:"object"`
	// For command: what "drill run" runs.
	Run Run `yaml:"run"`
}

// Run is a drill that a program carries out. Only "drill run" runs it, and only
// for root; the agent never does.
type Run struct {
	// The program and its arguments, without a shell. It passes with exit status 0.
	Command []string `yaml:"command"`
	// A program that passes when everything works. It must pass before the drill begins and again within recover_within after it; empty means none.
	Check []string `yaml:"check"`
	// Longest time that the command may take; it is killed then.
	Timeout probes.Duration `yaml:"timeout"`
	// How long after the command the check may go on failing.
	RecoverWithin probes.Duration `yaml:"recover_within"`
}

// SetDefaults implements probes.Defaulter.
func (d *Drill) SetDefaults() {
	d.Interval = probes.Duration(180 * 24 * time.Hour)
	d.Run.Timeout = probes.Duration(10 * time.Minute)
	d.Run.RecoverWithin = probes.Duration(time.Minute)
}

func defaultConfig() *Config {
	return &Config{Settings: probes.DefaultSettings(time.Minute)}
}

// maxDrills bounds the drills of one host.
const maxDrills = 500

// nameText keeps names readable in commands, labels and file names.
var nameText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,99}$`)

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{c.Settings.Validate()}
	if len(c.Drills) > maxDrills {
		errs = append(errs, probes.At("drills", fmt.Errorf("there may be %d, not %d", maxDrills, len(c.Drills))))
	}
	var names []string
	for i, d := range c.Drills {
		err := d.validate()
		if slices.Contains(names, d.Name) {
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.80q stands here twice", d.Name)))
		}
		names = append(names, d.Name)
		errs = append(errs, probes.At(fmt.Sprintf("drills[%d]", i), err))
	}
	return errors.Join(errs...)
}

func (d *Drill) validate() error {
	var errs []error
	complain := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	if !nameText.MatchString(d.Name) {
		complain("name", "%.80q is no name; use up to 100 letters, digits and . _ / : @ -", d.Name)
	}
	if !slices.Contains(kinds(), d.Kind) {
		complain("kind", "must be one of %s, not %.40q", strings.Join(kinds(), ", "), d.Kind)
	}
	if d.Interval <= 0 {
		complain("interval", "must be above 0, not %s", d.Interval)
	}
	if d.Objective < 0 {
		complain("objective", "must not be below 0")
	}
	seen := d.Kind == observed || d.Kind == restore
	switch {
	case seen && d.Object == "":
		complain("object", "names the object in which a drill of the kind %s is seen, and is missing", d.Kind)
	case !seen && d.Object != "":
		complain("object", "is for the kinds observed and restore")
	case !doublestar.ValidatePattern(d.Object):
		complain("object", "%.80q is not a valid pattern", d.Object)
	}
	return errors.Join(append(errs, probes.At("run", d.Run.validate(d.Kind == command)))...)
}

func (r *Run) validate(wanted bool) error {
	var errs []error
	for _, p := range []struct {
		key  string
		argv []string
		must bool
	}{{"command", r.Command, wanted}, {"check", r.Check, false}} {
		switch {
		case !wanted && len(p.argv) > 0:
			errs = append(errs, probes.At(p.key, errors.New("is for the kind command")))
		case p.must && len(p.argv) == 0:
			errs = append(errs, probes.At(p.key, errors.New("names the program to run, and is missing")))
		case len(p.argv) > 0 && !filepath.IsAbs(p.argv[0]):
			errs = append(errs, probes.At(p.key, fmt.Errorf("%.80q is not the absolute path of a program", p.argv[0])))
		}
	}
	if r.Timeout <= 0 {
		errs = append(errs, probes.At("timeout", fmt.Errorf("must be above 0, not %s", r.Timeout)))
	}
	if r.RecoverWithin < 0 {
		errs = append(errs, probes.At("recover_within", errors.New("must not be below 0")))
	}
	return errors.Join(errs...)
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) {
	return &Probe{config: c, host: host, now: time.Now}, nil
}

// Drill returns a drill of the configuration by its name.
func (c *Config) Drill(name string) (Drill, bool) {
	for _, d := range c.Drills {
		if d.Name == name {
			return d, true
		}
	}
	return Drill{}, false
}
