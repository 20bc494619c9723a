package collector

import (
	"log/slog"
	"sync"
	"time"
)

// A changeLog says what changed in the reports of one probe. It stays silent
// while nothing changes, and a probe that flaps cannot fill a disk with it.
type changeLog struct {
	log *slog.Logger

	mu     sync.Mutex // a run that was given up may panic beside the next one
	minute time.Time  // start of the current minute
	lines  int        // lines in it
	unsaid int        // lines left out since the last one that was written
}

const linesPerMinute = 20

func newChangeLog(log *slog.Logger) *changeLog { return &changeLog{log: log} }

// report compares two reports that follow each other.
func (l *changeLog) report(before, after *Report) {
	l.outcome(before, after)
	for _, fault := range after.Faults {
		if !before.has(fault) && l.allowed() {
			l.log.Warn("object cannot be inspected", "object", fault.Object, "reason", fault.Reason, "err", fault.Err)
		}
	}
	for _, fault := range before.Faults {
		if !after.faulted(fault.Object) && l.allowed() {
			l.log.Info("object is no longer at fault", "object", fault.Object, "reason", fault.Reason)
		}
	}
}

func (l *changeLog) outcome(before, after *Report) {
	same := before.Outcome == after.Outcome
	switch {
	case after.Outcome == Failed && (!same || before.Err.Error() != after.Err.Error()):
		if l.allowed() {
			l.log.Warn("probe failed", "err", after.Err)
		}
	case same:
	case after.Outcome == Succeeded && before.Outcome == Failed:
		if l.allowed() {
			l.log.Info("probe works again")
		}
	case after.Outcome == NotApplicable:
		if l.allowed() {
			l.log.Info("probe is not applicable to this host")
		}
	}
}

// panicked says where a probe panicked.
func (l *changeLog) panicked(value any, stack []byte) {
	if l.allowed() {
		l.log.Error("probe panicked", "panic", value, "stack", string(stack))
	}
}

// allowed reports whether one more line may be written in this minute.
func (l *changeLog) allowed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.minute) >= time.Minute {
		l.minute, l.lines = now, 0
	}
	if l.lines >= linesPerMinute {
		l.unsaid++
		return false
	}
	l.lines++
	if l.unsaid > 0 {
		l.log.Warn("log lines were left out", "lines", l.unsaid)
		l.unsaid = 0
	}
	return true
}
