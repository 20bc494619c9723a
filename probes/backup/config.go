package backup

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Config is the section "backup" of the configuration file.
type Config struct {
	probes.Settings `yaml:",inline"`
	// What is backed up, and what is expected of the backups.
	Jobs []Job `yaml:"jobs"`
	// Directory for test restores; it is made if it is missing, and only the agent may use it. Empty means a directory of the agent's own state.
	Scratch string `yaml:"scratch"`
	// Time of the day in which backups are read and restored, such as "22:00-06:00" in the zone of the host; empty means always.
	Window Window `yaml:"window"`
	// Longest time that all checks together may take in 24 hours; 0 means no limit.
	TimePerDay probes.Duration `yaml:"time_per_day"`
	// Longest time that a single check may take.
	CheckTimeout probes.Duration `yaml:"check_timeout"`
}

// A Job is one thing that is backed up, to one place or to several.
type Job struct {
	// Name of the job; its object in metrics.
	Name string `yaml:"name"`
	// How it is backed up: one of the kinds in docs/backups.md, such as files, restic or pgbackrest.
	Kind string `yaml:"kind"`
	// Who is told of problems with it; empty means the owner of the probe.
	Owner       string `yaml:"owner"`
	job.Options `yaml:",inline"`
	// Recovery point objective: how old the data of the newest backup may be.
	RPO probes.Duration `yaml:"rpo"`
	// For pgbackrest, barman and walg: how old the archived log may be that a restore of the newest backup can reach; 0 means that it is not asked. A database that changes nothing archives nothing either, unless its archive_timeout is shorter than this.
	LogRPO probes.Duration `yaml:"log_rpo"`
	// How often at least a backup is checked, and how deeply.
	Verify Verify `yaml:"verify"`
	// How a test restore is done, and what must come of it.
	Restore Restore `yaml:"restore"`
	// Bounds of what is normal for size and count of files.
	Anomaly Anomaly `yaml:"anomaly"`
	// The places where it lies. Each has the keys of the job, unless it has its own. None means one place, with the keys of the job.
	Copies []Copy `yaml:"copies"`
	// How many copies must be fresh and not bad.
	Require Require `yaml:"require"`
}

// A Copy is one place where a backup lies.
type Copy struct {
	// Name of the copy in metrics.
	Name        string `yaml:"name"`
	job.Options `yaml:",inline"`
	// Kind of medium; empty means what the kind of the job knows of it.
	Media string `yaml:"media"`
	// Whether it is at another site.
	Offsite bool `yaml:"offsite"`
	// Whether nobody can change or delete it for as long as it is needed.
	Immutable bool `yaml:"immutable"`
}

// Verify says how old evidence may be. What is 0 is not done.
type Verify struct {
	// The newest backup is whole, by its form and by what its producer wrote; besides, each new backup is looked at once.
	Structure probes.Duration `yaml:"structure"`
	// Every byte of the newest backup was read, and every checksum compared.
	Read probes.Duration `yaml:"read"`
	// Every byte of all that is kept was read, the newest first.
	Cycle probes.Duration `yaml:"cycle"`
	// The newest backup was restored, and what came of it compared.
	Restored probes.Duration `yaml:"restored"`
	// A real engine has loaded what was restored.
	Loaded probes.Duration `yaml:"loaded"`
	// What was restored fulfils the assertions.
	Asserted probes.Duration `yaml:"asserted"`
	// Most that is read of a copy in 24 hours, such as 50GiB; 0 means no limit. What was begun is read to its end.
	BytesPerDay Size `yaml:"bytes_per_day"`
	// How long the verdict may be unknown before somebody is told.
	UnknownAfter probes.Duration `yaml:"unknown_after"`
}

// interval returns how old the evidence of a depth may be; 0: none is asked for.
func (v Verify) interval(d job.Depth) time.Duration {
	return time.Duration(map[job.Depth]probes.Duration{
		job.Structure: v.Structure, job.Read: v.Read, job.Restored: v.Restored, job.Loaded: v.Loaded, job.Asserted: v.Asserted,
	}[d])
}

// Restore says how a test restore is done.
type Restore struct {
	// Recovery time objective: how long a full restore may take; 0 means none.
	Objective probes.Duration `yaml:"objective"`
	// Directory that the backup was made of: files that have not changed since are compared with it.
	Source string `yaml:"source"`
	// How much is restored of a backup that is made of files, such as 1GiB; 0 means all of it. The time for all is extrapolated.
	Sample Size `yaml:"sample"`
	// For kinds that restore files, such as restic: patterns of the paths, relative to what is restored, of dumps of databases among them, such as "var/backups/*.sql.gz"; one without a slash is of names alone. They are loaded for verify.loaded and for queries, and each pattern must match one.
	Load []string `yaml:"load"`
	// What must hold of what was restored.
	Assert job.Assert `yaml:"assert"`
	// How much memory each process of the engine may have that loads what was restored, such as 4GiB; 0 means 1GiB. It is never more than three quarters of what the service may have (MemoryMax=).
	Memory Size `yaml:"memory"`
}

