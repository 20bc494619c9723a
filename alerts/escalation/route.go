package escalation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// A remoteConfig is what we read of the configuration of an Alertmanager,
// whatever else is in it.
type remoteConfig struct {
	Route     *route           `yaml:"route"`
	Inhibit   []inhibition     `yaml:"inhibit_rules"`
	Receivers []map[string]any `yaml:"receivers"`
}

// A route is a node of the routing tree.
type route struct {
	conditions `yaml:",inline"`
	Receiver   string   `yaml:"receiver"`
	GroupBy    []string `yaml:"group_by"`
	Continue   bool     `yaml:"continue"`
	Wait       string   `yaml:"group_wait"`
	Interval   string   `yaml:"group_interval"`
	Repeat     string   `yaml:"repeat_interval"`
	Mute       []string `yaml:"mute_time_intervals"`
	Active     []string `yaml:"active_time_intervals"`
	Routes     []*route `yaml:"routes"`
}

// conditions are the three ways in which a route says what it takes.
type conditions struct {
	Matchers []string          `yaml:"matchers"`
	Match    map[string]string `yaml:"match"`
	MatchRE  map[string]string `yaml:"match_re"`

	all matchers
}

func (c *conditions) compile() error {
	all, err := compile(c.Matchers, c.Match, c.MatchRE)
	c.all = all
	return err
}

func compile(lines []string, equal, expr map[string]string) (matchers, error) {
	var all matchers
	var errs []error
	add := func(ms matchers, err error) {
		all, errs = append(all, ms...), append(errs, err)
	}
	for _, line := range lines {
		add(parseMatchers(line))
	}
	for _, label := range slices.Sorted(maps.Keys(equal)) {
		m, err := newMatcher(label, "=", equal[label])
		add(matchers{m}, err)
	}
	for _, label := range slices.Sorted(maps.Keys(expr)) {
		m, err := newMatcher(label, "=~", expr[label])
		add(matchers{m}, err)
	}
	return all, errors.Join(errs...)
}

// inherit compiles the tree below and hands down what a route does not say.
// Time intervals are not inherited, as in Alertmanager.
func (r *route) inherit(parent *route) error {
	if parent != nil {
		if r.Receiver == "" {
			r.Receiver = parent.Receiver
		}
		if r.GroupBy == nil {
			r.GroupBy = parent.GroupBy
		}
		if r.Interval == "" {
			r.Interval = parent.Interval
		}
		if r.Repeat == "" {
			r.Repeat = parent.Repeat
		}
	}
	errs := []error{r.compile()}
	for _, child := range r.Routes {
		if child == nil {
			errs = append(errs, errors.New("an empty route"))
			continue
		}
		errs = append(errs, child.inherit(r))
	}
	return errors.Join(errs...)
}

// find returns the routes that take an alert: in each level the first that
// matches and those behind it while they continue, else the level above.
func (r *route) find(labels map[string]string) []*route {
	if !r.all.match(labels) {
		return nil
	}
	var found []*route
	for _, child := range r.Routes {
		below := child.find(labels)
		found = append(found, below...)
		if len(below) > 0 && !child.Continue {
			break
		}
	}
	if len(found) == 0 {
		found = append(found, r)
	}
	return found
}

// beat returns the time between two notifications of something that keeps
// firing: the repeat interval, but never less than the group interval.
func (r *route) beat() (time.Duration, error) {
	interval, repeat := 5*time.Minute, 4*time.Hour
	for text, into := range map[string]*time.Duration{r.Interval: &interval, r.Repeat: &repeat} {
		if text == "" {
			continue
		}
		parsed, err := model.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("the interval %.40q: %w", text, err)
		}
		*into = time.Duration(parsed)
	}
	return max(interval, repeat), nil
}

// An inhibition mutes its targets while a source fires whose labels are equal.
type inhibition struct {
	SourceMatchers []string          `yaml:"source_matchers"`
	SourceMatch    map[string]string `yaml:"source_match"`
	SourceMatchRE  map[string]string `yaml:"source_match_re"`
	TargetMatchers []string          `yaml:"target_matchers"`
	TargetMatch    map[string]string `yaml:"target_match"`
	TargetMatchRE  map[string]string `yaml:"target_match_re"`
	Equal          []string          `yaml:"equal"`

	source, target matchers
}

func (i *inhibition) compile() error {
	source, sourceErr := compile(i.SourceMatchers, i.SourceMatch, i.SourceMatchRE)
	target, targetErr := compile(i.TargetMatchers, i.TargetMatch, i.TargetMatchRE)
	i.source, i.target = source, target
	return errors.Join(sourceErr, targetErr)
}

// mutes reports whether the source mutes the target. A label that both lack is
// equal, as in Alertmanager.
func (i *inhibition) mutes(source, target map[string]string) bool {
	if !i.source.match(source) || !i.target.match(target) {
		return false
	}
	for _, label := range i.Equal {
		if source[label] != target[label] {
			return false
		}
	}
	return true
}

// parseRemote reads a configuration of Alertmanager as far as it matters here.
func parseRemote(data []byte) (*remoteConfig, error) {
	var config remoteConfig
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("the configuration of Alertmanager: %w", err)
	}
	if config.Route == nil {
		return nil, errors.New("the configuration of Alertmanager has no route")
	}
	errs := []error{config.Route.inherit(nil)}
	for n := range config.Inhibit {
		if err := config.Inhibit[n].compile(); err != nil {
			errs = append(errs, fmt.Errorf("inhibit_rules[%d]: %w", n, err))
		}
	}
	return &config, errors.Join(errs...)
}
