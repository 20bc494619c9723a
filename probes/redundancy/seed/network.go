package seed

import (
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes/redundancy/group"
)

// ParseInterfaces reads the bonds of ifupdown: interfaces(5) and ifenslave.
func ParseInterfaces(data []byte) (seeds []Seed) {
	at := ""
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch strings.ReplaceAll(words[0], "_", "-") {
		case "iface":
			at = words[1]
		case "auto", "mapping", "source", "source-directory":
			at = ""
		case "bond-slaves", "slaves":
			if at == "" || words[1] == "none" {
				continue
			}
			seeds = append(seeds, Seed{Kind: group.Bond, Name: at, Members: words[1:]})
		case "bond-master":
			if at != "" {
				seeds = append(seeds, Seed{Kind: group.Bond, Name: words[1], Members: []string{at}})
			}
		}
	}
	return seeds
}

// ParseNetplan reads the bonds of netplan.
func ParseNetplan(data []byte) (seeds []Seed) {
	var in struct {
		Network struct {
			Bonds map[string]struct {
				Interfaces []string `yaml:"interfaces"`
			} `yaml:"bonds"`
		} `yaml:"network"`
	}
	if yaml.Unmarshal(data, &in) != nil {
		return nil
	}
	for name, bond := range in.Network.Bonds {
		if len(bond.Interfaces) > 0 {
			seeds = append(seeds, Seed{Kind: group.Bond, Name: name, Members: bond.Interfaces})
		}
	}
	return seeds
}

// sections reads a file of keys in sections, as systemd and NetworkManager have
// them: "section.key" to its values, in lower case.
func sections(data []byte) map[string][]string {
	all := map[string][]string{}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = strings.ToLower(line[1 : len(line)-1])
			continue
		}
		key, value, is := strings.Cut(line, "=")
		if !is || line[0] == '#' || line[0] == ';' {
			continue
		}
		key = section + "." + strings.ToLower(strings.TrimSpace(key))
		all[key] = append(all[key], strings.TrimSpace(value))
	}
	return all
}

// ParseNetworkd reads a systemd.network(5) that puts interfaces into a bond. What
// is matched by a pattern cannot be counted.
func ParseNetworkd(data []byte) (seeds []Seed) {
	keys := sections(data)
	var names []string
	for _, value := range keys["match.name"] {
		for name := range strings.FieldsSeq(value) {
			if !strings.ContainsAny(name, "*?[!") {
				names = append(names, name)
			}
		}
	}
	for _, bond := range keys["network.bond"] {
		if len(names) > 0 && bond != "" {
			seeds = append(seeds, Seed{Kind: group.Bond, Name: bond, Members: names})
		}
	}
	return seeds
}

// ParseIfcfg reads a file ifcfg-* of the network scripts of Red Hat.
func ParseIfcfg(data []byte) (seeds []Seed) {
	keys := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, is := strings.Cut(strings.TrimSpace(line), "=")
		if is {
			keys[key] = strings.Trim(value, `"'`)
		}
	}
	if strings.EqualFold(keys["ONBOOT"], "no") || keys["DEVICE"] == "" {
		return nil
	}
	if keys["MASTER"] != "" && strings.EqualFold(keys["SLAVE"], "yes") {
		seeds = append(seeds, Seed{Kind: group.Bond, Name: keys["MASTER"], Members: []string{keys["DEVICE"]}})
	}
	if keys["TEAM_MASTER"] != "" {
		seeds = append(seeds, Seed{Kind: group.Team, Name: keys["TEAM_MASTER"], Members: []string{keys["DEVICE"]}})
	}
	return seeds
}

// connections reads the key files of NetworkManager. A port names the connection
// that controls it by its UUID, its interface or its name.
func (r *reader) connections(dirs ...string) {
	var files []map[string][]string
	for _, dir := range dirs {
		entries, _ := r.files.ReadDir(dir)
		for _, entry := range entries {
			if data, err := r.files.ReadFile(path.Join(dir, entry.Name()), limit); err == nil {
				files = append(files, sections(data))
			}
		}
	}
	for _, s := range Connections(files) {
		s.From = dirs[0]
		r.add(s)
	}
}

// Connections returns the bonds and teams of connections of NetworkManager.
func Connections(files []map[string][]string) (seeds []Seed) {
	first := func(keys map[string][]string, names ...string) string {
		for _, name := range names {
			if values := keys["connection."+name]; len(values) > 0 {
				return values[0]
			}
		}
		return ""
	}
	device := map[string]string{} // of a controller, by everything that can name it
	for _, keys := range files {
		if !slices.Contains([]string{"bond", "team"}, first(keys, "type")) {
			continue
		}
		name := first(keys, "interface-name")
		for _, key := range []string{first(keys, "uuid"), first(keys, "id"), name} {
			if key != "" {
				device[key] = name
			}
		}
	}
	for _, keys := range files {
		kind := first(keys, "port-type", "slave-type")
		controller := first(keys, "controller", "master")
		port := first(keys, "interface-name")
		if !slices.Contains([]string{"bond", "team"}, kind) || controller == "" || port == "" || first(keys, "autoconnect") == "false" {
			continue
		}
		if name := device[controller]; name != "" {
			controller = name
		}
		seeds = append(seeds, Seed{Kind: map[string]string{"bond": group.Bond, "team": group.Team}[kind], Name: controller, Members: []string{port}})
	}
	return seeds
}
