package probes

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// Settings are the keys that every probe section has. A probe's own Config
// embeds them inline.
type Settings struct {
	// Whether the probe runs at all.
	Enabled bool `yaml:"enabled"`
	// Time from the start of one run to the start of the next.
	Interval Duration `yaml:"interval"`
	// Time after which a run is given up; below the interval.
	Timeout Duration `yaml:"timeout"`
	// How long the last good facts stay in force when a run fails; 0 means three intervals.
	MaxAge Duration `yaml:"max_age"`
	// Who is told, unless something more specific names an owner; empty means the owner of the whole file.
	Owner string `yaml:"owner"`
}

// DefaultSettings returns the settings of an enabled probe with this interval
// and a timeout of half of it, at most a minute.
func DefaultSettings(interval time.Duration) Settings {
	return Settings{
		Enabled:  true,
		Interval: Duration(interval),
		Timeout:  Duration(min(interval/2, time.Minute)),
	}
}

// A Defaulter is an item of a list of a section that has defaults of its own. It
// is decoded over them.
type Defaulter interface {
	SetDefaults()
}

// Common returns the settings themselves, so that embedding them makes a part
// of a Config.
func (s *Settings) Common() *Settings { return s }

// Age returns how long the last good facts stay in force.
func (s *Settings) Age() time.Duration {
	if s.MaxAge > 0 {
		return time.Duration(s.MaxAge)
	}
	return 3 * time.Duration(s.Interval)
}

// Validate reports what is wrong with the settings.
func (s *Settings) Validate() error {
	var errs []error
	if s.Interval <= 0 {
		errs = append(errs, At("interval", fmt.Errorf("must be above 0, not %s", s.Interval)))
	}
	if s.Timeout <= 0 || s.Timeout >= s.Interval {
		errs = append(errs, At("timeout", fmt.Errorf("must be above 0 and below the interval of %s, not %s", s.Interval, s.Timeout)))
	}
	if s.MaxAge != 0 && s.MaxAge < s.Interval {
		errs = append(errs, At("max_age", fmt.Errorf("must be at least the interval of %s, not %s", s.Interval, s.MaxAge)))
	}
	return errors.Join(errs...)
}

// A Duration is a time span in the syntax of Prometheus: 30s, 5m, 1h30m, 26h,
// 7d, 2w.
type Duration time.Duration

// ParseDuration reads a duration in the syntax of Prometheus.
func ParseDuration(text string) (Duration, error) {
	parsed, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a duration; write it like 30s, 5m, 26h or 7d", text)
	}
	return Duration(parsed), nil
}

// String prints the duration as Prometheus does.
func (d Duration) String() string { return model.Duration(d).String() }

// MarshalYAML prints the duration as Prometheus does.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// UnmarshalYAML reads a scalar. The error names the line, and decoding goes on
// behind it, so that all mistakes of a file are reported at once.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := ParseDuration(node.Value)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, err)}}
	}
	*d = parsed
	return nil
}

// A FieldError is a complaint about one key of a configuration section.
type FieldError struct {
	Path string // such as "sources[0].paths", relative to the section
	Err  error
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// At says where in its section a complaint belongs. A nil err stays nil, joined
// errors are placed one by one, and paths nest: At("a", At("b", err)) is a
// complaint about a.b.
func At(path string, err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range joined.Unwrap() {
			errs = append(errs, At(path, one))
		}
		return errors.Join(errs...)
	}
	// Only a complaint that is not wrapped itself has a path to go on from.
	if inner, ok := err.(*FieldError); ok { //nolint:errorlint
		separator := "."
		if len(inner.Path) > 0 && inner.Path[0] == '[' {
			separator = ""
		}
		return &FieldError{Path: path + separator + inner.Path, Err: inner.Err}
	}
	return &FieldError{Path: path, Err: err}
}
