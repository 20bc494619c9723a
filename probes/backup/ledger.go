package backup

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// ledgerVersion is that of what the probe remembers.
const ledgerVersion = 1

// A ledger is what the probe remembers over restarts.
type ledger struct {
	Copies map[string]*record   `json:"copies"`         // by "job/copy"
	Spent  spent                `json:"spent"`          // of the budget of time
	Gone   map[string]time.Time `json:"gone,omitempty"` // jobs that are not configured any more, by name
}

// A record is what is remembered of one copy.
type record struct {
	Since    time.Time               `json:"since"` // first seen
	Proofs   map[job.Depth]proof     `json:"proofs,omitempty"`
	Attempts map[job.Depth]attempt   `json:"attempts,omitempty"`
	Units    map[string]*unit        `json:"units,omitempty"`
	Points   map[string]*pointRecord `json:"points,omitempty"` // by key
	Unknown  time.Time               `json:"unknown,omitzero"` // since when the verdict is unknown
	Verified int64                   `json:"verified"`         // bytes, ever
	Spent    spent                   `json:"spent"`            // of the budget of bytes
	Restore  restored                `json:"restore,omitzero"`
	Tools    []job.Tool              `json:"tools,omitempty"` // that judged the newest point
	Notes    []string                `json:"notes,omitempty"`
}

// A proof is the last time that a point was found good to a depth.
type proof struct {
	At    time.Time `json:"at"`
	Point string    `json:"point"` // key
}

// An attempt is the last check of a depth, however it ended.
type attempt struct {
	At        time.Time     `json:"at"`
	Point     string        `json:"point"`
	Judgement job.Judgement `json:"judgement"`
}

// A unit is what is remembered of a part of the copy.
type unit struct {
	Stamp string         `json:"stamp"`
	Bytes int64          `json:"bytes"`
	First time.Time      `json:"first"`
	Read  time.Time      `json:"read,omitzero"` // when it was last read and good
	Tried time.Time      `json:"tried,omitzero"`
	Bad   *job.Judgement `json:"bad,omitempty"` // what its last reading found wrong
}

// A pointRecord is what is remembered of a restore point.
type pointRecord struct {
	ID    string         `json:"id"`
	At    time.Time      `json:"at"`
	Type  string         `json:"type,omitempty"`
	Size  job.Count      `json:"size"`
	Files job.Count      `json:"files"`
	Bad   *job.Judgement `json:"bad,omitempty"`
	// BadAt is the depth of the check that found it bad: no shallower one can
	// take that back.
	BadAt job.Depth `json:"bad_at,omitempty"`
}

// restored is what the last test restore took.
type restored struct {
	At       time.Time     `json:"at"`
	Duration time.Duration `json:"duration"`
	Bytes    int64         `json:"bytes"`
	Size     int64         `json:"size"` // of the whole, if known
}

// spent is what was used of a budget within a day.
type spent struct {
	From   time.Time `json:"from"`
	Amount int64     `json:"amount"`
}

const day = 24 * time.Hour

// left returns what is left of a budget for a day; 0 limits nothing.
func (s *spent) left(budget int64, now time.Time) (int64, bool) {
	if now.Sub(s.From) >= day || now.Before(s.From) {
		*s = spent{From: now}
	}
	if budget == 0 {
		return 0, true
	}
	return budget - s.Amount, budget > s.Amount
}

func newLedger() *ledger { return &ledger{Copies: map[string]*record{}, Gone: map[string]time.Time{}} }

// copy returns the record of a copy, a new one if there is none.
func (l *ledger) copy(name string, now time.Time) *record {
	r := l.Copies[name]
	if r == nil {
		r = &record{Since: now}
		l.Copies[name] = r
	}
	if r.Proofs == nil {
		r.Proofs = map[job.Depth]proof{}
	}
	if r.Attempts == nil {
		r.Attempts = map[job.Depth]attempt{}
	}
	if r.Units == nil {
		r.Units = map[string]*unit{}
	}
	if r.Points == nil {
		r.Points = map[string]*pointRecord{}
	}
	return r
}

// key identifies a point together with its content: a file that was written
// anew under its old name is another backup.
func key(p job.Point, units map[string]job.Unit) string {
	digest := fnv.New64a()
	fmt.Fprintf(digest, "%s\x00%d\x00", p.ID, p.At.UnixNano())
	for _, id := range p.Units {
		fmt.Fprintf(digest, "%s\x00%s\x00", id, units[id].Stamp)
	}
	return fmt.Sprintf("%016x", digest.Sum64())
}

// maxHistory is how many points are remembered beyond those that are there.
const maxHistory = 60

