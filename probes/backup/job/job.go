// Package job is the model of a backup: what there is of it, how good it is, and
// how deeply that was looked at. A kind of backup implements Copy; the probe
// decides when to ask it and keeps what it said.
//
// "Bad", "could not check" and "good" are three different answers. A check
// returns nil when all is well, a *Flaw when the backup is bad, and any other
// error when it could not tell.
package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// A Depth says how deeply a backup was looked at. Each is deeper than the one
// before.
type Depth string

// The depths.
const (
	Present   Depth = "present"   // something is there
	Listed    Depth = "listed"    // it says what it holds
	Structure Depth = "structure" // its form is complete, and so is what the producer wrote
	Read      Depth = "read"      // every byte was read, and every checksum compared
	Restored  Depth = "restored"  // it was restored, and what came out was compared
	Loaded    Depth = "loaded"    // a real engine has loaded what was restored
	Asserted  Depth = "asserted"  // what was restored holds what it must hold
)

// Depths lists the closed set, from the shallowest.
func Depths() []Depth {
	return []Depth{Present, Listed, Structure, Read, Restored, Loaded, Asserted}
}

// A Verdict is the answer to "is it good?".
type Verdict string

// The verdicts.
const (
	Good    Verdict = "good"
	Bad     Verdict = "bad"
	Unknown Verdict = "unknown"
)

// Verdicts lists the closed set.
func Verdicts() []Verdict { return []Verdict{Good, Bad, Unknown} }

// A FlawReason says what is wrong with a bad backup. The set is closed.
type FlawReason string

// The reasons of a bad verdict.
const (
	Empty      FlawReason = "empty"      // nothing was backed up
	Truncated  FlawReason = "truncated"  // the end is missing
	Damaged    FlawReason = "damaged"    // the content contradicts itself or its checksum
	Incomplete FlawReason = "incomplete" // a part is missing
	Mismatch   FlawReason = "mismatch"   // it is not what it claims to be, or differs from its source
	Unsafe     FlawReason = "unsafe"     // restoring it would write where it must not
	Unasserted FlawReason = "unasserted" // what was restored lacks what it must hold
	Reported   FlawReason = "reported"   // the tool that made it says that it failed
)

// FlawReasons lists the closed set.
func FlawReasons() []FlawReason {
	return []FlawReason{Empty, Truncated, Damaged, Incomplete, Mismatch, Unsafe, Unasserted, Reported}
}

// A Flaw is what is wrong with a backup.
type Flaw struct {
	Reason FlawReason
	Text   string // for a person; without secrets
}

func (f *Flaw) Error() string { return f.Text }

