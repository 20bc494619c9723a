package ledger

import "time"

// syncPatience is how long after boot an unsynchronised clock is waited for.
const syncPatience = time.Hour

// clock counts time spans. Its reading goes on where the last life of the agent
// left it, plus the time of absence that the system clock tells.
type clock struct {
	start time.Time     // of this life, with a monotonic reading
	base  time.Duration // the reading at start

	// Reading and system time of the last round, which are saved together.
	now  time.Duration
	wall time.Time

	// The pair that is on disk, or will be after the next save.
	savedNow  time.Duration
	savedWall time.Time

	anchored     bool          // the first round of this life was seen
	graceEnds    time.Duration // end of the startup grace
	patienceEnds time.Duration // end of waiting for synchronisation
}

// maxDrift is how far the system clock may run away from what is on disk.
const maxDrift = time.Second

// tick moves the clock to the present, at which the system clock shows at. It
// reports whether the system clock was set since the ledger was saved: then it
// must be saved again, or the next life would take the step for an absence.
func (c *clock) tick(at time.Time, o *Options) (set bool) {
	lived := time.Since(c.start)
	first := !c.anchored
	if first {
		c.anchored = true
		c.base = c.now - lived
		if !c.wall.IsZero() {
			c.base += max(0, at.Sub(c.wall))
		}
	}
	c.now = max(c.now, c.base+lived)
	c.wall = at.Round(0)
	if c.savedWall.IsZero() { // nothing to save yet
		c.savedNow, c.savedWall = c.now, c.wall
	}
	drift := c.wall.Sub(c.savedWall) - (c.now - c.savedNow)
	if set = drift.Abs() > maxDrift; set {
		c.savedNow, c.savedWall = c.now, c.wall
	}
	if first {
		c.wait(at, o)
	}
	return set
}

// wait works out how long a new life has to be cautious.
func (c *clock) wait(at time.Time, o *Options) {
	boot := o.Boot
	if boot.IsZero() {
		boot = at
	} else {
		c.graceEnds = c.now + left(boot.Add(o.StartupGrace).Sub(at), o.StartupGrace)
	}
	c.patienceEnds = c.now + left(boot.Add(syncPatience).Sub(at), syncPatience)
}

// tick moves the clock and notes that it must be saved.
func (l *Ledger) tick(at time.Time) {
	if l.clock.tick(at, &l.options) {
		l.changes++
	}
}

// left keeps a remaining time between nothing and all of it, whatever the
// system clock says.
func left(d, all time.Duration) time.Duration { return max(0, min(d, all)) }

// since returns the time that passed since a reading, never less than nothing.
func (c *clock) since(reading time.Duration) time.Duration { return max(0, c.now-reading) }

// cautious reports whether only what lasted long enough before may open.
func (l *Ledger) cautious(at time.Time) bool {
	return at.Before(l.options.Built) ||
		l.clock.now < l.clock.graceEnds ||
		l.clock.now < l.clock.patienceEnds && !l.options.Synchronised()
}
