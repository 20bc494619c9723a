package drill

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hygiene_exporter/probes"
)

// A Result is what came of a drill.
type Result string

// The results. An aborted drill proves nothing, in either direction.
const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Aborted Result = "aborted"
)

// The ways in which evidence comes about.
const (
	ByPerson  = "attested"
	ByProbe   = "observed"
	ByCommand = "run"
)

// A Record is the evidence of one drill, for auditors. It holds no output of
// programs and no arguments, where a secret could be.
type Record struct {
	Drill      string            `json:"drill"`
	At         time.Time         `json:"at"`                  // when it began
	How        string            `json:"how"`                 // attested, observed or run
	Result     Result            `json:"result"`              //
	Seconds    float64           `json:"seconds,omitempty"`   // until everything worked again; 0: not timed
	Recovered  *bool             `json:"recovered,omitempty"` // whether everything works again; nil: nobody looked
	By         string            `json:"by,omitempty"`        // who says so
	UID        *uint32           `json:"uid,omitempty"`       // the user of the one who recorded it, by the kernel
	Recorded   time.Time         `json:"recorded"`            //
	Note       string            `json:"note,omitempty"`
	File       string            `json:"file,omitempty"`        // name of a file of evidence, which is kept elsewhere
	SHA256     string            `json:"file_sha256,omitempty"` // of its content
	Detail     map[string]string `json:"detail,omitempty"`      // what a probe or a command tells
	Unfinished bool              `json:"unfinished,omitempty"`  // it was begun, and its end is not recorded
	Count      int               `json:"count,omitempty"`       // of what was seen on the day of which this is the last; 0: this one
}

// The bounds of a record.
const (
	maxText    = 1000
	maxRecords = 100 // of one drill
)

// Validate refuses what no honest client sends.
func (r *Record) Validate(now time.Time) error {
	var errs []error
	if !slices.Contains([]Result{Passed, Failed, Aborted}, r.Result) {
		errs = append(errs, fmt.Errorf("the result is passed, failed or aborted, not %.40q", r.Result))
	}
	if r.How != ByPerson && r.How != ByCommand {
		errs = append(errs, fmt.Errorf("a drill is attested or run, not %.40q", r.How))
	}
	if r.By == "" {
		errs = append(errs, errors.New("who says so is missing"))
	}
	if r.At.IsZero() || r.At.After(now.Add(tolerance)) {
		errs = append(errs, fmt.Errorf("the drill cannot have been at %s", r.At.Format(time.RFC3339)))
	}
	if r.Unfinished && (r.How != ByCommand || r.Result != Aborted) {
		errs = append(errs, errors.New("only a run that proves nothing yet is unfinished"))
	}
	if r.Seconds < 0 {
		errs = append(errs, errors.New("a duration cannot be below 0"))
	}
	size := len(r.By) + len(r.Note) + len(r.File) + len(r.SHA256)
	for key, value := range r.Detail {
		size += len(key) + len(value)
	}
	if size > 4*maxText || len(r.By) > 200 || len(r.Note) > maxText {
		errs = append(errs, fmt.Errorf("the text is too long; a note may have %d bytes", maxText))
	}
	return errors.Join(errs...)
}

// file is what is kept of one drill.
type file struct {
	First   time.Time `json:"first"`            // when it was first configured
	Removed time.Time `json:"removed,omitzero"` // when it was found in no configuration any more
	Records []Record  `json:"records,omitempty"`
	Seen    time.Time `json:"seen,omitzero"` // up to which events of other probes are taken in
}

// add takes in a record, at its place in time. A run that was begun is replaced
// by its end, and one that a probe saw replaces those of the same day.
func (f *file) add(r Record) {
	same := func(old Record) bool {
		switch {
		case old.How != r.How:
			return false
		case r.How == ByCommand:
			return old.Unfinished && old.At.Equal(r.At)
		case r.How == ByProbe:
			return old.Result == r.Result && old.At.UTC().Format(time.DateOnly) == r.At.UTC().Format(time.DateOnly)
		}
		return false
	}
	if i := slices.IndexFunc(f.Records, same); i >= 0 {
		if r.How == ByProbe {
			r.Count = max(f.Records[i].Count, 1) + 1
		}
		f.Records = slices.Delete(f.Records, i, i+1)
	}
	f.Records = append(f.Records, r)
	slices.SortStableFunc(f.Records, func(a, b Record) int { return a.At.Compare(b.At) })
	f.Records = f.Records[max(0, len(f.Records)-maxRecords):]
}

// tolerance is how far the clocks of two hosts may be apart.
const tolerance = time.Minute

// last returns the newest record of which something holds; nil if there is none.
// One in the future, of a clock that was wrong, is not believed until then.
func (f *file) last(now time.Time, holds func(r *Record) bool) *Record {
	for i := len(f.Records) - 1; i >= 0; i-- {
		if !f.Records[i].At.After(now.Add(tolerance)) && holds(&f.Records[i]) {
			return &f.Records[i]
		}
	}
	return nil
}

func passed(r *Record) bool   { return r.Result == Passed }
func proved(r *Record) bool   { return r.Result != Aborted }
func timed(r *Record) bool    { return r.Result != Aborted && r.Seconds > 0 }
func looked(r *Record) bool   { return r.Recovered != nil }
func anything(r *Record) bool { return true }

// A Standing is how a drill stands.
type Standing struct {
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`
	Owner      string    `json:"owner,omitempty"`
	Configured time.Time `json:"configured"` // when it was first configured
	Success    time.Time `json:"success,omitzero"`
	Deadline   time.Time `json:"deadline"`
	Objective  float64   `json:"objective_seconds,omitempty"`
	Seconds    float64   `json:"seconds,omitempty"` // of the last drill that was timed
	Recovered  *bool     `json:"recovered,omitempty"`
	Records    []Record  `json:"records,omitempty"` // oldest first
	Removed    bool      `json:"removed,omitempty"` // it is configured no more; the evidence is kept
}

// standing sums up what is known.
func standing(d *Drill, f *file, now time.Time) Standing {
	s := Standing{
		Name: d.Name, Kind: d.Kind, Owner: d.Owner, Configured: f.First,
		Objective: time.Duration(d.Objective).Seconds(), Records: slices.Clone(f.Records),
	}
	from := f.First
	if r := f.last(now, passed); r != nil {
		s.Success, from = r.At, r.At
	}
	s.Deadline = from.Add(time.Duration(d.Interval))
	if r := f.last(now, timed); r != nil {
		s.Seconds = r.Seconds
	}
	if r := f.last(now, looked); r != nil {
		s.Recovered = r.Recovered
	}
	return s
}

// facts adds the facts of a drill to a result.
func (f *file) facts(r *probes.Result, d *Drill, now time.Time) {
	s := standing(d, f, now)
	labels := []string{d.Name, d.Owner}
	r.AddTime(deadline, s.Deadline, labels...)
	r.Add(interval, time.Duration(d.Interval).Seconds(), labels...)
	r.AddTime(lastSuccess, s.Success, labels...)
	if last := f.last(now, anything); last != nil {
		r.AddTime(lastAttempt, last.At, labels...)
	}
	last := f.last(now, proved)
	for _, result := range []Result{Passed, Failed} {
		r.Add(lastResult, truth(last != nil && last.Result == result), d.Name, string(result), d.Owner)
	}
	if s.Seconds > 0 {
		r.Add(lastDuration, s.Seconds, labels...)
	}
	if d.Objective > 0 {
		r.Add(objective, s.Objective, labels...)
	}
	if s.Recovered != nil {
		r.Add(recovered, truth(*s.Recovered), labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
