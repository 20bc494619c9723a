package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// A Getter gets a resource of a Redfish service by its path.
type Getter func(ctx context.Context, path string) ([]byte, error)

// link is a reference to another resource.
type link struct {
	ID string `json:"@odata.id"`
}

// chassis names where its power supplies and fans are: in the schemas Power and
// Thermal, and in PowerSubsystem and ThermalSubsystem of newer services.
type chassis struct {
	ID               string `json:"Id"`
	Power            link   `json:"Power"`
	Thermal          link   `json:"Thermal"`
	PowerSubsystem   link   `json:"PowerSubsystem"`
	ThermalSubsystem link   `json:"ThermalSubsystem"`
}

// parts is what all of these schemas hold.
type parts struct {
	Supplies   json.RawMessage `json:"PowerSupplies"` // the supplies, or a link to their collection
	Fans       json.RawMessage `json:"Fans"`
	Redundancy []redundancy    `json:"Redundancy"`
	OfSupplies []redundancy    `json:"PowerSupplyRedundancy"`
	OfFans     []redundancy    `json:"FanRedundancy"`
}

type unit struct {
	ID       string `json:"Id"`
	MemberID string `json:"MemberId"`
	Name     string `json:"Name"`
	FanName  string `json:"FanName"`
	Status   status `json:"Status"`
}

type status struct {
	State  string `json:"State"`
	Health string `json:"Health"`
}

// redundancy says how many are needed to be redundant, which is one more than
// are needed to work.
type redundancy struct {
	Mode       string `json:"Mode"`
	Type       string `json:"RedundancyType"`
	Needed     *int   `json:"MinNumNeeded"`
	NeededHere *int   `json:"MinNeededInGroup"`
	Status     status `json:"Status"`
}

// maxChassis bounds how many chassis of a service are looked at, and maxUnits
// how many units of each.
const (
	maxChassis = 32
	maxUnits   = 64
)

// Redfish reads the power supplies and fans of all chassis of a service; see
// DSP2046 of DMTF. Objects are named after the service.
func Redfish(ctx context.Context, name string, get Getter) ([]group.Group, error) {
	all, err := collection(ctx, get, "/redfish/v1/Chassis")
	if err != nil {
		return nil, err
	}
	var groups []group.Group
	for _, path := range all[:min(len(all), maxChassis)] {
		var c chassis
		if err := fetch(ctx, get, path, &c); err != nil {
			return nil, err
		}
		at := name + "/" + strings.ReplaceAll(c.ID, "/", "_")
		for _, part := range []struct {
			kind      string
			old, here link
		}{{group.Power, c.Power, c.PowerSubsystem}, {group.Fan, c.Thermal, c.ThermalSubsystem}} {
			g, err := read(ctx, get, part.kind, part.old, part.here)
			if err != nil {
				g = &group.Group{Err: err}
			}
			if g != nil {
				g.Kind, g.Name = part.kind, at
				groups = append(groups, *g)
			}
		}
	}
	return groups, nil
}

func fetch(ctx context.Context, get Getter, path string, into any) error {
	data, err := get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return probes.Because(probes.Malformed, fmt.Errorf("%s: %w", path, err))
	}
	return nil
}

// collection returns the paths of the members of a collection.
func collection(ctx context.Context, get Getter, path string) ([]string, error) {
	var c struct {
		Members []link `json:"Members"`
	}
	err := fetch(ctx, get, path, &c)
	var paths []string
	for _, m := range c.Members {
		paths = append(paths, m.ID)
	}
	return paths, err
}

// read reads the units of one kind of a chassis, nil if it has none.
func read(ctx context.Context, get Getter, kind string, old, here link) (*group.Group, error) {
	path := here.ID
	if old.ID != "" {
		path = old.ID
	}
	if path == "" {
		return nil, nil //nolint:nilnil // a chassis without any is no error
	}
	var p parts
	if err := fetch(ctx, get, path, &p); err != nil {
		return nil, err
	}
	raw, rules := p.Supplies, slices.Concat(p.Redundancy, p.OfSupplies)
	if kind == group.Fan {
		raw, rules = p.Fans, slices.Concat(p.Redundancy, p.OfFans)
	}
	units, err := units(ctx, get, raw)
	if err != nil || len(units) == 0 {
		return nil, err
	}
	return judge(kind, units, rules), nil
}

