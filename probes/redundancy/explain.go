package redundancy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hygiene_exporter/probes/redundancy/group"
)

// shown is what the last run saw of an object.
type shown struct {
	group   group.Group
	record  record
	verdict verdict
	first   time.Time
	closed  bool // its kind could not be listed
}

// Explain describes an object as the last run saw it.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.last[object]
	if err := p.unseen[object]; !known && err != nil {
		return fmt.Sprintf("No tool tells of them: %v.\n", err), nil
	}
	if !known || s.closed {
		return "Nothing was seen of it in the last run.\n", nil
	}
	var b strings.Builder
	v := s.verdict
	fmt.Fprintf(&b, "The state is %s.\n", v.state)
	fmt.Fprintf(&b, "Members: %d expected, %d active, %d not there at all. The agent has known it since %s.\n",
		v.expected, v.active, v.missing, s.first.Format(time.DateTime+" MST"))
	switch {
	case v.known:
		fmt.Fprintf(&b, "It survives %d further failures in the worst case, and %d by design.\n", v.tolerated, v.design)
	case v.state == unknown:
		fmt.Fprintf(&b, "How many further failures it survives is not known; by design it is %d.\n", v.design)
	}
	if s.record.Spares > 0 || s.group.Spares > 0 {
		fmt.Fprintf(&b, "Of %d spares, %d are available.\n", s.record.Spares, s.group.Spares)
	}
	if s.group.Failed != "" {
		fmt.Fprintf(&b, "It does not work: %s.\n", s.group.Failed)
	}
	for _, domain := range v.shared {
		fmt.Fprintf(&b, "Its members share one %s, whose failure is one too many.\n", domain)
	}
	if s.group.Doubt != nil {
		fmt.Fprintf(&b, "It may be worse than it looks: %v.\n", s.group.Doubt)
	}
	if s.group.Err != nil {
		fmt.Fprintf(&b, "It is not understood: %v.\n", s.group.Err)
	}
	if s.group.Sync.HasRatio {
		fmt.Fprintf(&b, "It is at %.1f %% of a rebuild, resync or check.\n", s.group.Sync.Ratio*100)
	}
	for _, note := range s.group.Notes {
		b.WriteString(note + "\n")
	}
	s.members(&b)
	return b.String(), nil
}

// members lists each member, there or not.
func (s shown) members(b *strings.Builder) {
	for _, m := range s.group.Members {
		role := "not active"
		switch {
		case m.Active && !m.Spare:
			role = "active"
		case m.Spare:
			role = "aside"
		}
		words := []string{m.State}
		for _, domain := range group.Domains() {
			if name := m.Domains[domain]; name != "" {
				words = append(words, string(domain)+" "+name)
			}
		}
		fmt.Fprintf(b, "  %-24s %-11s %s\n", m.Name, role, strings.TrimPrefix(strings.Join(words, ", "), ", "))
	}
	for _, name := range s.record.absent(&s.group, s.verdict.missing) {
		fmt.Fprintf(b, "  %-24s missing\n", name)
	}
}
