package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxAck  = 30 * 24 * time.Hour
	maxBy   = 100  // bytes
	maxNote = 1000 // bytes
)

// ErrNoProblem says that a selector names no open problem.
var ErrNoProblem = errors.New("no open problem")

// Ack records that somebody takes the selected problems until the ack expires;
// an earlier one is replaced. A selector is an episode, or PROBE/CHECK/OBJECT,
// which selects the problems of all severities. It returns a change for each
// problem, or an error and changes nothing.
func (l *Ledger) Ack(selector string, a Ack) ([]Change, error) {
	a.At, a.Expires = a.At.UTC().Round(0), a.Expires.UTC().Round(0)
	if err := a.validate(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	selected, err := l.find(selector)
	if err != nil {
		return nil, err
	}
	l.tick(a.At)
	var changes []Change
	for _, p := range selected {
		ack := a
		p.Ack, p.TakenBy = &ack, ack.By
		if !p.AckCounted {
			p.AckCounted = true
			l.counts.timeToAck.observe(p.Probe, l.clock.since(p.Opened))
		}
		changes = append(changes, Change{Kind: Acked, Problem: p.clone(), By: a.By, UID: a.UID})
	}
	l.touch()
	return changes, nil
}

// Unack takes the acks of the selected problems back. It is an error if none of
// them has one.
func (l *Ledger) Unack(selector, by string, uid uint32) ([]Change, error) {
	if err := checkText("by", by, maxBy); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	selected, err := l.find(selector)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, p := range selected {
		if p.Ack != nil {
			changes = append(changes, Change{Kind: Unacked, Problem: p.clone(), By: by, UID: uid})
			p.Ack = nil
		}
	}
	if changes == nil {
		return nil, fmt.Errorf("%.80q is not acknowledged", selector)
	}
	l.touch()
	return changes, nil
}

func (a *Ack) validate() error {
	lasts := a.Expires.Sub(a.At)
	if lasts <= 0 || lasts > maxAck {
		return fmt.Errorf("an acknowledgement lasts more than 0 and at most 30d, not %s", lasts)
	}
	if err := checkText("by", a.By, maxBy); err != nil {
		return err
	}
	if a.Note == "" {
		return nil
	}
	return checkText("note", a.Note, maxNote)
}

// checkText keeps out what a metric label or a line of a log cannot show.
func checkText(name, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return fmt.Errorf("%s must not be empty", name)
	case len(text) > most:
		return fmt.Errorf("%s must have at most %d bytes, not %d", name, most, len(text))
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%s must be one line of text, not %.40q", name, text)
	}
	return nil
}

// find returns the selected problems by key.
func (l *Ledger) find(selector string) ([]*problem, error) {
	var selected []*problem
	probe, rest, _ := strings.Cut(selector, "/")
	check, object, named := strings.Cut(rest, "/")
	for _, p := range l.problems {
		if strings.EqualFold(p.Episode, selector) ||
			named && p.Probe == probe && p.Check == check && p.Object == object {
			selected = append(selected, p)
		}
	}
	if selected == nil {
		return nil, fmt.Errorf("%w is %.80q; name an EPISODE or PROBE/CHECK/OBJECT", ErrNoProblem, selector)
	}
	slices.SortFunc(selected, func(a, b *problem) int { return compareKeys(a.Key, b.Key) })
	return selected, nil
}
