package virtual

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// disturbed returns how long something was disturbed between two instants, and
// some time before, whose effects last.
func (w *world) disturbed(from, to time.Time) (total time.Duration) {
	for _, d := range w.disturbances {
		start, end := w.began.Add(d.from), w.began.Add(d.to)
		if start.Before(to.Add(w.lateness())) && end.Add(w.lateness()).After(from) {
			total += d.to - d.from + w.lateness()
		}
	}
	return total
}

// notices returns what a tier was told of an episode.
func (w *world) notices(name string, tier int) (all []Notice) {
	for _, n := range w.cluster.Notices() {
		if n.Labels["episode"] == model.LabelValue(name) && n.Labels["escalation"] == model.LabelValue(fmt.Sprint(tier)) {
			all = append(all, n)
		}
	}
	return all
}

// judge asserts that everybody was told what they had to be told, and nothing
// else.
func (w *world) judge() {
	w.t.Helper()
	// An agent that is down does not notice what comes and goes meanwhile.
	if len(w.episodes) == 0 && !w.suffered("the agent is killed", time.Now()) {
		w.t.Error("nothing was ever open")
	}
	for _, n := range w.cluster.Notices() {
		skewed := n.Labels["check"] == "clock_skew" && w.skew > 30*time.Second
		if n.Labels["probe"] == "agent" && n.Labels["check"] != "host_down" && !skewed {
			w.t.Errorf("nothing was wrong with the agent: %s", n)
		}
	}
	for name, s := range w.silences {
		w.silent(name, s)
	}
	for name, e := range w.episodes {
		if e.closed.IsZero() {
			w.t.Errorf("episode %s never closed", name)
			continue
		}
		for i, deadline := range e.Deadlines {
			wanted := w.wanted(e, i+1, deadline)
			w.due(name, i+1, wanted)
			w.quiet(name, i+1, wanted)
			w.ended(name, e, i+1, wanted)
			w.once(name, i+1, wanted)
		}
	}
}

// silent asserts that nobody was told of an episode while it was silenced. What
// was on its way then may still arrive.
func (w *world) silent(name string, s span) {
	w.t.Helper()
	underWay := 2*peerTimeout + gossip
	for tier := 1; tier <= 3; tier++ {
		for _, n := range w.notices(name, tier) {
			if n.At.After(s.from.Add(underWay)) && n.At.Before(s.to) {
				w.t.Errorf("told in spite of a silence: %s", n)
			}
		}
	}
}

// A want is a span in which a tier is to be told. It may be told from the
// beginning, and must be from a later instant when maintenance comes between, or
// somebody who takes it before tier 1 hears; and until it is over, or taken.
type want struct {
	span
	must  time.Time
	until time.Time
}

// wanted returns the spans in which a tier is to be told.
func (w *world) wanted(e *episode, tier int, deadline time.Time) (wants []want) {
	all := []span{{deadline, e.closed}}
	if tier > 1 {
		all = e.untaken(all)
	}
	for _, s := range all {
		// A clock that is ahead passes a deadline that the end comes before.
		if s = w.maintained(s); s.from.Before(s.to.Add(w.skew)) {
			must := e.afterAck(w.afterMaintenance(s.from))
			wants = append(wants, want{s, must, e.taken(span{must, s.to})})
		}
	}
	return wants
}

// untaken returns what of the spans nobody has taken.
func (e *episode) untaken(all []span) []span {
	for _, ack := range e.acks {
		var cut []span
		for _, s := range all {
			if ack.from.After(s.from) {
				cut = append(cut, span{s.from, earlier(s.to, ack.from)})
			}
			if ack.to.Before(s.to) {
				cut = append(cut, span{later(s.from, ack.to), s.to})
			}
		}
		all = cut
	}
	return all
}

// edge is how long it takes until both replicas know that maintenance began.
func (w *world) edge() time.Duration { return 2*Interval + w.skew }

// maintained returns a span without the maintenance in which it begins: that
// begins no telling.
func (w *world) maintained(s span) span {
	if !s.from.Before(w.window.from.Add(w.edge())) && s.from.Before(w.window.to) {
		s.from = w.window.to
	}
	return s
}

// afterMaintenance returns from when on a tier must be told.
func (w *world) afterMaintenance(from time.Time) time.Time {
	if !from.Before(w.window.from.Add(-w.edge())) && from.Before(w.window.to) {
		return w.window.to
	}
	return from
}

// afterAck returns from when on nobody has taken the problem.
func (e *episode) afterAck(from time.Time) time.Time {
	for _, ack := range e.acks {
		if !from.Before(ack.from) && from.Before(ack.to) {
			from = ack.to
		}
	}
	return from
}

