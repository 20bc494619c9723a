package detect

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"hygiene_exporter/probes"
)

func nan() float64 { return math.NaN() }

// FuzzLoad states: whatever a rule file holds, reading it ends, every complaint
// says where it belongs, and rules that are accepted can be evaluated without
// the engine refusing or panicking.
func FuzzLoad(f *testing.F) {
	for _, expr := range []string{
		"hygiene_disk_broken == 1", "min without (slot) (hygiene_disk_deadline_timestamp_seconds <= time())",
		`label_replace(hygiene_disk_broken, "object", "$1", "owner", "(.*)") > 0`, "hygiene_disk_broken > on (instance, object) group_left (owner) hygiene_disk_limit",
		"max_over_time(hygiene_disk_broken[5m:])", "absent(hygiene_disk_broken)", "|\n      hygiene_disk_broken\n      @ end()",
	} {
		f.Add([]byte(file(expr)))
	}
	f.Add([]byte("groups: &a\n- name: g\n  rules: *a\n"))
	f.Add([]byte("---\n---\n"))
	where := regexp.MustCompile(`^f\.yml:[1-9][0-9]*: `)
	facts := snapshot(
		probes.Sample{Metric: declared()[1], Value: 1, Labels: []string{"sda", "db"}},
		probes.Sample{Metric: declared()[0], Value: 1, Labels: []string{"sda", "a", "db"}},
	)
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Load([]File{{Name: "f.yml", Data: data}}, declared())
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			if !where.MatchString(first) {
				t.Errorf("complaint without a place: %q", first)
			}
			return
		}
		for _, failed := range rules.Evaluate(t.Context(), facts, "").Errors {
			if strings.Contains(failed.Error(), "panicked") || strings.Contains(failed.Error(), "parse error") {
				t.Error(failed)
			}
		}
	})
}
