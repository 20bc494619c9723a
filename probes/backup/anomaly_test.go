package backup

import (
	"math"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/job"
)

func TestExpectations(t *testing.T) {
	start := time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC) // a Sunday
	size := func(p *pointRecord) job.Count { return p.Size }
	days := func(n int, of func(day int) int64) (list []*pointRecord) {
		for i := range n {
			list = append(list, &pointRecord{At: start.AddDate(0, 0, i), Size: job.Of(of(i))})
		}
		return list
	}
	constant := func(int) int64 { return 1000 }
	weekly := func(day int) int64 {
		if day%7 == 0 {
			return 9000
		}
		return 1000
	}
	for _, test := range []struct {
		name      string
		history   []*pointRecord
		next      time.Time
		low, high float64
		ok        bool
	}{
		{name: "the first backups let expect nothing", history: days(4, constant), next: start.AddDate(0, 0, 5)},
		{name: "what never varies may vary by the tolerance", history: days(10, constant), next: start.AddDate(0, 0, 10), low: 500, high: 1500, ok: true},
		{name: "what varies may vary more", history: days(10, func(d int) int64 { return 1000 + int64(d%2)*800 }), next: start.AddDate(0, 0, 10), low: 0, high: 1400 + spread*400, ok: true},
		{name: "a Sunday is compared with Sundays", history: days(28, weekly), next: start.AddDate(0, 0, 28), low: 4500, high: 13500, ok: true},
		{name: "a Monday is compared with Mondays", history: days(29, weekly), next: start.AddDate(0, 0, 29), low: 500, high: 1500, ok: true},
	} {
		low, high, ok := Anomaly{After: 5, Tolerance: Share{50}}.expect(pointRecord{At: test.next}, test.history, size)
		if math.Round(low) != math.Round(test.low) || math.Round(high) != math.Round(test.high) || ok != test.ok {
			t.Errorf("%s: got %v to %v, %v; want %v to %v, %v", test.name, low, high, ok, test.low, test.high, test.ok)
		}
	}
}
