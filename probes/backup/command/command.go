// Package command is the kind of backup that a program of the site reports, for
// everything that has no kind of its own.
//
// The program is called as "PROGRAM look DATASET" and "PROGRAM check DEPTH POINT
// DATASET", and prints one JSON document: a Report or a Verdict. A status other
// than 0 means that it could not tell.
package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A Report is what the program prints when it is told to look.
type Report struct {
	Points []struct {
		ID    string    `json:"id"`
		Time  time.Time `json:"time"`
		Type  string    `json:"type"`
		Size  *int64    `json:"size"`
		Files *int64    `json:"files"`
		Units []string  `json:"units"`
	} `json:"points"`
	Units []struct {
		ID    string `json:"id"`
		Bytes int64  `json:"bytes"`
		Stamp string `json:"stamp"`
	} `json:"units"`
	Evidence []struct {
		Depth job.Depth `json:"depth"`
		Time  time.Time `json:"time"`
	} `json:"evidence"`
	Busy           string    `json:"busy"`
	Devices        []string  `json:"devices"`
	Media          string    `json:"media"`
	ImmutableUntil time.Time `json:"immutable_until"`
	// Verdict, when it is there, says why nothing or not all could be seen, or
	// that it is bad.
	Verdict *Verdict `json:"verdict"`
}

// A Verdict is what the program prints when it is told to check.
type Verdict struct {
	Verdict       job.Verdict        `json:"verdict"`
	Reason        string             `json:"reason"`
	Detail        string             `json:"detail"`
	Reached       []job.Depth        `json:"reached"`
	Units         map[string]Verdict `json:"units"`
	Bytes         int64              `json:"bytes"`
	Size          *int64             `json:"size"`
	Files         *int64             `json:"files"`
	Seconds       float64            `json:"seconds"`
	RestoredBytes int64              `json:"restored_bytes"`
	Tools         []job.Tool         `json:"tools"`
	Notes         []string           `json:"notes"`
}

// Kind describes the kind.
func Kind() job.Kind {
	program, word := regexp.MustCompile(`/[^\x00\n]*`), regexp.MustCompile(`[^-\x00\n][^\x00\n]*`)
	return job.Kind{
		Name:    "command",
		Summary: "Whatever a program of the site reports as JSON.",
		Keys:    []string{"command", "dataset"},
		Needs:   []string{"command"},
		Depths:  job.Depths(),
		Commands: []probes.Command{
			{
				Entry: "report-look", Argv: []string{"env", "--", "{0}", "look", "{1}"}, Objects: []*regexp.Regexp{program, word},
				Help: "A program of the configuration, which says what backups there are.",
			},
			{
				Entry: "report-check", Argv: []string{"env", "--", "{0}", "check", "{1}", "{2}", "{3}"}, Objects: []*regexp.Regexp{program, word, word, word},
				Help: "The same program, which checks a backup.",
			},
		},
		Check: func(o job.Options) error {
			if o.Command != "" && !filepath.IsAbs(o.Command) {
				return probes.At("command", fmt.Errorf("%.80q is not an absolute path", o.Command))
			}
			return nil
		},
		Open: func(host probes.Host, o job.Options) job.Copy { return &reported{host.Commands, o} },
	}
}

type reported struct {
	commands probes.Commands
	options  job.Options
}

func (r *reported) dataset() string { return cmp.Or(r.options.Dataset, "default") }

// Look asks the program what there is.
func (r *reported) Look(ctx context.Context) (job.Sight, error) {
	out, err := r.commands.Run(ctx, "report-look", r.options.Command, r.dataset())
	if err == nil {
		err = failed(out)
	}
	if err != nil {
		return job.Sight{}, err
	}
	return parseReport(out.Stdout)
}

// Check asks the program to check.
func (r *reported) Check(ctx context.Context, task job.Task) job.Outcome {
	out, err := r.commands.Run(ctx, "report-check", r.options.Command, string(task.Depth), cmp.Or(task.Point.ID, "all"), r.dataset())
	if err == nil {
		err = failed(out)
	}
	if err != nil {
		return job.Outcome{Err: err}
	}
	return parseVerdict(out.Stdout)
}