// taken returns when somebody takes the problem within a span, else its end.
func (e *episode) taken(s span) time.Time {
	for _, ack := range e.acks {
		if !ack.from.Before(s.from) {
			s.to = earlier(s.to, ack.from)
		}
	}
	return s.to
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lateness is how late somebody may be told with clocks that are wrong.
func (w *world) lateness() time.Duration { return lateness + w.skew }

// due asserts that a tier was told in time.
func (w *world) due(name string, tier int, wanted []want) {
	w.t.Helper()
	for _, s := range wanted {
		limit := s.must.Add(w.lateness() + w.disturbed(s.must, s.must.Add(w.lateness())))
		if !limit.Before(s.until) {
			continue // it was over, or taken, before anybody had to be told
		}
		notices := w.notices(name, tier)
		told := slices.IndexFunc(notices, func(n Notice) bool {
			return !n.Resolved && !n.At.Before(s.from.Add(-w.skew)) && !n.At.After(limit)
		})
		if told >= 0 && limit.Equal(s.from.Add(lateness)) {
			w.took.add(notices[told].At.Sub(s.from))
		}
		if told < 0 {
			w.t.Errorf("tier %d of %s was not told between %s and %s", tier, name, s.from.Format("15:04:05"), limit.Format("15:04:05"))
		}
	}
}

// quiet asserts that a tier was told of nothing when it did not have to be, and
// that it heard of no end that was none.
func (w *world) quiet(name string, tier int, wanted []want) {
	w.t.Helper()
	for _, n := range w.notices(name, tier) {
		in := slices.ContainsFunc(wanted, func(s want) bool {
			slack := w.lateness() + w.disturbed(s.to, n.At)
			return !n.At.Before(s.from.Add(-w.skew)) && !n.At.After(s.to.Add(slack))
		})
		// Who cannot hear of an acknowledgement or of an end goes on as it was.
		deaf := w.disturbed(n.At.Add(-w.lateness()), n.At) > 0
		if !n.Resolved && !in && !deaf {
			w.t.Errorf("told without need: %s", n)
		}
		still := slices.ContainsFunc(wanted, func(s want) bool { return !n.At.Before(s.from.Add(w.lateness())) && n.At.Before(s.to) })
		if n.Resolved && still && w.disturbed(n.At.Add(-w.lateness()), n.At) == 0 {
			w.t.Errorf("a false end: %s", n)
		}
	}
}

// ended asserts that whoever was told of a problem heard of its end, or that
// somebody has taken it.
func (w *world) ended(name string, e *episode, tier int, wanted []want) {
	w.t.Helper()
	all := w.notices(name, tier)
	if len(all) == 0 {
		return
	}
	end := e.closed
	if len(wanted) > 0 {
		end = wanted[len(wanted)-1].to
	}
	last := all[len(all)-1]
	if !last.Resolved && w.disturbed(end.Add(-w.lateness()), end.Add(w.lateness())) == 0 {
		w.t.Errorf("tier %d of %s never heard of the end", tier, name)
	}
}

// gossip is how long it takes until all members know what one has sent. After a
// restart a member may send at the same time as another: Alertmanager promises
// that everybody is told at least once, and not that it is only once.
const gossip = time.Second

// suffered reports whether something of the kind happened before.
func (w *world) suffered(what string, before time.Time) bool {
	return slices.ContainsFunc(w.disturbances, func(d disturbance) bool {
		return strings.HasPrefix(d.what, what) && w.began.Add(d.from).Before(before)
	})
}

// once asserts that nobody is told the same twice, but for the repetition that
// was asked for. At the end, a replica whose clock is ahead says so in the future,
// and Alertmanager takes the problem for open until then.
func (w *world) once(name string, tier int, wanted []want) {
	w.t.Helper()
	repeat := []time.Duration{time.Hour, 30 * time.Minute, 15 * time.Minute}[tier-1]
	var last Notice
	for _, n := range w.notices(name, tier) {
		same := !last.At.IsZero() && last.Resolved == n.Resolved
		crossed := n.At.Sub(last.At) < gossip && w.suffered("Alertmanager", n.At)
		skewed := w.skew > 0 && slices.ContainsFunc(wanted, func(s want) bool {
			return !n.At.Before(s.to) && !n.At.After(s.to.Add(w.lateness()))
		})
		if same && !crossed && !skewed && n.At.Sub(last.At) < repeat-2*time.Minute && w.disturbed(last.At, n.At) == 0 {
			w.t.Errorf("told twice: %s, and %s", last, n)
		}
		last = n
	}
}
