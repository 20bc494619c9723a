// Package team reads what teamdctl says of a network team: more than the kernel,
// which does not know of aggregators.
package team

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

type state struct {
	Ports map[string]port `json:"ports"`
	Run   struct {
		Active string `json:"active_port"`
	} `json:"runner"`
	Setup struct {
		Runner string `json:"runner_name"`
	} `json:"setup"`
}

type port struct {
	Link struct {
		Up *bool `json:"up"`
	} `json:"link"`
	Watches struct {
		Up   *bool `json:"up"`
		List map[string]struct {
			Down float64 `json:"down_count"`
		} `json:"list"`
	} `json:"link_watches"`
	Run *struct {
		Selected   *bool  `json:"selected"`
		State      string `json:"state"`
		Aggregator struct {
			Selected *bool `json:"selected"`
		} `json:"aggregator"`
	} `json:"runner"`
}

// Parse reads the JSON of "teamdctl team0 state dump".
func Parse(name string, data []byte) group.Group {
	g := group.Group{Kind: group.Team, Name: name, Needed: 1}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		g.Unclear(probes.Because(probes.Malformed, fmt.Errorf("the output is no JSON: %w", err)))
		return g
	}
	g.Note("The runner is %s.", s.Setup.Runner)
	if s.Setup.Runner == "activebackup" {
		g.Current = s.Run.Active
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ports)) {
		s.port(&g, name)
	}
	g.Expected = len(g.Members)
	return g
}

// port adds a port as a member. What is not said of it is not taken for good.
func (s *state) port(g *group.Group, name string) {
	p := s.Ports[name]
	m := group.Member{Name: name, State: "link down", Errors: new(0.0)}
	for _, w := range p.Watches.List {
		*m.Errors += w.Down
	}
	switch {
	case p.Link.Up == nil || p.Watches.Up == nil:
		g.Unclear(probes.Because(probes.Malformed, fmt.Errorf("nothing is said of the link of %s", name)))
	case !*p.Link.Up:
	case !*p.Watches.Up:
		m.State = "not watched to be up"
	case s.Setup.Runner == "lacp":
		m.State, m.Active = p.lacp(g, name)
	default:
		m.State, m.Active = "up", true
	}
	g.Members = append(g.Members, m)
}

// lacp judges a port of a link aggregation: it carries traffic if its partner
// agrees and it is in the aggregator that was selected. The words are those of
// teamd's runner.
func (p *port) lacp(g *group.Group, name string) (string, bool) {
	if p.Run == nil || p.Run.Selected == nil || p.Run.Aggregator.Selected == nil {
		g.Unclear(probes.Because(probes.Malformed, fmt.Errorf("nothing is said of the aggregator of %s", name)))
		return "up", false
	}
	switch p.Run.State {
	case "current":
	case "expired", "defaulted", "disabled", "port disabled":
		return "its partner is not heard: " + p.Run.State, false
	default:
		g.Unclear(group.Word("the LACP state of "+name, p.Run.State))
		return p.Run.State, false
	}
	if !*p.Run.Selected || !*p.Run.Aggregator.Selected {
		return "in another aggregator", false
	}
	return "up", true
}
