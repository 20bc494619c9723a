package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// explainCommand shows the evidence behind one object.
type explainCommand struct {
	probe, object string
	full          bool
}

func (c *explainCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("explain", "Show what a probe knows of one object, and what follows from it.")
	clause.Arg("probe", "The probe.").Required().StringVar(&c.probe)
	clause.Arg("object", "The object, or any part that only it has; of the probe patch also a package. Without one, the objects are listed.").StringVar(&c.object)
	clause.Flag("full", "Also do what is slow, such as reading backups and restoring them for a test.").BoolVar(&c.full)
	return clause
}

func (c *explainCommand) run(ctx context.Context, e *environment) error {
	memory, err := e.copyState(c.probe)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(memory) }() // a copy, in the directory for such things
	l, err := newLookFrom(e, []string{c.probe}, memory, c.full)
	if err != nil {
		return err
	}
	if !l.entries[0].Settings.Enabled {
		return fmt.Errorf("the probe %s is switched off by the configuration", c.probe)
	}
	result, err := l.run(ctx)
	if err != nil {
		return err
	}
	report := result.Snapshot.Reports[c.probe]
	objects := known(report)
	if c.object == "" {
		for _, object := range objects {
			fmt.Fprintln(e.stdout, object)
		}
		return nil
	}
	if namer, ok := l.entries[0].Probe.(probes.Namer); ok {
		objects = append(objects, namer.Names()...)
	}
	object, err := pick(objects, c.object)
	if err != nil {
		return err
	}
	return l.explain(ctx, e, result, object)
}

// copyState copies what probes of the running agent remember into a directory of
// its own, so that a look can say since when, and what was there before. What
// cannot be read is not known.
func (e *environment) copyState(names ...string) (string, error) {
	copied, err := os.MkdirTemp("", "hygiene_exporter")
	if err != nil || e.stateDir() == "" {
		return copied, err
	}
	for _, name := range names {
		for _, file := range []string{name + ".json", name + ".previous.json"} {
			file = filepath.Base(file)
			data, err := os.ReadFile(filepath.Join(e.stateDir(), file))
			if err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(copied, file), data, 0o600); err != nil {
				return copied, errors.Join(err, os.RemoveAll(copied))
			}
		}
	}
	return copied, nil
}

// known lists everything that a report speaks of.
func known(report *collector.Report) []string {
	var objects []string
	for _, sample := range report.Samples {
		objects = append(objects, sample.Object())
	}
	for _, fault := range report.Faults {
		objects = append(objects, fault.Object)
	}
	slices.Sort(objects)
	return slices.Compact(objects)
}

// pick returns the one object that is, or contains, what was asked for.
func pick(objects []string, part string) (string, error) {
	if slices.Contains(objects, part) {
		return part, nil
	}
	var fit []string
	for _, object := range objects {
		if strings.Contains(object, part) {
			fit = append(fit, object)
		}
	}
	if len(fit) == 0 {
		fit = inPieces(objects, part)
	}
	switch len(fit) {
	case 1:
		return fit[0], nil
	case 0:
		return "", fmt.Errorf("no object contains %.80q; list them by naming none", part)
	}
	shown := fit[:min(len(fit), 10)]
	return "", fmt.Errorf("%d objects contain %.80q:\n  %s", len(fit), part, strings.Join(shown, "\n  "))
}

// inPieces returns the objects in which all pieces of what was asked for stand
// in their order, as words of their own: tcp/8080 means tcp/wildcard:8080@app.
func inPieces(objects []string, part string) []string {
	var pieces []string
	for piece := range strings.FieldsFuncSeq(part, func(r rune) bool { return strings.ContainsRune("/:@ ", r) }) {
		pieces = append(pieces, `\b`+regexp.QuoteMeta(piece)+`\b`)
	}
	words, err := regexp.Compile(strings.Join(pieces, ".*"))
	if err != nil || len(pieces) == 0 {
		return nil
	}
	return slices.Collect(func(yield func(string) bool) {
		for _, object := range objects {
			if words.MatchString(object) && !yield(object) {
				return
			}
		}
	})
}

func (l *look) explain(ctx context.Context, e *environment, result judged, object string) error {
	entry := l.entries[0]
	fmt.Fprintf(e.stdout, "%s  %s\n\n", entry.Spec.Name, object)
	if explainer, ok := entry.Probe.(probes.Explainer); ok {
		text, err := explainer.Explain(ctx, object)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s\n", text)
	}
	header := "Facts:\n"
	for _, sample := range result.Snapshot.Reports[entry.Spec.Name].Samples {
		if sample.Object() == object || slices.Contains(sample.Labels, object) {
			fmt.Fprintf(e.stdout, "%s  %s\n", header, factLine(sample))
			header = ""
		}
	}
	for _, u := range result.Unknown {
		if u.Object == object {
			fmt.Fprintf(e.stdout, "\nCould not be inspected: %s: %s\n", u.Reason, u.Error)
		}
	}
	for _, f := range result.Findings {
		if f.Object == object {
			fmt.Fprintf(e.stdout, "\n%s %s: %s\n  %s\n  %s\n", strings.ToUpper(f.Severity), f.Check, f.Text.Summary, f.Description, f.Action)
		}
	}
	for _, a := range result.Accepted {
		if a.Object == object {
			fmt.Fprintf(e.stdout, "\nACCEPTED %s: %s\n  %s\n", a.Check, a.Summary, a.why())
		}
	}
	return e.explainTelling(ctx, entry.Spec.Name, object)
}

// factLine prints a sample as Prometheus would, but an instant as a date.
func factLine(sample probes.Sample) string {
	var labels []string
	for i, name := range sample.Metric.Labels {
		if name != probes.LabelObject && sample.Labels[i] != "" {
			labels = append(labels, fmt.Sprintf("%s=%q", name, sample.Labels[i]))
		}
	}
	line := sample.Metric.Name
	if len(labels) > 0 {
		line += "{" + strings.Join(labels, ",") + "}"
	}
	if strings.HasSuffix(sample.Metric.Name, "_timestamp_seconds") {
		return line + "  " + time.Unix(int64(sample.Value), 0).Format("2006-01-02 15:04:05 MST")
	}
	return line + "  " + strconv.FormatFloat(sample.Value, 'f', -1, 64)
}
