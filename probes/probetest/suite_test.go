package probetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/all"
)

func TestEveryProbeConforms(t *testing.T) {
	for _, spec := range all.Specs() {
		t.Run(spec.Name, func(t *testing.T) { Run(t, spec, Options{}) })
	}
}

// recorder is a T that only notes what was said.
type recorder struct {
	*testing.T
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

var fine = &probes.Metric{Name: "hygiene_x_things", Help: "Things of the test.", Labels: []string{"object"}}

// section is the configuration of a probe of the test.
type section struct {
	probes.Settings `yaml:",inline"`
	Limit           int `yaml:"limit"`

	run     func(context.Context, probes.Host) (probes.Result, error)
	onBuild func(probes.Host)
}

func (s *section) New(h probes.Host) (probes.Probe, error) {
	if s.onBuild != nil {
		s.onBuild(h)
	}
	return probe{s, h}, nil
}

type probe struct {
	*section
	host probes.Host
}

func (p probe) Run(ctx context.Context) (probes.Result, error) { return p.run(ctx, p.host) }

func good(_ context.Context, h probes.Host) (r probes.Result, err error) {
	var saved int
	if _, err := h.State.Load(1, &saved); err != nil {
		r.Fault("a", err)
		return r, nil
	}
	r.Add(fine, 1, "a")
	return r, h.State.Save(1, 1)
}

// spec is a good one, as changed.
func spec(change func(s *probes.Spec, c *section)) probes.Spec {
	s := probes.Spec{Name: "x", Summary: "A probe of the test.", Metrics: []*probes.Metric{fine}}
	shape := section{Settings: probes.DefaultSettings(time.Minute), run: good}
	change(&s, &shape)
	if s.Config == nil {
		s.Config = func() probes.Config { fresh := shape; return &fresh }
	}
	return s
}

func verdict(t *testing.T, s probes.Spec) []string {
	r := &recorder{T: t}
	for _, c := range checks() {
		c.run(r, s, Options{})
	}
	return r.said
}

func TestAGoodProbePasses(t *testing.T) {
	if said := verdict(t, spec(func(*probes.Spec, *section) {})); len(said) > 0 {
		t.Errorf("the suite complains: %q", said)
	}
}

// Each way to break the contract is noticed.
func TestEveryBreachIsNoticed(t *testing.T) {
	metric := func(change func(m *probes.Metric)) func(*probes.Spec, *section) {
		return func(s *probes.Spec, _ *section) {
			broken := *fine
			change(&broken)
			s.Metrics = append(s.Metrics, &broken)
			broken.Name = strings.Replace(broken.Name, "things", "others", 1)
		}
	}
	result := func(add func(r *probes.Result)) func(*probes.Spec, *section) {
		return func(_ *probes.Spec, c *section) {
			c.run = func(ctx context.Context, h probes.Host) (probes.Result, error) {
				r, err := good(ctx, h)
				add(&r)
				return r, err
			}
		}
	}
	command := func(c probes.Command) func(*probes.Spec, *section) {
		return func(s *probes.Spec, _ *section) { s.Commands = []probes.Command{c} }
	}
	word := []*regexp.Regexp{regexp.MustCompile(`^[a-z]+$`)}
	runs := 0
	for want, breach := range map[string]func(*probes.Spec, *section){
		"does not begin with hygiene_x_":    metric(func(m *probes.Metric) { m.Name = "hygiene_y_things" }),
		"counters end in _total":            metric(func(m *probes.Metric) { m.Name = "hygiene_x_things_total" }),
		"is no base unit":                   metric(func(m *probes.Metric) { m.Name = "hygiene_x_things_days" }),
		"instants end in":                   metric(func(m *probes.Metric) { m.Name = "hygiene_x_things_timestamp" }),
		"the help is no sentence":           metric(func(m *probes.Metric) { m.Help = "Things" }),
		`the label "job" is reserved`:       metric(func(m *probes.Metric) { m.Labels = []string{"job"} }),
		`the label "Object" is not`:         metric(func(m *probes.Metric) { m.Labels = []string{"Object"} }),
		`the label "object" is there twice`: metric(func(m *probes.Metric) { m.Labels = []string{"object", "object"} }),
		"a member without an object":        metric(func(m *probes.Metric) { m.Labels = []string{"member"} }),
		`values of "kind"`:                  metric(func(m *probes.Metric) { m.Values = map[string][]string{"kind": {"a"}} }),
		"is declared twice":                 func(s *probes.Spec, _ *section) { s.Metrics = append(s.Metrics, fine) },
		"is no word in lower case":          func(s *probes.Spec, _ *section) { s.Name = "X y" },
		"the summary":                       func(s *probes.Spec, _ *section) { s.Summary = "none" },
		"the defaults are refused":          func(_ *probes.Spec, c *section) { c.Interval = 0 },
		"two configurations are the same": func(s *probes.Spec, c *section) {
			one := *c
			s.Config = func() probes.Config { return &one }
		},
		"New asked the host": func(_ *probes.Spec, c *section) {
			c.onBuild = func(h probes.Host) { _, _ = h.State.Load(1, new(int)) }
		},
		"Run panics": result(func(*probes.Result) { panic("a bug") }),
		"Run on a host without anything": func(_ *probes.Spec, c *section) {
			c.run = func(context.Context, probes.Host) (probes.Result, error) { return probes.Result{}, errors.New("odd") }
		},
		"the run reports no fault": func(_ *probes.Spec, c *section) {
			c.run = func(_ context.Context, h probes.Host) (r probes.Result, err error) {
				_, _ = h.State.Load(1, new(int))
				return r, nil
			}
		},
		"taken for one that has nothing": func(_ *probes.Spec, c *section) {
			c.run = func(context.Context, probes.Host) (probes.Result, error) {
				return probes.Result{}, probes.ErrNotApplicable
			}
		},
		"Run goes on after": func(_ *probes.Spec, c *section) {
			c.run = func(ctx context.Context, h probes.Host) (probes.Result, error) {
				if ctx.Err() != nil {
					time.Sleep(hurry + time.Second)
				}
				return good(ctx, h)
			}
		},
		"the facts changed": result(func(r *probes.Result) { runs++; r.Add(fine, 1, fmt.Sprint(runs)) }),
		"is not declared":   result(func(r *probes.Result) { r.Add(&probes.Metric{Name: "hygiene_x_z"}, 1) }),
		"has 2 labels":      result(func(r *probes.Result) { r.Add(fine, 1, "b", "c") }),
		"is there twice":    result(func(r *probes.Result) { r.Add(fine, 1, "b"); r.Add(fine, 1, "b") }),
		"is not a number":   result(func(r *probes.Result) { r.Add(fine, math.NaN(), "b") }),
		"the fault":         result(func(r *probes.Result) { r.Fault("", errors.New("x")) }),
		"is gone, and has":  result(func(r *probes.Result) { r.Gone("a") }),
		"the entry":         command(probes.Command{Argv: []string{"a"}, Help: "A."}),
		"must be fixed":     command(probes.Command{Entry: "e", Argv: []string{"{0}"}, Help: "A.", Objects: word}),
		"e: the help":       command(probes.Command{Entry: "e", Argv: []string{"a"}}),
		"is not used":       command(probes.Command{Entry: "e", Argv: []string{"a"}, Help: "A.", Objects: word}),
		"objects are used":  command(probes.Command{Entry: "e", Argv: []string{"a", "{0}"}, Help: "A."}),
		`may be "-rf"`:      command(probes.Command{Entry: "e", Argv: []string{"a", "{0}"}, Help: "A.", Objects: []*regexp.Regexp{regexp.MustCompile(`.*`)}}),
	} {
		t.Run(want, func(t *testing.T) {
			said := verdict(t, spec(breach))
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("the suite says %q", said)
			}
		})
	}
}