// see takes over what a look has seen, and forgets what is not there any more. It
// reports whether there is something new to remember.
func (r *record) see(s seen, now time.Time) (changed bool) {
	units, points := len(r.Units), len(r.Points)
	for _, u := range s.Units {
		known := r.Units[u.ID]
		if known == nil || known.Stamp != u.Stamp {
			r.Units[u.ID] = &unit{Stamp: u.Stamp, Bytes: u.Bytes, First: now}
			changed = true
		}
	}
	maps.DeleteFunc(r.Units, func(id string, _ *unit) bool { _, there := s.units[id]; return !there })
	for i, p := range s.Points {
		known := r.Points[s.keys[i]]
		if known == nil {
			known = &pointRecord{ID: p.ID, At: p.At, Type: p.Type}
			r.Points[s.keys[i]] = known
			changed = true
		}
		if p.Size.Known {
			known.Size = p.Size
		}
		if p.Files.Known {
			known.Files = p.Files
		}
	}
	r.forget(s)
	for _, e := range s.Evidence {
		if have := r.Proofs[e.Depth]; e.At.After(have.At) && !e.At.After(now) {
			r.Proofs[e.Depth] = proof{At: e.At}
			changed = true
		}
	}
	return changed || units != len(r.Units) || points != len(r.Points)
}

// forget drops the points that are gone, but for the newest, which say what is
// normal.
func (r *record) forget(s seen) {
	var gone []string
	for k, p := range r.Points {
		if !slices.Contains(s.keys, k) {
			p.Bad = nil // what was removed harms nobody
			gone = append(gone, k)
		}
	}
	slices.SortFunc(gone, func(a, b string) int { return r.Points[b].At.Compare(r.Points[a].At) })
	for _, k := range gone[min(len(gone), maxHistory):] {
		delete(r.Points, k)
	}
}

// note takes over what came of a task about a point.
func (r *record) note(t pending, out job.Outcome, now time.Time) {
	judgement := job.Judge(out.Err)
	r.Verified += out.Bytes
	r.Spent.Amount += out.Bytes
	for id, err := range out.Units {
		r.noteUnit(id, err, now)
	}
	if t.point < 0 {
		return // units alone
	}
	k := t.seen.keys[t.point]
	p := r.Points[k]
	if p == nil {
		return // it has gone meanwhile
	}
	r.Attempts[t.depth] = attempt{At: now, Point: k, Judgement: judgement}
	switch judgement.Verdict {
	case job.Bad:
		p.Bad, p.BadAt = &judgement, t.depth
	case job.Good:
		if covers(t, out) && deeper(append(out.Reached, t.depth), p.BadAt) {
			p.Bad, p.BadAt = nil, ""
		}
		for _, d := range append(out.Reached, t.depth) {
			if d != job.Read { // for which the units count
				r.Proofs[d] = proof{At: now, Point: k}
			}
		}
		r.Tools, r.Notes = out.Tools, out.Notes
	}
	if out.Size.Known && judgement.Verdict == job.Good {
		p.Size, p.Files = out.Size, out.Files
	}
	if judgement.Verdict == job.Good && out.RestoredBytes > 0 {
		r.Restore = restored{At: now, Duration: out.Duration, Bytes: out.RestoredBytes, Size: out.RestoredBytes}
		if p.Size.Known {
			r.Restore.Size = max(p.Size.N, out.RestoredBytes)
		}
	}
}

// covers reports whether a check has looked at all of its point.
func covers(t pending, out job.Outcome) bool {
	return t.depth != job.Read || len(out.Units) >= len(pick(t.seen, t.task.Point.Units))
}

// deeper reports whether one of the depths is at least another.
func deeper(reached []job.Depth, than job.Depth) bool {
	return slices.ContainsFunc(reached, func(d job.Depth) bool {
		return slices.Index(job.Depths(), d) >= slices.Index(job.Depths(), than)
	})
}

func (r *record) noteUnit(id string, err error, now time.Time) {
	u := r.Units[id]
	if u == nil {
		return
	}
	u.Tried = now
	judgement := job.Judge(err)
	switch judgement.Verdict {
	case job.Good:
		u.Read, u.Bad = now, nil
	case job.Bad:
		u.Bad = &judgement
	}
}

// readProof renews the proof that the newest point was read: as old as the
// oldest reading of one of its units.
func (r *record) readProof(s seen) {
	if len(s.Points) == 0 {
		return
	}
	ids := s.Points[0].Units
	if ids == nil {
		for _, u := range s.Units {
			ids = append(ids, u.ID)
		}
	}
	var oldest time.Time
	for _, id := range ids {
		u := r.Units[id]
		if u == nil || u.Bad != nil || u.Read.IsZero() {
			return
		}
		if oldest.IsZero() || u.Read.Before(oldest) {
			oldest = u.Read
		}
	}
	if oldest.After(r.Proofs[job.Read].At) {
		r.Proofs[job.Read] = proof{At: oldest, Point: s.keys[0]}
	}
}

// flaw returns what is known to be wrong with what is there: with the newest
// point first, then with any other, then with a unit.
func (r *record) flaw(s seen) *job.Judgement {
	for _, k := range s.keys {
		if p := r.Points[k]; p != nil && p.Bad != nil {
			return p.Bad
		}
	}
	for _, u := range s.Units {
		if known := r.Units[u.ID]; known != nil && known.Bad != nil {
			return known.Bad
		}
	}
	return nil
}

// bad reports whether a point is known to be bad, by itself or by a unit.
func (r *record) bad(s seen, i int) bool {
	if p := r.Points[s.keys[i]]; p != nil && p.Bad != nil {
		return true
	}
	for _, id := range s.Points[i].Units {
		if u := r.Units[id]; u != nil && u.Bad != nil {
			return true
		}
	}
	return false
}