// Flawed returns a *Flaw.
func Flawed(reason FlawReason, format string, args ...any) error {
	return &Flaw{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// IsFlaw reports whether an error says that a backup is bad.
func IsFlaw(err error) bool {
	var flaw *Flaw
	return errors.As(err, &flaw)
}

// A Judgement is the answer of a check.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // of FlawReasons or probes.Reasons; empty when good
	Detail  string  `json:"detail,omitempty"` // one sentence for a person
}

// Judge turns the error of a check into a judgement.
func Judge(err error) Judgement {
	var flaw *Flaw
	switch {
	case err == nil:
		return Judgement{Verdict: Good}
	case errors.As(err, &flaw):
		return Judgement{Verdict: Bad, Reason: string(flaw.Reason), Detail: shorten(err.Error())}
	case errors.Is(err, context.Canceled):
		return Judgement{Verdict: Unknown, Reason: string(probes.NotRun), Detail: "the check was interrupted"}
	}
	return Judgement{Verdict: Unknown, Reason: string(probes.ReasonOf(err)), Detail: shorten(err.Error())}
}

// Reasons lists every reason that a judgement may have.
func Reasons() []string {
	var list []string
	for _, reason := range FlawReasons() {
		list = append(list, string(reason))
	}
	for _, reason := range probes.Reasons() {
		list = append(list, string(reason))
	}
	return list
}

const maxDetail = 400

func shorten(text string) string {
	if len(text) > maxDetail {
		return text[:maxDetail] + "…"
	}
	return text
}

// A Count is a number that may be unknown.
type Count struct {
	N     int64 `json:"n"`
	Known bool  `json:"known"`
}

// Of returns a known count.
func Of(n int64) Count { return Count{N: n, Known: true} }

// A Point is a restore point: one state of the data that can be restored.
type Point struct {
	ID    string    // stable, and shown to people only
	At    time.Time // of the data
	Type  string    // such as full or incremental; sizes are compared within a type
	Size  Count     // logical bytes, as far as known without reading
	Files Count
	Units []string // the units that it consists of; nil: all that there are
}

// A Unit is a part of a copy that is read as a whole, such as a file or a share
// of the packs of a repository.
type Unit struct {
	ID    string
	Bytes int64
	// Stamp changes when the content may have changed: then what is known of the
	// unit is worth nothing.
	Stamp string
}

// Evidence is what another tool says that it checked.
type Evidence struct {
	Depth Depth
	At    time.Time
	Tool  Tool
}

// A Tool is what judged, with its version where that is known.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// A Sight is what can be seen of a copy cheaply.
type Sight struct {
	Points   []Point // newest first; none: nothing was found where the backup should be
	Units    []Unit  // what a full reading consists of; the newest first
	Evidence []Evidence
	// Busy says that a backup is running or holds a lock, so that checks must
	// wait, and why.
	Busy string
	// Devices are the disks or pools that the copy lies on, as far as they are
	// known. Two copies that share one count once.
	Devices []string
	// Media is what the copy lies on, such as disk or object_storage.
	Media string
	// Immutable is until when nobody can change or delete the newest point.
	Immutable time.Time
	// Log is when the newest part of a log was archived that a restore of the newest
	// point can reach; zero: there is none.
	Log       time.Time
	Encrypted string   // yes, no or empty when it is not known
	Tools     []Tool   // who was asked
	Notes     []string // for people: what is odd and no flaw
}

// A Task is one piece of checking.
type Task struct {
	Depth Depth
	Point Point // what to check; for Read: what the units belong to, if anything
	Units []Unit
	// Bytes is how much may be read; 0: as much as it takes. A kind that reads
	// unit by unit stops behind the unit that reaches it.
	Bytes int64
	// Restore says where and how to restore, for the depths from Restored on.
	Restore Restore
}

// Unstamped returns the task without the stamps of its units, for a kind that has
// it done by another: the other compares them with stamps of its own.
func (t Task) Unstamped() Task {
	t.Units = slices.Clone(t.Units)
	for i := range t.Units {
		t.Units[i].Stamp = ""
	}
	return t
}

// Loads reports whether what is restored must be loaded into an engine, too.
func (t Task) Loads() bool {
	return t.Depth == Loaded || t.Depth == Asserted && len(t.Restore.Assert.Queries) > 0
}

// Proves lists the depths that a test restore has proven which found nothing
// wrong.
func (t Task) Proves(loaded bool) []Depth {
	depths := []Depth{Restored}
	if loaded {
		depths = append(depths, Loaded)
	}
	if assert := t.Restore.Assert; !assert.None() && (loaded || len(assert.Queries) == 0) {
		depths = append(depths, Asserted)
	}
	return depths
}

// Restore is how a restore test is done.
type Restore struct {
	Scratch string // directory that exists, is empty and is removed afterwards
	Source  string // directory that the backup was made of; empty: not compared
	Sample  int64  // bytes that are enough; 0: everything
	Assert  Assert
	// RPO is how old the data may be: what the canary is measured by.
	RPO time.Duration
	// Memory is how many bytes of it each process of an engine may have; 0: as
	// the engine thinks fit.
	Memory int64
}

// Assert is what must hold of restored data. The zero value demands nothing.
type Assert struct {
	// Fewest files that must be restored.
	MinFiles int64 `yaml:"min_files"`
	// Fewest bytes that must be restored.
	MinBytes int64 `yaml:"min_bytes"`
	// Patterns of paths, relative to what is restored; each must match a file that is not empty.
	Required []string `yaml:"required"`
	// Pattern of a file that must be younger than the recovery point objective, by its time of change, when the backup was made.
	Canary string `yaml:"canary"`
	// What an engine must answer that has loaded what was restored.
	Queries []Query `yaml:"queries"`
}

// A Query is asked of the engine that has loaded what was restored. All that is
// set must hold of the answer.
type Query struct {
	// In the language of the engine: SQL, or a command of Redis such as DBSIZE.
	Query string `yaml:"query"`
	// Database that is asked. Empty means the only one; a dump that makes none is loaded into one of the name of the file, up to its first point.
	Database string `yaml:"database"`
	// The whole answer: columns parted by |, rows by newlines.
	Equals string `yaml:"equals"`
	// Smallest number that it may be, such as a count of rows; 0 means any.
	Min int64 `yaml:"min"`
	// Largest number that it may be; 0 means any.
	Max int64 `yaml:"max"`
	// Whether it must be an instant that is younger than the recovery point objective was when the backup was made: a date and time, in UTC unless it says otherwise, or seconds since 1970.
	Fresh bool `yaml:"fresh"`
}

// Validate returns what is wrong with a query.
func (q Query) Validate() error {
	switch {
	case strings.TrimSpace(q.Query) == "":
		return probes.At("query", errors.New("is missing"))
	case q.Equals == "" && q.Min == 0 && q.Max == 0 && !q.Fresh:
		return errors.New("demands nothing: set equals, min, max or fresh")
	case q.Max != 0 && q.Min > q.Max:
		return probes.At("min", fmt.Errorf("%d is above max, which is %d", q.Min, q.Max))
	case strings.ContainsAny(q.Database, "=/\x00\n") || strings.HasPrefix(q.Database, "-"):
		return probes.At("database", fmt.Errorf("%.60q is no name of a database", q.Database))
	}
	return nil
}

// None reports whether nothing is demanded.
func (a Assert) None() bool {
	return a.MinFiles == 0 && a.MinBytes == 0 && len(a.Required) == 0 && a.Canary == "" && len(a.Queries) == 0
}

// An Outcome is what came of a task.
type Outcome struct {
	// Err is nil when all is well, a *Flaw when the backup is bad, and
	// otherwise why it could not be checked.
	Err error
	// Reached are further depths that this check has proven of the point.
	Reached []Depth
	Units   map[string]error // what was found of each unit that was read, as Err
	Bytes   int64            // read from the copy
	Tools   []Tool           // who judged
	Size    Count            // logical bytes of the point
	Files   Count
	// Duration and RestoredBytes are of the restoring alone, without checks.
	Duration      time.Duration
	RestoredBytes int64
	Notes         []string
}

// Note adds a note once.
func (o *Outcome) Note(format string, args ...any) { o.Noted(fmt.Sprintf(format, args...)) }

// Noted adds notes that others have made, each once.
func (o *Outcome) Noted(notes ...string) {
	for _, note := range notes {
		if !slices.Contains(o.Notes, note) {
			o.Notes = append(o.Notes, note)
		}
	}
}

// Judged adds a tool once.
func (o *Outcome) Judged(tools ...Tool) {
	for _, tool := range tools {
		if !slices.Contains(o.Tools, tool) {
			o.Tools = append(o.Tools, tool)
		}
	}
}

// A Copy is one place where the backup of a job lies. One goroutine at a time
// uses it, but Look may be called while Check is busy.
type Copy interface {
	// Look sees what can be seen cheaply, within seconds. An error says why
	// nothing could be seen, or is a *Flaw when that much is certain.
	Look(ctx context.Context) (Sight, error)
	// Check does a task, however long that takes, and stops soon after ctx is
	// done, with what was found until then.
	Check(ctx context.Context, task Task) Outcome
}
