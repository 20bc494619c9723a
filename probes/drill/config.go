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
	failover = "failover" // a member of something redundant is taken out of use by hand
)

func kinds() []string { return []string{attested, observed, command, restore, failover} }

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
	// What counts: attested (a person says so with "drill record"), observed (a failover that the probe redundancy sees), restore (a test restore of the probe backup), command (a program that "drill run" runs), failover (a bond, a team or a multipath device that "drill run" fails over and back). A person can attest a drill of any kind.
	Kind string `yaml:"kind"`
	// Who is told of problems with it; empty means the owner of the probe.
	Owner string `yaml:"owner"`
	// How often it must be passed.
	Interval probes.Duration `yaml:"interval"`
	// How long it may take until everything works again; 0 means that nobody has said.
	Objective probes.Duration `yaml:"objective"`
	// For observed and restore: the object in which it is seen, such as bond/bond0 or the name of a backup job, or a pattern such as bond/*. For failover: the one bond, team or multipath device, such as bond/bond0.
	Object string `yaml:"object"`
	// For command and failover: what "drill run" runs.
	Run Run `yaml:"run"`
	// For failover: what "drill run" may do to the object.
	Failover Failover `yaml:"failover"`
}

// Run is a drill that a program carries out. Only "drill run" runs it, and only
// for root; the agent never does.
type Run struct {
	// For command: the program and its arguments, without a shell. It passes with exit status 0.
	Command []string `yaml:"command"`
	// A program that passes when everything works. It must pass before the drill begins and again within recover_within after it; empty means none. For failover of a bond or team it must be there: that a link is up does not say that anything arrives.
	Check []string `yaml:"check"`
	// For command: longest time that it may take; it is killed then.
	Timeout probes.Duration `yaml:"timeout"`
	// How long the check may go on failing after the command, or after each switch of a failover.
	RecoverWithin probes.Duration `yaml:"recover_within"`
}

// Failover is what "drill run" may do to something redundant, for root only.
type Failover struct {
	// Whether the object may be failed over at all. Without it, every run is refused.
	Allowed bool `yaml:"allowed"`
	// Of a bond or team the member that takes over, of a multipath device the path that fails. Empty means the first that can; of a multipath device with several groups of paths, all those in use.
	Member string `yaml:"member"`
	// How long everything must work over what took over, before it is put back.
	Hold probes.Duration `yaml:"hold"`
	// After how long a process of its own puts everything back, whatever has become of the drill. The rules on lost redundancy wait for a minute; what takes longer pages.
	RestoreAfter probes.Duration `yaml:"restore_after"`
	// Whether a bond or team stays with the member that took over when the drill is passed.
	Stay bool `yaml:"stay"`
}

// SetDefaults implements probes.Defaulter.
func (d *Drill) SetDefaults() {
	d.Interval = probes.Duration(180 * 24 * time.Hour)
	d.Run.Timeout = probes.Duration(10 * time.Minute)
	d.Run.RecoverWithin = probes.Duration(time.Minute)
	d.Failover.Hold = probes.Duration(15 * time.Second)
	d.Failover.RestoreAfter = probes.Duration(45 * time.Second)
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
	case d.Kind == failover && !objectText.MatchString(d.Object):
		complain("object", "names one bond, team or multipath device, such as bond/bond0, and not %.80q", d.Object)
	case seen && d.Object == "":
		complain("object", "names the object in which a drill of the kind %s is seen, and is missing", d.Kind)
	case !seen && d.Kind != failover && d.Object != "":
		complain("object", "is for the kinds observed, restore and failover")
	case seen && !doublestar.ValidatePattern(d.Object):
		complain("object", "%.80q is not a valid pattern", d.Object)
	}
	return errors.Join(append(errs, probes.At("run", d.validateRun()), probes.At("failover", d.validateFailover()))...)
}

// objectText is what can be failed over, in the words of the probe redundancy.
var objectText = regexp.MustCompile(`^(bond|team|multipath)/[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$`)

// margin is how long putting things back may take before the dead man does it.
const margin = 5 * time.Second

func (d *Drill) validateFailover() error {
	f := d.Failover
	if d.Kind != failover {
		if f.Allowed || f.Member != "" || f.Stay {
			return errors.New("is for the kind failover")
		}
		return nil
	}
	var errs []error
	if f.Hold < 0 {
		errs = append(errs, probes.At("hold", errors.New("must not be below 0")))
	}
	if least := time.Duration(f.Hold) + 2*margin; time.Duration(f.RestoreAfter) < least {
		errs = append(errs, probes.At("restore_after", fmt.Errorf("must be %s at least, which is hold and the time to switch twice, and not %s", least, f.RestoreAfter)))
	}
	network := !strings.HasPrefix(d.Object, "multipath/")
	if f.Stay && !network {
		errs = append(errs, probes.At("stay", errors.New("is for bonds and teams; a path always comes back")))
	}
	if network && len(d.Run.Check) == 0 {
		errs = append(errs, errors.New("needs run.check, a program that passes while the network works, such as [/usr/bin/ping, -c1, -W1, 192.0.2.1]: that a link is up does not say that anything arrives"))
	}
	return errors.Join(errs...)
}

// longest is how long a run of the drill may take, with putting things back.
func (d *Drill) longest() time.Duration {
	longest := time.Duration(d.Run.Timeout)
	if d.Kind == failover {
		longest = time.Duration(d.Failover.RestoreAfter)
	}
	return longest + time.Duration(d.Run.RecoverWithin) + checkTimeout + tolerance
}

func (d *Drill) validateRun() error {
	r := d.Run
	var errs []error
	for _, p := range []struct {
		key    string
		argv   []string
		kinds  []string
		wanted bool
	}{{"command", r.Command, []string{command}, d.Kind == command}, {"check", r.Check, []string{command, failover}, false}} {
		switch {
		case !slices.Contains(p.kinds, d.Kind) && len(p.argv) > 0:
			errs = append(errs, probes.At(p.key, fmt.Errorf("is for the kind %s", strings.Join(p.kinds, " and "))))
		case p.wanted && len(p.argv) == 0:
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

// Runs reports whether "drill run" carries the drill out.
func (d *Drill) Runs() bool { return d.Kind == command || d.Kind == failover }

// FailsOver reports whether the drill takes a member of its object out of use.
func (d *Drill) FailsOver() bool { return d.Kind == failover }

// Drill returns a drill of the configuration by its name.
func (c *Config) Drill(name string) (Drill, bool) {
	for _, d := range c.Drills {
		if d.Name == name {
			return d, true
		}
	}
	return Drill{}, false
}