// failed says why a program that has ended told nothing. What it wrote to
// stderr may hold a secret, and is not repeated.
func failed(out probes.Output) error {
	switch out.ExitCode {
	case 0:
		return nil
	case 126:
		return probes.Because(probes.PermissionDenied, errors.New("the program cannot be executed"))
	case 127:
		return probes.Because(probes.NotFound, errors.New("there is no such program"))
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("the program ended with the status %d", out.ExitCode))
}

// decode reads one document strictly.
func decode(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return probes.Because(probes.Malformed, fmt.Errorf("the program printed no valid document: %w", err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return probes.Because(probes.Malformed, errors.New("the program printed more than one document"))
	}
	return nil
}

// parseReport reads a Report.
func parseReport(data []byte) (job.Sight, error) {
	var report Report
	if err := decode(data, &report); err != nil {
		return job.Sight{}, err
	}
	sight := job.Sight{
		Busy: report.Busy, Devices: report.Devices, Media: report.Media, Immutable: report.ImmutableUntil,
		Tools: []job.Tool{{Name: "command"}},
	}
	for _, p := range report.Points {
		if p.ID == "" || p.Time.IsZero() {
			return job.Sight{}, probes.Because(probes.Malformed, errors.New("the program told of a point without an id or a time"))
		}
		sight.Points = append(sight.Points, job.Point{ID: p.ID, At: p.Time, Type: p.Type, Size: count(p.Size), Files: count(p.Files), Units: p.Units})
	}
	slices.SortStableFunc(sight.Points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	for _, u := range report.Units {
		sight.Units = append(sight.Units, job.Unit{ID: u.ID, Bytes: u.Bytes, Stamp: u.Stamp})
	}
	for _, e := range report.Evidence {
		if !slices.Contains(job.Depths(), e.Depth) {
			return job.Sight{}, probes.Because(probes.Malformed, fmt.Errorf("the program told of the depth %.40q", e.Depth))
		}
		sight.Evidence = append(sight.Evidence, job.Evidence{Depth: e.Depth, At: e.Time, Tool: job.Tool{Name: "command"}})
	}
	if report.Verdict != nil {
		return sight, report.Verdict.err()
	}
	return sight, nil
}

// parseVerdict reads a Verdict.
func parseVerdict(data []byte) job.Outcome {
	var v Verdict
	if err := decode(data, &v); err != nil {
		return job.Outcome{Err: err}
	}
	out := job.Outcome{
		Err: v.err(), Bytes: v.Bytes, Size: count(v.Size), Files: count(v.Files), Notes: v.Notes,
		Tools: v.Tools, RestoredBytes: v.RestoredBytes, Duration: time.Duration(v.Seconds * float64(time.Second)),
	}
	for _, d := range v.Reached {
		if slices.Contains(job.Depths(), d) {
			out.Reached = append(out.Reached, d)
		}
	}
	if len(out.Tools) == 0 {
		out.Tools = []job.Tool{{Name: "command"}}
	}
	for id, unit := range v.Units {
		if out.Units == nil {
			out.Units = map[string]error{}
		}
		out.Units[id] = unit.err()
	}
	return out
}

// err turns a verdict into the error of a check.
func (v Verdict) err() error {
	switch {
	case v.Verdict == job.Good:
		return nil
	case v.Verdict == job.Bad && slices.Contains(job.FlawReasons(), job.FlawReason(v.Reason)):
		return job.Flawed(job.FlawReason(v.Reason), "%s", v.Detail)
	case v.Verdict == job.Bad:
		return job.Flawed(job.Reported, "%s", v.Detail)
	case v.Verdict == job.Unknown && slices.Contains(probes.Reasons(), probes.Reason(v.Reason)):
		return probes.Because(probes.Reason(v.Reason), errors.New(cmp.Or(v.Detail, v.Reason)))
	case v.Verdict == job.Unknown:
		return probes.Because(probes.Other, errors.New(cmp.Or(v.Detail, "the program could not tell")))
	}
	return probes.Because(probes.Malformed, fmt.Errorf("the program told the verdict %.40q", v.Verdict))
}

func count(n *int64) job.Count {
	if n == nil {
		return job.Count{}
	}
	return job.Of(*n)
}
