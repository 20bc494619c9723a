package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
)

// Check does a task.
func (l *location) Check(ctx context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}}
	switch task.Depth {
	case job.Structure:
		out.Err = l.structure(ctx, task, &out)
	case job.Read:
		out.Err = l.read(ctx, task, &out)
	case job.Restored, job.Loaded, job.Asserted:
		out.Err = l.restore(ctx, task, &out)
	default:
		out.Err = probes.Because(probes.Unsupported, fmt.Errorf("objects are not checked by %s", task.Depth))
	}
	if probes.ReasonOf(out.Err) == probes.NotFound || probes.ReasonOf(out.Err) == probes.Locked {
		l.stale() // what is there now is something else
	}
	return out
}

// structure reads the newest backup once. What was read, was good, and is still
// the same version is not read again for it: that costs money, and reading as
// such has its own interval.
func (l *location) structure(ctx context.Context, task job.Task, out *job.Outcome) error {
	var fresh []job.Unit
	for _, u := range task.Units {
		s := l.seen()
		if s == nil || !l.known(u) {
			fresh = append(fresh, u)
			continue
		}
		if o, loose := s.byKey[u.ID]; loose {
			if err := l.bucket.Stat(ctx, o); err != nil {
				return err
			}
			out.Judged(job.Tool{Name: "server of buckets"})
		}
	}
	task.Units = fresh
	err := l.read(ctx, task, out)
	switch {
	case err != nil:
		return err
	case len(out.Units) < len(fresh):
		return probes.Because(probes.NotRun, errors.New("the bytes of the day were used up before all of it was read"))
	case len(fresh) > 0 && len(fresh) == len(out.Units) && len(task.Point.Units) == len(fresh):
		out.Reached = append(out.Reached, job.Read)
	}
	return l.holds(task.Point)
}

// holds demands that a backup of several objects holds something.
func (l *location) holds(p job.Point) error {
	if p.Size.Known && p.Size.N == 0 {
		return job.Flawed(job.Empty, "%.80q holds nothing", p.ID)
	}
	return nil
}

func (l *location) known(u job.Unit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good[u.ID+"\x00"+u.Stamp]
}

func (l *location) learn(u job.Unit, good bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.good) > maxLoose {
		clear(l.good)
	}
	l.good[u.ID+"\x00"+u.Stamp] = good
}

// read reads the units of a task: objects one by one, and then those that are
// remembered by the day, in one pass over the bucket.
func (l *location) read(ctx context.Context, task job.Task, out *job.Outcome) error {
	s := l.seen()
	if s == nil {
		return probes.Because(probes.NotRun, errors.New("the bucket was not listed yet"))
	}
	var days []job.Unit
	left := task
	left.Units = nil
	for _, u := range task.Units {
		if s.groups[u.ID] != nil {
			days = append(days, u)
		} else {
			left.Units = append(left.Units, u)
		}
	}
	err := out.ReadUnits(ctx, left, func(u job.Unit) (int64, error) {
		o, there := s.byKey[u.ID]
		if !there {
			return 0, probes.Because(probes.NotFound, fmt.Errorf("%.80q is gone since the bucket was listed", u.ID))
		}
		n, err := l.object(ctx, o, out)
		l.learn(u, err == nil)
		return n, err
	})
	if ctx.Err() != nil || hopeless(err) {
		return err
	}
	return job.Worse(err, l.days(ctx, task, days, out))
}

// hopeless reports whether the rest would not fare better.
func hopeless(err error) bool {
	reason := probes.ReasonOf(err)
	return err != nil && !job.IsFlaw(err) && (reason == probes.Network || reason == probes.Auth)
}

// days lists the bucket once more, and reads what belongs to as many units as the
// bytes of the task are enough for. An object that is bad does not hide others.
func (l *location) days(ctx context.Context, task job.Task, units []job.Unit, out *job.Outcome) error {
	wanted, found := map[string]job.Unit{}, map[string]error{}
	planned := out.Bytes
	for _, u := range units {
		if task.Bytes > 0 && planned >= task.Bytes {
			break
		}
		planned += u.Bytes
		wanted[u.ID] = u
	}
	if len(wanted) == 0 {
		return nil
	}
	err := l.bucket.List(ctx, "", false, func(o bucket.Object) error {
		if !l.counts(o) {
			return nil
		}
		g := l.groupOf(dayOf(o.Modified), o)
		u, there := wanted[g.name()]
		if !there {
			u, there = wanted[g.part(fraction(o.Key))]
		}
		if !there {
			return nil
		}
		n, err := l.object(ctx, o, out)
		out.Bytes += n
		found[u.ID] = job.Worse(found[u.ID], err)
		if ctx.Err() != nil || hopeless(err) {
			return cmp.Or(ctx.Err(), err)
		}
		return nil
	})
	var worst error
	for id, u := range wanted {
		if err == nil || job.IsFlaw(found[id]) { // what was not listed to the end was not read to the end
			out.Units[id] = found[id]
			l.learn(u, found[id] == nil)
		}
		worst = job.Worse(worst, found[id])
	}
	return job.Worse(worst, err)
}

// object reads one object, and judges what it holds and whether it is what was
// stored.
func (l *location) object(ctx context.Context, o bucket.Object, out *job.Outcome) (int64, error) {
	if o.Size == 0 {
		if name := path.Base(o.Key); l.single() || stream.Named(name) != nil || path.Ext(name) == ".tar" {
			return 0, job.Flawed(job.Empty, "%.80q is empty", o.Key)
		}
		return 0, nil // a tree has such files
	}
	r, err := l.bucket.Open(ctx, o)
	if err != nil {
		return 0, l.gone(err, o)
	}
	defer r.Close()
	judged := l.judge.Once(ctx, path.Base(o.Key), o.Size, r)
	if ctx.Err() != nil && !job.IsFlaw(judged.Err) {
		return 0, ctx.Err()
	}
	if errors.Is(judged.Err, stream.ErrFile) {
		judged.Err = l.spooled(ctx, o, out)
	} else {
		out.Judged(judged.Tools...)
	}
	for _, note := range judged.Notes {
		out.Note("%s: %s", path.Base(o.Key), note)
	}
	if judged.Err != nil {
		return o.Size, about(judged.Err, o)
	}
	return o.Size, l.compare(r, o, out)
}

// about says of which object an error is.
func about(err error, o bucket.Object) error {
	if strings.Contains(err.Error(), path.Base(o.Key)) {
		return err
	}
	return fmt.Errorf("%s: %w", path.Base(o.Key), err)
}

func (l *location) gone(err error, o bucket.Object) error {
	if probes.ReasonOf(err) == probes.NotFound {
		return probes.Because(probes.NotFound, fmt.Errorf("%.80q is gone since the bucket was listed: %w", o.Key, err))
	}
	return err
}

// compare compares what was read with what the server tells of it.
func (l *location) compare(r *bucket.Reader, o bucket.Object, out *job.Outcome) error {
	name, err := r.Verify(l.controls)
	switch {
	case err != nil:
		return err
	case name == "":
		out.Note("%s: it could not be compared with what was stored: %s", path.Base(o.Key), r.Told())
	default:
		out.Judged(job.Tool{Name: "builtin " + name})
	}
	return nil
}

// controls returns the objects by which one can tell what ETags are, the smallest
// first.
func (l *location) controls() []bucket.Object {
	s := l.seen()
	if s == nil {
		return nil
	}
	return smallest(s.loose)
}
