package monitor

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
)

// TestProbe and TestCheck are the probe and the check of test problems, which
// people raise to see a page arrive.
const (
	TestProbe = "test"
	TestCheck = "test"
)

// maxTest bounds how long a test problem may last.
const maxTest = 24 * time.Hour

// tests holds the test problems that were asked for and are not over.
type tests struct {
	mu  sync.Mutex
	all map[ledger.Key]test
}

type test struct {
	owner string
	until time.Time
}

func newTests() *tests { return &tests{all: map[ledger.Key]test{}} }

// add begins a test problem.
func (t *tests) add(key ledger.Key, owner string, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[key] = test{owner, until}
}

// findings returns those that last at an instant, and forgets the others.
func (t *tests) findings(at time.Time) []ledger.Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	var findings []ledger.Finding
	for key, test := range t.all {
		if !at.Before(test.until) {
			delete(t.all, key)
			continue
		}
		findings = append(findings, ledger.Finding{
			Key: key, Owner: test.owner, Rule: "HygieneTest",
			Summary: "Test of the way to on-call: " + key.Object,
		})
	}
	return findings
}

// checkTest validates what a person asked for.
func checkTest(key ledger.Key, lasts time.Duration) error {
	switch {
	case key.Object == "":
		return fmt.Errorf("a test problem needs an object")
	case !slices.Contains(detect.Severities(), key.Severity):
		return fmt.Errorf("the severity %.40q is none of %v", key.Severity, detect.Severities())
	case lasts <= 0 || lasts > maxTest:
		return fmt.Errorf("a test lasts longer than 0 and at most %s, not %s", maxTest, lasts)
	}
	return nil
}
