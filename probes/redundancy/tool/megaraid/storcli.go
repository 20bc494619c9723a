// Package megaraid reads what the tools for Broadcom's MegaRAID controllers
// say, which are Dell's PERC and others too: storcli, perccli and MegaCli.
package megaraid

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// answer is what storcli and perccli print when they are asked for JSON; see the
// StorCLI reference manual.
type answer struct {
	Controllers []struct {
		Status struct {
			Controller  raid.Word `json:"Controller"`
			Status      string    `json:"Status"`
			Description string    `json:"Description"`
		} `json:"Command Status"`
		Data json.RawMessage `json:"Response Data"`
	} `json:"Controllers"`
}

// shown is what "show all" says of a controller. The rest is of no interest.
type shown struct {
	Basics   map[string]raid.Word `json:"Basics"`
	Status   map[string]raid.Word `json:"Status"`
	HwCfg    map[string]raid.Word `json:"HwCfg"`
	Topology []struct {
		DG    raid.Word `json:"DG"`
		Arr   raid.Word `json:"Arr"`
		Place raid.Word `json:"EID:Slot"`
		Row   raid.Word `json:"Row"`
		Type  raid.Word `json:"Type"`
		State raid.Word `json:"State"`
	} `json:"TOPOLOGY"`
	Volumes []struct {
		ID    raid.Word `json:"DG/VD"`
		Type  raid.Word `json:"TYPE"`
		State raid.Word `json:"State"`
		Name  raid.Word `json:"Name"`
	} `json:"VD LIST"`
	Disks      []disk `json:"PD LIST"`
	JBOD       []disk `json:"JBOD LIST"`
	CacheVault []pack `json:"Cachevault_Info"`
	Battery    []pack `json:"BBU_Info"`
	EnergyPack []pack `json:"Energy_Pack_Info"`
}

type disk struct {
	Place  raid.Word `json:"EID:Slt"`
	State  raid.Word `json:"State"`
	Status raid.Word `json:"Status"` // of storcli2, whose State says only whether the disk is configured
	DG     raid.Word `json:"DG"`
}

type pack struct {
	State raid.Word `json:"State"`
}

