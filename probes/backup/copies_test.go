package backup

import (
	"testing"
	"time"

	"hygiene_exporter/probes/backup/job"
)

func TestUnchangeable(t *testing.T) {
	due := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		declared bool
		until    time.Time
		want     bool
	}{
		{"nothing is known and nothing declared", false, time.Time{}, false},
		{"declared", true, time.Time{}, true},
		{"locked for longer", false, due.Add(time.Hour), true},
		{"locked until the next backup is due", false, due, true},
		{"a lock that ends earlier", false, due.Add(-time.Second), false},
		{"declared, and the place knows better", true, due.Add(-time.Second), false},
	} {
		s := seen{Sight: job.Sight{Immutable: c.until}}
		if got := unchangeable(&place{conf: Copy{Immutable: c.declared}}, s, due); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