// Anomaly says what is normal. It is learnt from earlier backups of the same
// type, those of the same day of the week first.
type Anomaly struct {
	// How many backups must be known before anything is expected; 0 means that nothing ever is.
	After int `yaml:"after"`
	// Smallest deviation from the median that counts, as a share such as 50%.
	Tolerance Share `yaml:"tolerance"`
}

// Require says how many copies there must be. Copies on one disk or in one pool
// count once.
type Require struct {
	// Copies in all; 0 means as many as are declared, if that is more than one.
	Total int `yaml:"total"`
	// Kinds of media.
	Media int `yaml:"media"`
	// Copies at another site; 0 means as many as are declared.
	Offsite int `yaml:"offsite"`
	// Copies that nobody can change; 0 means as many as are declared.
	Immutable int `yaml:"immutable"`
}

func defaultConfig() *Config {
	return &Config{
		Settings:     probes.DefaultSettings(5 * time.Minute),
		TimePerDay:   probes.Duration(6 * time.Hour),
		CheckTimeout: probes.Duration(6 * time.Hour),
	}
}

// SetDefaults makes a job what it is where the configuration says nothing.
func (j *Job) SetDefaults() {
	const day = probes.Duration(24 * time.Hour)
	*j = Job{
		RPO:     probes.Duration(26 * time.Hour),
		Verify:  Verify{Structure: day, Read: 7 * day, Cycle: 30 * day, UnknownAfter: day},
		Anomaly: Anomaly{After: 5, Tolerance: Share{50}},
	}
}