// StorCLI reads the JSON of "storcli /cALL show all", of
// "storcli /cALL/eALL/sALL show rebuild" where there is one, and of
// "storcli /cALL show patrolread" and "show cc".
func StorCLI(show, rebuild []byte, checks Checks) ([]group.Group, error) {
	var a answer
	if err := json.Unmarshal(show, &a); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("the output is no JSON: %w", err))
	}
	var groups []group.Group
	progress := rebuilds(rebuild)
	patrol, consistency := jsonChecks(checks.Patrol), jsonChecks(checks.Consistency)
	for _, c := range a.Controllers {
		name := "c" + string(c.Status.Controller)
		if c.Status.Status != "Success" {
			if c.Status.Controller == "" {
				if none(c.Status.Description) {
					continue
				}
				return nil, probes.Because(probes.Unavailable, fmt.Errorf("the tool says: %.200s", c.Status.Description))
			}
			g := group.Group{Kind: group.MegaRAID, Name: name}
			g.Unclear(probes.Because(probes.Unavailable, fmt.Errorf("the tool says of the controller: %.200s", c.Status.Description)))
			groups = append(groups, g)
			continue
		}
		var s shown
		if err := json.Unmarshal(c.Data, &s); err != nil {
			g := group.Group{Kind: group.MegaRAID, Name: name}
			g.Unclear(probes.Because(probes.Malformed, fmt.Errorf("what the tool says of the controller: %w", err)))
			groups = append(groups, g)
			continue
		}
		groups = append(groups, s.controller(name))
		for i := range s.Volumes {
			g := s.volume(name, i, progress)
			_, id, _ := strings.Cut(g.Name, "/v")
			checked(&g, id, s.ahead(), patrol[name], consistency[name])
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// ahead returns by how much the clock of the controller is ahead of that of the
// host, which the tool tells in UTC, because it runs so; nil if that is not known.
func (s *shown) ahead() *time.Duration {
	controller, err := time.Parse(clock, string(s.Basics["Current Controller Date/Time"]))
	host, failed := time.Parse(clock, string(s.Basics["Current System Date/time"]))
	if err != nil || failed != nil {
		return nil
	}
	return new(controller.Sub(host))
}

// none tells a host without a controller from a tool that fails.
func none(description string) bool {
	text := strings.ToLower(description)
	return strings.Contains(text, "no controller") || strings.Contains(text, "controller not found") || text == "none"
}

// rebuilds returns the ratios of the rebuilds that run, by the place of the
// disk.
func rebuilds(data []byte) map[string]float64 {
	var a answer
	if json.Unmarshal(data, &a) != nil {
		return nil // it says nothing of how far they are
	}
	progress := map[string]float64{}
	for _, c := range a.Controllers {
		var drives []struct {
			ID       string    `json:"Drive-ID"`
			Progress raid.Word `json:"Progress%"`
		}
		_ = json.Unmarshal(c.Data, &drives) // as above
		for _, d := range drives {
			if ratio, ok := raid.Number(string(d.Progress)); ok {
				progress[d.ID] = ratio
			}
		}
	}
	return progress
}

func (s *shown) controller(name string) group.Group {
	c := raid.Controller{State: string(s.Status["Controller Status"]), Protected: s.protected()}
	c.Condition = controllerCondition(c.State)
	for _, d := range slices.Concat(s.Disks, s.JBOD) {
		state, role := d.role()
		c.Disks = append(c.Disks, raid.Disk{Name: string(d.Place), State: state, Role: role})
	}
	g := group.Group{Kind: group.MegaRAID, Name: name}
	c.Fill(&g)
	g.Spares = 0
	for _, d := range s.Disks {
		if strings.EqualFold(string(d.State), "GHS") { // a dedicated one belongs to its volume
			g.Spares++
		}
	}
	return g
}

// role returns the words for a disk and what they mean.
func (d disk) role() (string, raid.Role) {
	state := string(d.State)
	if d.DG == "F" {
		return state + ", foreign", raid.Foreign
	}
	if d.Status != "" {
		return state + ", " + string(d.Status), diskRole(string(d.Status))
	}
	return state, diskRole(state)
}

// volume describes the volume with this index.
func (s *shown) volume(controller string, index int, progress map[string]float64) group.Group {
	v := s.Volumes[index]
	dg, id, _ := strings.Cut(string(v.ID), "/")
	if id == "" {
		id = dg
	}
	volume := raid.Volume{Level: string(v.Type), State: string(v.State), Condition: volumeCondition(string(v.State))}
	if strings.HasPrefix(volume.Level, "Cac") || strings.HasPrefix(volume.Level, "Nytro") {
		volume.Level = "cachecade"
	}
	ratio, running := 2.0, false
	for _, row := range s.Topology {
		if row.Type != "DRIVE" || string(row.DG) != dg {
			continue
		}
		d := raid.Disk{Name: string(row.Place), State: string(row.State), Role: diskRole(string(row.State)), Span: span(row.Arr)}
		if d.Role == raid.Spare && row.Arr != "-" {
			d.Role = raid.Strange // a spare has no place in an array
		}
		if d.Name == "-" || d.Role == raid.Absent {
			d.Name, d.Role = fmt.Sprintf("row %s of array %s", row.Row, row.Arr), raid.Absent
		}
		volume.Disks = append(volume.Disks, d)
		if r, ok := progress[driveID(controller, d.Name)]; ok && d.Role == raid.Rebuilding {
			ratio, running = min(ratio, r), true
		}
	}
	g := group.Group{Kind: group.MegaRAID, Name: controller + "/v" + id}
	if len(volume.Disks) == 0 {
		for _, d := range s.Disks {
			if string(d.DG) == dg {
				state, role := d.role()
				volume.Disks = append(volume.Disks, raid.Disk{Name: string(d.Place), State: state, Role: role})
			}
		}
	}
	volume.Fill(&g)
	if running {
		g.Sync.HasRatio, g.Sync.Ratio = true, ratio
	}
	if v.Name != "" {
		g.Note("It is named %q.", string(v.Name))
	}
	return g
}

// driveID is how the tool names a disk where a command takes one.
func driveID(controller, place string) string {
	enclosure, slot, _ := strings.Cut(place, ":")
	return "/" + controller + "/e" + strings.TrimSpace(enclosure) + "/s" + slot
}

func span(arr raid.Word) int {
	n := 0
	_, _ = fmt.Sscan(string(arr), &n) // it is the only one
	return n
}

// protected returns whether the write cache survives a power failure. A pack
// that learns or charges is neither: the controller writes through meanwhile.
func (s *shown) protected() *bool {
	packs := slices.Concat(s.CacheVault, s.Battery, s.EnergyPack)
	for _, p := range packs {
		switch strings.ToLower(string(p.State)) {
		case "optimal", "optl", "ok":
		case "learning", "charging", "":
			return nil
		default:
			return new(false)
		}
	}
	if len(packs) > 0 {
		return new(true)
	}
	present := s.HwCfg["BBU"] == "Present" || s.HwCfg["Energy Pack"] == "Present"
	switch status := s.Status["BBU Status"]; {
	case !present, status == "", status == "NA":
		return nil
	case status == "0":
		return new(true)
	case status == "8", status == "4096": // it charges
		return nil
	}
	return new(false)
}