// units reads a list of units, or the collection that a link leads to.
func units(ctx context.Context, get Getter, raw json.RawMessage) ([]unit, error) {
	var all []unit
	if json.Unmarshal(raw, &all) == nil {
		return all, nil
	}
	var to link
	if err := json.Unmarshal(raw, &to); err != nil || to.ID == "" {
		return nil, probes.Because(probes.Malformed, errors.New("the units are neither listed nor linked"))
	}
	paths, err := collection(ctx, get, to.ID)
	if err != nil {
		return nil, err
	}
	for _, path := range paths[:min(len(paths), maxUnits)] {
		var u unit
		if err := fetch(ctx, get, path, &u); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// judge makes a group of units. Absent ones are places, and no members.
func judge(kind string, units []unit, rules []redundancy) *group.Group {
	g := &group.Group{Kind: kind, Known: true}
	for i, u := range units {
		name := u.Name
		switch {
		case name == "" && u.FanName != "":
			name = u.FanName
		case name == "":
			name = fmt.Sprintf("unit %d", i)
		}
		if id := u.MemberID + u.ID; id != "" && slices.ContainsFunc(g.Members, func(m group.Member) bool { return m.Name == name }) {
			name += " " + id
		}
		m := group.Member{ID: u.MemberID + u.ID, Name: name, State: strings.TrimSpace(u.Status.State + " " + u.Status.Health)}
		works, there, err := u.Status.works()
		if err != nil {
			g.Unclear(fmt.Errorf("%s: %w", name, err))
		}
		if m.Active = works; there {
			g.Members = append(g.Members, m)
		}
	}
	g.Expected = len(g.Members)
	if kind == group.Power {
		g.Design = max(0, min(1, g.Expected-1))
	}
	g.Tolerated = max(0, g.Design-(g.Expected-g.Active()))
	for _, r := range rules {
		r.apply(g)
	}
	if g.Expected > 0 && g.Active() == 0 {
		g.Unclear(group.Word("the state of all of them", g.Members[0].State))
	}
	return g
}

// works judges a status; see the property Status of Resource in DSP0268.
func (s status) works() (works, there bool, err error) {
	switch s.State {
	case "Enabled", "StandbySpare", "InTest", "Starting", "Updating", "Qualified", "Quiesced", "Deferring", "":
		works = true
	case "Degraded":
		works = true // it does its part
	case "Disabled", "StandbyOffline", "UnavailableOffline":
	case "Absent":
		return false, false, nil
	default:
		return false, true, group.Word("the state", s.State)
	}
	switch s.Health {
	case "OK", "Warning":
	case "":
		if s.State == "" {
			return false, true, group.Word("the status", "")
		}
	case "Critical":
		works = false
	default:
		return false, true, group.Word("the health", s.Health)
	}
	return works, true, nil
}

// apply takes in what a service says of the redundancy of its units.
func (r redundancy) apply(g *group.Group) {
	needed := r.Needed
	if needed == nil {
		needed = r.NeededHere
	}
	if r.Mode == "NotRedundant" || r.Type == "NotRedundant" {
		g.Note("The service says that they are not redundant.")
		g.Design, g.Tolerated = 0, 0
		return
	}
	if needed != nil && *needed > 0 && *needed <= g.Expected {
		g.Note("The service says that %d are needed to be redundant.", *needed)
		g.Design = min(g.Expected-1, 1+g.Expected-*needed)
		g.Tolerated = max(0, min(g.Active()-1, 1+g.Active()-*needed))
	}
	if r.Status.Health == "Warning" || r.Status.Health == "Critical" {
		g.Note("The service says of their redundancy: %s.", r.Status.Health)
		g.Tolerated = 0
	}
}
