// Package probetest holds what every probe must pass. It promises that a probe
// that passes keeps the contract of the package probes on hosts that are empty,
// broken or in a hurry, and not only on the one of its author.
package probetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
)

// T is what the suite needs of a test.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	TempDir() string
}

// Options fit the suite to a probe.
type Options struct {
	// Prepare puts something to inspect below the root of a host.
	Prepare func(root string) error
	// Programs answers the commands of the probe, by entry.
	Programs map[string]probes.Output
}

// A check is one part of the suite.
type check struct {
	name string
	run  func(t T, spec probes.Spec, o Options)
}

func checks() []check {
	return []check{
		{"metrics are named and described by the rules", checkMetrics},
		{"the configuration has defaults that are valid and its own", checkConfig},
		{"commands say only what was declared", checkCommands},
		{"construction touches nothing", checkConstruction},
		{"an empty host is no catastrophe", checkEmptyHost},
		{"a broken host is not taken for a good one", checkBrokenHost},
		{"a cancelled run ends", checkCancelled},
		{"an unchanged host gives the same facts", checkStable},
	}
}

// Run checks a probe.
func Run(t *testing.T, spec probes.Spec, o Options) {
	t.Helper()
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) { c.run(t, spec, o) })
	}
}

// world returns a host with what the options put on it.
func world(t T, o Options) *World {
	t.Helper()
	w := &World{Root: t.TempDir(), Programs: o.Programs}
	if o.Prepare != nil {
		if err := o.Prepare(w.Root); err != nil {
			t.Errorf("preparing the host: %v", err)
		}
	}
	return w
}

// build makes a probe of the default configuration.
func build(t T, spec probes.Spec, w *World) probes.Probe {
	t.Helper()
	probe, err := spec.Config().New(w.Host())
	if err != nil || probe == nil {
		t.Errorf("New: %v, %v", probe, err)
		return nil
	}
	return probe
}

// run runs a probe and checks that the result is valid. A panic is an error.
func run(ctx context.Context, t T, spec probes.Spec, probe probes.Probe) (result probes.Result, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("Run panics: %v", p)
		}
	}()
	result, err = probe.Run(ctx)
	if err == nil {
		checkResult(t, spec, result)
	}
	return result, err
}

// checkResult checks a result against what the Spec declares.
func checkResult(t T, spec probes.Spec, r probes.Result) {
	t.Helper()
	seen := map[string]bool{}
	for _, s := range r.Samples {
		series := line(s)
		switch {
		case !slices.Contains(spec.Metrics, s.Metric):
			t.Errorf("%s is not declared", series)
		case len(s.Labels) != len(s.Metric.Labels):
			t.Errorf("%s has %d labels, and %d are declared", series, len(s.Labels), len(s.Metric.Labels))
		case seen[series]:
			t.Errorf("%s is there twice", series)
		case s.Value != s.Value: //nolint:staticcheck // this is how NaN is told
			t.Errorf("%s is not a number; unknown is absent", series)
		}
		seen[series] = true
		for i, value := range s.Labels {
			name := s.Metric.Labels[i]
			if set := s.Metric.Values[name]; set != nil && !slices.Contains(set, value) {
				t.Errorf("%s: %q is not a declared value of %s", series, value, name)
			}
		}
	}
	for _, fault := range r.Faults {
		if fault.Object == "" || fault.Err == nil || !slices.Contains(probes.Reasons(), fault.Reason) {
			t.Errorf("the fault %+v lacks an object, an error or a reason", fault)
		}
	}
	for _, object := range r.Removed {
		if slices.ContainsFunc(r.Samples, func(s probes.Sample) bool { return s.Object() == object }) {
			t.Errorf("%s is gone, and has facts", object)
		}
	}
}

// line prints a series.
func line(s probes.Sample) string {
	var labels []string
	for i, value := range s.Labels {
		labels = append(labels, fmt.Sprintf("%s=%q", s.Metric.Labels[min(i, len(s.Metric.Labels)-1)], value))
	}
	return s.Metric.Name + "{" + strings.Join(labels, ",") + "}"
}

func checkConstruction(t T, spec probes.Spec, o Options) {
	w := world(t, o)
	if build(t, spec, w); w.Asked() > 0 {
		t.Errorf("New asked the host %d times", w.Asked())
	}
}

func checkEmptyHost(t T, spec probes.Spec, _ Options) {
	w := &World{Root: t.TempDir()}
	probe := build(t, spec, w)
	if probe == nil {
		return
	}
	if _, err := run(context.Background(), t, spec, probe); err != nil && !errors.Is(err, probes.ErrNotApplicable) {
		t.Errorf("Run on a host without anything: %v", err)
	}
}

func checkBrokenHost(t T, spec probes.Spec, o Options) {
	w := world(t, o)
	probe := build(t, spec, w)
	if probe == nil {
		return
	}
	w.Broken = errors.New("nothing works today")
	result, err := run(context.Background(), t, spec, probe)
	if err == nil && w.Asked() > 0 && len(result.Faults) == 0 {
		t.Errorf("everything but files failed, and the run reports no fault")
	}
	if errors.Is(err, probes.ErrNotApplicable) {
		t.Errorf("a host that cannot be asked is taken for one that has nothing")
	}
}

// hurry is how soon a run must end after its context.
const hurry = 5 * time.Second

func checkCancelled(t T, spec probes.Spec, o Options) {
	probe := build(t, spec, world(t, o))
	if probe == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = run(ctx, t, spec, probe) // that it ends is what matters
	}()
	select {
	case <-done:
	case <-time.After(hurry):
		t.Errorf("Run goes on after its context has ended")
	}
}

func checkStable(t T, spec probes.Spec, o Options) {
	w := world(t, o)
	probe := build(t, spec, w)
	if probe == nil {
		return
	}
	first, err := run(context.Background(), t, spec, probe)
	if err != nil {
		if !errors.Is(err, probes.ErrNotApplicable) {
			t.Errorf("Run: %v", err)
		}
		return
	}
	compare := func(when string, probe probes.Probe) {
		if probe == nil {
			return
		}
		again, err := run(context.Background(), t, spec, probe)
		if err != nil {
			t.Errorf("Run %s: %v", when, err)
			return
		}
		if a, b := summary(first), summary(again); !slices.Equal(a, b) {
			t.Errorf("the facts changed %s:\n%q\n%q", when, a, b)
		}
		if explainer, ok := probe.(probes.Explainer); ok {
			checkExplain(t, explainer, again)
		}
	}
	compare("from one run to the next", probe)
	compare("over a restart", build(t, spec, w))
}

// summary lists what a result says, without values that may change.
func summary(r probes.Result) []string {
	var lines []string
	for _, s := range r.Samples {
		lines = append(lines, line(s))
	}
	for _, f := range r.Faults {
		lines = append(lines, fmt.Sprintf("fault %s %s", f.Object, f.Reason))
	}
	for _, object := range r.Removed {
		lines = append(lines, "gone "+object)
	}
	slices.Sort(lines)
	return lines
}

func checkExplain(t T, explainer probes.Explainer, r probes.Result) {
	t.Helper()
	explained := map[string]bool{}
	for _, s := range r.Samples {
		object := s.Object()
		if explained[object] || object == probes.HostObject {
			continue
		}
		explained[object] = true
		text, err := explainer.Explain(context.Background(), object)
		if err != nil || !strings.HasSuffix(text, "\n") {
			t.Errorf("Explain(%q) = %q, %v; want text that ends with a line", object, text, err)
		}
	}
}
