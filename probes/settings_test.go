package probes_test

import (
	"errors"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

func TestDefaultSettingsAreValidForEveryInterval(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 5 * time.Second, 5 * time.Minute, 24 * time.Hour} {
		s := probes.DefaultSettings(interval)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", interval, err)
		}
		if s.Age() != 3*interval {
			t.Errorf("%s: facts last %s, want three intervals", interval, s.Age())
		}
	}
}

func TestSettingsSayWhatIsWrongWithThem(t *testing.T) {
	minute := probes.Duration(time.Minute)
	for name, c := range map[string]struct {
		settings probes.Settings
		want     string
	}{
		"no interval":              {probes.Settings{Timeout: 1}, "interval: must be above 0, not 0s\ntimeout: must be above 0 and below the interval of 0s, not 0s"},
		"no timeout":               {probes.Settings{Interval: minute}, "timeout: must be above 0 and below the interval of 1m, not 0s"},
		"a timeout of an interval": {probes.Settings{Interval: minute, Timeout: minute}, "timeout: must be above 0 and below the interval of 1m, not 1m"},
		"facts that expire early":  {probes.Settings{Interval: minute, Timeout: minute / 2, MaxAge: minute / 2}, "max_age: must be at least the interval of 1m, not 30s"},
	} {
		err := c.settings.Validate()
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %q, want %q", name, err, c.want)
		}
	}
}

func TestDurationsAreThoseOfPrometheus(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "26h": 26 * time.Hour, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "0": 0, "15ms": 15 * time.Millisecond,
	} {
		var d probes.Duration
		if err := yaml.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: got %s, %v", text, d, err)
		}
		again, err := yaml.Marshal(d)
		if err != nil {
			t.Error(err)
		}
		var back probes.Duration
		if err := yaml.Unmarshal(again, &back); err != nil || back != d {
			t.Errorf("%s is written as %s, which is %s", text, again, back)
		}
	}
	for _, text := range []string{"5", "5 m", "-5m", "1.5h", "[5m]", "{}", "5m5h", "99999999999y"} {
		var d probes.Duration
		var complaint *yaml.TypeError
		if err := yaml.Unmarshal([]byte(text), &d); !errors.As(err, &complaint) {
			t.Errorf("%s: got %s and the error %v, want a complaint with a line", text, d, err)
		}
	}
}

func TestComplaintsKnowTheirPath(t *testing.T) {
	odd := errors.New("odd")
	for want, err := range map[string]error{
		"a: odd":               probes.At("a", odd),
		"a.b: odd":             probes.At("a", probes.At("b", odd)),
		"a[0].b: odd":          probes.At("a", probes.At("[0]", probes.At("b", odd))),
		"a.b: odd\na.c: odd":   probes.At("a", errors.Join(probes.At("b", odd), nil, probes.At("c", odd))),
		"a.b.c: odd\na.d: odd": probes.At("a", errors.Join(probes.At("b", errors.Join(probes.At("c", odd))), probes.At("d", odd))),
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if !errors.Is(err, odd) {
			t.Errorf("%q hides its cause", err)
		}
	}
	if probes.At("a", nil) != nil || probes.At("a", errors.Join(nil, nil)) != nil {
		t.Error("no complaint became one")
	}
}
