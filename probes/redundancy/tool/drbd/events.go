package drbd

import (
	"strconv"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// Events reads what "drbdsetup events2 --now" prints, for versions whose status
// has no JSON.
func Events(data []byte) []group.Group {
	var resources []*resource
	find := func(name string) *resource {
		for _, r := range resources {
			if r.Name == name {
				return r
			}
		}
		resources = append(resources, &resource{Name: name})
		return resources[len(resources)-1]
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "exists" {
			continue
		}
		values := map[string]string{}
		for _, field := range fields[2:] {
			key, value, _ := strings.Cut(field, ":")
			values[key] = value
		}
		if values["name"] != "" {
			find(values["name"]).event(fields[1], values)
		}
	}
	var list []resource
	for _, r := range resources {
		list = append(list, *r)
	}
	return groups(list)
}

func (r *resource) event(what string, values map[string]string) {
	volume, _ := strconv.Atoi(values["volume"])
	peer := values["conn-name"]
	if peer == "" {
		peer = values["peer-node-id"]
	}
	switch what {
	case "resource":
		r.Role, r.Suspended = values["role"], raid.Word(values["suspended"])
	case "device":
		d := device{Volume: volume, Disk: values["disk"], Client: values["client"] == "yes"}
		if quorum, said := values["quorum"]; said {
			d.Quorum = new(quorum == "yes")
		}
		r.Devices = append(r.Devices, d)
	case "connection":
		r.peer(peer).State = values["connection"]
	case "peer-device":
		c := r.peer(peer)
		c.Devices = append(c.Devices, peerDevice{
			Volume: volume, Replication: values["replication"], Disk: values["peer-disk"],
			Client: values["peer-client"] == "yes", Percent: raid.Word(values["done"]),
		})
	}
}

func (r *resource) peer(name string) *connection {
	for i := range r.Connections {
		if r.Connections[i].Name == name {
			return &r.Connections[i]
		}
	}
	r.Connections = append(r.Connections, connection{Name: name})
	return &r.Connections[len(r.Connections)-1]
}
