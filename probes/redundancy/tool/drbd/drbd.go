// Package drbd reads what drbdsetup says of replicated devices, and what the
// kernel says of those of DRBD 8.4.
package drbd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

type resource struct {
	Name        string       `json:"name"`
	Role        string       `json:"role"`
	Suspended   raid.Word    `json:"suspended"`
	Devices     []device     `json:"devices"`
	Connections []connection `json:"connections"`
}

type device struct {
	Volume int    `json:"volume"`
	Disk   string `json:"disk-state"`
	Client bool   `json:"client"` // has no disk on purpose
	Quorum *bool  `json:"quorum"`
}

type connection struct {
	Name    string       `json:"name"`
	State   string       `json:"connection-state"`
	Devices []peerDevice `json:"peer_devices"`
}

type peerDevice struct {
	Volume      int       `json:"volume"`
	Replication string    `json:"replication-state"`
	Disk        string    `json:"peer-disk-state"`
	Client      bool      `json:"peer-client"`
	Percent     raid.Word `json:"percent-in-sync"`
}

// Status reads the JSON of "drbdsetup status --json".
func Status(data []byte) ([]group.Group, error) {
	var resources []resource
	if err := json.Unmarshal(data, &resources); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("the output is no JSON: %w", err))
	}
	return groups(resources), nil
}

func groups(resources []resource) (all []group.Group) {
	for _, r := range resources {
		for _, d := range r.Devices {
			all = append(all, r.group(d))
		}
	}
	return all
}

// group describes a volume. Every copy that is up to date can go on alone.
func (r *resource) group(d device) group.Group {
	g := group.Group{Kind: group.DRBD, Name: fmt.Sprintf("%s/%d", r.Name, d.Volume), Needed: 1}
	g.Note("The role of this host is %s.", r.Role)
	if !d.Client {
		local(&g, d.Disk)
	}
	for _, c := range r.Connections {
		for _, p := range c.Devices {
			if p.Volume == d.Volume && !p.Client {
				peer(&g, c, p)
			}
		}
	}
	g.Expected = len(g.Members)
	if suspended := string(r.Suspended); suspended != "" && suspended != "no" && suspended != "false" {
		g.Failed = "writing is suspended: " + suspended
	}
	if d.Quorum != nil && !*d.Quorum {
		g.Failed = "there is no quorum"
	}
	if g.Active() == 0 && g.Failed == "" && g.Err == nil {
		g.Failed = "no copy is known to be up to date"
	}
	return g
}

func local(g *group.Group, state string) {
	if !slices.Contains(diskStates(), state) {
		g.Unclear(group.Word("the state of the disk", state))
	}
	g.Members = append(g.Members, group.Member{Name: "here", Active: state == "UpToDate", State: state})
}

func peer(g *group.Group, c connection, p peerDevice) {
	name := c.Name
	if name == "" {
		name = "peer"
	}
	for _, word := range []struct {
		what, word string
		known      []string
	}{
		{"the connection to ", c.State, connectionStates()},
		{"the disk of ", p.Disk, diskStates()},
		{"the replication to ", p.Replication, replicationStates()},
	} {
		if !slices.Contains(word.known, word.word) {
			g.Unclear(group.Word(word.what+name, word.word))
		}
	}
	m := group.Member{Name: name, State: strings.Join([]string{c.State, p.Replication, p.Disk}, " ")}
	m.Active = c.State == "Connected" && p.Disk == "UpToDate"
	g.Members = append(g.Members, m)
	if c.State == "StandAlone" {
		g.Note("This host does not try to connect to %s any more: somebody disconnected them, or each has data that the other lacks (split brain).", name)
	}
	switch replication := p.Replication; {
	case strings.HasPrefix(replication, "Sync"), strings.HasPrefix(replication, "PausedSync"):
		g.Sync.Rebuilding = true
		g.Sync.Ratio, g.Sync.HasRatio = raid.Number(string(p.Percent))
	case strings.HasPrefix(replication, "Verify"):
		g.Sync.Scrubbing = true
	}
}

// The words of drbdsetup(8).

func diskStates() []string {
	return []string{
		"Diskless", "Attaching", "Detaching", "Failed", "Negotiating", "Inconsistent", "Outdated", "DUnknown",
		"Consistent", "UpToDate",
	}
}

func connectionStates() []string {
	return []string{
		"StandAlone", "Disconnecting", "Unconnected", "Timeout", "BrokenPipe", "NetworkFailure", "ProtocolError",
		"TearDown", "Connecting", "WFConnection", "WFReportParams", "Connected",
	}
}

func replicationStates() []string {
	return []string{
		"", "Off", "Established", "StartingSyncS", "StartingSyncT", "WFBitMapS", "WFBitMapT", "WFSyncUUID", "SyncSource",
		"SyncTarget", "VerifyS", "VerifyT", "PausedSyncS", "PausedSyncT", "Ahead", "Behind",
	}
}