// copies returns the places of a job, with all their keys.
func (j Job) copies() []Copy {
	if len(j.Copies) == 0 {
		return []Copy{{Name: "local", Options: j.Options}}
	}
	list := slices.Clone(j.Copies)
	for i := range list {
		list[i].Options = list[i].Over(j.Options)
	}
	return list
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}$`)

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{c.Settings.Validate()}
	if c.Scratch != "" && !filepath.IsAbs(c.Scratch) {
		errs = append(errs, probes.At("scratch", fmt.Errorf("%.80q is not an absolute path", c.Scratch)))
	}
	if c.CheckTimeout <= 0 {
		errs = append(errs, probes.At("check_timeout", fmt.Errorf("must be above 0, not %s", c.CheckTimeout)))
	}
	var names []string
	for i, j := range c.Jobs {
		err := j.validate()
		if slices.Contains(names, j.Name) && j.Name != "" {
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.40q is the name of an earlier job too", j.Name)))
		}
		names = append(names, j.Name)
		errs = append(errs, probes.At(fmt.Sprintf("jobs[%d]", i), err))
	}
	return errors.Join(errs...)
}

func (j Job) validate() error {
	var errs []error
	at := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	if !nameForm.MatchString(j.Name) {
		at("name", "%.40q must be letters, digits and ._:@+-, at most 100", j.Name)
	}
	if j.RPO <= 0 {
		at("rpo", "must be above 0, not %s", j.RPO)
	}
	if kind, known := kindOf(j.Kind); j.LogRPO < 0 || j.LogRPO > 0 && known && !kind.Log {
		at("log_rpo", "must not be below 0, and is for kinds that see a log: not %s of %.40q", j.LogRPO, j.Kind)
	}
	if j.Verify.UnknownAfter <= 0 {
		at("verify.unknown_after", "must be above 0, not %s", j.Verify.UnknownAfter)
	}
	if j.Anomaly.After < 0 || j.Anomaly.After > maxHistory {
		at("anomaly.after", "must be between 0 and %d, not %d", maxHistory, j.Anomaly.After)
	}
	if j.Restore.Source != "" && !filepath.IsAbs(j.Restore.Source) {
		at("restore.source", "%.80q is not an absolute path", j.Restore.Source)
	}
	for i, pattern := range append(slices.Clone(j.Restore.Assert.Required), j.Restore.Assert.Canary) {
		if !doublestar.ValidatePattern(pattern) {
			at(fmt.Sprintf("restore.assert.required[%d]", i), "%.80q is not a valid pattern", pattern)
		}
	}
	for i, q := range j.Restore.Assert.Queries {
		if err := q.Validate(); err != nil {
			errs = append(errs, probes.At(fmt.Sprintf("restore.assert.queries[%d]", i), err))
		}
	}
	kind, known := j.kind()
	if !known {
		at("kind", "%.40q is unknown; there are %s", j.Kind, strings.Join(kindNames(), ", "))
		return errors.Join(errs...)
	}
	for _, d := range []job.Depth{job.Restored, job.Loaded, job.Asserted} {
		switch {
		case j.Verify.interval(d) == 0 || slices.Contains(kind.Depths, d):
		case d == job.Loaded && kind.Trees:
			at("verify.loaded", "restore.load does not say which files the dumps are")
		default:
			at("verify."+string(d), "the kind %s cannot be checked so deeply", kind.Name)
		}
	}
	for i, pattern := range j.Restore.Load {
		if pattern == "" || !doublestar.ValidatePattern(pattern) {
			at(fmt.Sprintf("restore.load[%d]", i), "%.80q is not a valid pattern", pattern)
		}
	}
	if len(j.Restore.Load) > 0 && !kind.Trees {
		at("restore.load", "the kind %s restores no files among which there could be dumps", kind.Name)
	}
	if len(j.Restore.Assert.Queries) > 0 && !slices.Contains(kind.Depths, job.Loaded) {
		how := ""
		if kind.Trees {
			how = ": set restore.load"
		}
		at("restore.assert.queries", "nothing is loaded that could be asked%s", how)
	}
	if j.Verify.Asserted > 0 && j.Restore.Assert.None() {
		at("verify.asserted", "there is nothing under restore.assert")
	}
	return errors.Join(append(errs, j.validateCopies(kind))...)
}

func (j Job) validateCopies(kind job.Kind) error {
	if len(j.Copies) == 0 {
		return kind.Validate(j.Options)
	}
	var (
		errs  []error
		names []string
	)
	for i, c := range j.copies() {
		err := kind.Validate(c.Options)
		switch {
		case !nameForm.MatchString(c.Name):
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.40q must be letters, digits and ._:@+-, at most 100", c.Name)))
		case slices.Contains(names, c.Name):
			err = errors.Join(err, probes.At("name", fmt.Errorf("%.40q is the name of an earlier copy too", c.Name)))
		}
		names = append(names, c.Name)
		errs = append(errs, probes.At(fmt.Sprintf("copies[%d]", i), err))
	}
	return errors.Join(errs...)
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) { return newProbe(c, host), nil }

// A Size is a number of bytes, written like 50GiB or 500MB.
type Size int64

var sizeForm = regexp.MustCompile(`^([0-9]+)\s*([KMGTP]?)(i?)B?$`)

func parseSize(text string) (Size, error) {
	match := sizeForm.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%.40q is not a size; write it like 50GiB or 500MB", text)
	}
	n, err := strconv.ParseInt(match[1], 10, 64)
	base := int64(1000)
	if match[3] == "i" {
		base = 1024
	}
	exponent := 0
	if match[2] != "" {
		exponent = strings.Index(" KMGTP", match[2])
	}
	for range exponent {
		if n > (1<<62)/base {
			return 0, fmt.Errorf("%.40q is too large", text)
		}
		n *= base
	}
	return Size(n), err
}

// String writes the size as it can be read.
func (s Size) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for s != 0 && s%1024 == 0 && i < len(units)-1 {
		s /= 1024
		i++
	}
	if s == 0 {
		return "0"
	}
	return strconv.FormatInt(int64(s), 10) + units[i]
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// UnmarshalYAML reads a size.
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := parseSize(node.Value)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, err)}}
	}
	*s = parsed
	return nil
}

// A Share is a part of something in percent, written like 50%.
type Share struct{ Percent float64 }

// MarshalYAML writes the form that UnmarshalYAML reads.
func (s Share) MarshalYAML() (any, error) {
	return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%", nil
}

// UnmarshalYAML reads a share.
func (s *Share) UnmarshalYAML(node *yaml.Node) error {
	text, ok := strings.CutSuffix(node.Value, "%")
	percent, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || !(percent > 0 && percent <= 1000) {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %.40q is not a share like 50%%", node.Line, node.Value)}}
	}
	s.Percent = percent
	return nil
}

// A Window is a part of every day. The zero Window is all of it.
type Window struct {
	From, To int // minutes since midnight
	Set      bool
}

var windowForm = regexp.MustCompile(`^([0-2]?\d):([0-5]\d)\s*-\s*([0-2]?\d):([0-5]\d)$`)

// UnmarshalYAML reads a window.
func (w *Window) UnmarshalYAML(node *yaml.Node) error {
	if node.Value == "" {
		*w = Window{}
		return nil
	}
	match := windowForm.FindStringSubmatch(node.Value)
	var n [4]int
	for i := range n {
		if match != nil {
			n[i], _ = strconv.Atoi(match[i+1])
		}
	}
	if match == nil || n[0] > 23 || n[2] > 24 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %.40q is not a window like 22:00-06:00", node.Line, node.Value)}}
	}
	*w = Window{From: n[0]*60 + n[1], To: n[2]*60 + n[3], Set: true}
	return nil
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (w Window) MarshalYAML() (any, error) {
	if !w.Set {
		return "", nil
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60), nil
}

// contains reports whether an instant is inside.
func (w Window) contains(at time.Time) bool {
	minute := at.Hour()*60 + at.Minute()
	switch {
	case !w.Set || w.From == w.To:
		return true
	case w.From < w.To:
		return minute >= w.From && minute < w.To
	}
	return minute >= w.From || minute < w.To
}
