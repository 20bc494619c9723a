package redundancy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

var _ probes.Baseliner = (*probe)(nil)

// Baseline implements probes.Baseliner.
func (p *probe) Baseline() ([]probes.Remembered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.loaded {
		return nil, errors.New("what was there earlier is not known yet")
	}
	var all []probes.Remembered
	for _, object := range p.memory.Present() {
		all = append(all, p.remembered(object))
	}
	return all, nil
}

// remembered describes one object.
func (p *probe) remembered(object string) probes.Remembered {
	known, _ := p.memory.Object(object)
	s := p.last[object]
	return probes.Remembered{
		Object: object, Since: known.First, Expected: known.Detail.Members, Present: s.group.Present(), Spares: known.Detail.Spares,
		State: s.verdict.state, Missing: known.Detail.absent(&s.group, s.verdict.missing), Removed: !known.Removed.IsZero(),
	}
}

// Accept implements probes.Baseliner. An object of the configuration follows
// the configuration, and is refused.
func (p *probe) Accept(object string) (probes.Remembered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	none := probes.Remembered{}
	switch e := p.config.expected(object); {
	case !p.loaded:
		return none, errors.New("what was there earlier is not known yet")
	case e.Members != nil || e.Spares != nil:
		return none, fmt.Errorf("%s is named under expect in the configuration; change it there", object)
	case !slices.Contains(p.memory.Present(), object):
		return none, fmt.Errorf("nothing is remembered of %.80q; see baseline show", object)
	}
	now := time.Now()
	known, _ := p.memory.Object(object)
	s, seen := p.last[object]
	kind, _, _ := strings.Cut(object, "/")
	switch {
	case !seen || s.closed:
		return none, fmt.Errorf("%s: %s could not be looked at in the last run, so that nothing is known to accept", object, kind)
	case s.verdict.state == missing:
		p.memory.Removed(object, now)
	case s.group.Err != nil:
		return none, fmt.Errorf("%s is not understood, so that nothing is known to accept: %w", object, s.group.Err)
	default:
		p.memory.Saw(object, known.Detail.accept(&s.group), now)
	}
	if err := p.memory.Save(); err != nil {
		return none, fmt.Errorf("accepted, and not saved: %w", err)
	}
	s.verdict = judge(&s.group, known.Detail.accept(&s.group))
	if p.last[object].verdict.state != missing {
		p.last[object] = s
	}
	return p.remembered(object), nil
}
