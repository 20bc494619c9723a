package seed

import (
	"encoding/binary"
	"path"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
)

// ParseMdadm reads mdadm.conf(5). Lines that begin with a space continue the one
// before. Containers of external metadata are no arrays of their own.
func ParseMdadm(data []byte) (seeds []Seed) {
	var lines []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(strings.TrimRight(line, "\r\n"), "#")
		if len(lines) > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			lines[len(lines)-1] += line
			continue
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.EqualFold(words[0], "ARRAY") || strings.HasPrefix(words[1], "<") {
			continue
		}
		s := Seed{Kind: group.MDRaid}
		if !strings.Contains(words[1], "=") {
			s.Name = path.Base(words[1])
		}
		container, inside := false, false
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			switch strings.ToLower(key) {
			case "uuid":
				s.ID = UUID(value)
			case "num-devices":
				s.Count, _ = strconv.Atoi(value)
			case "spares":
				s.Spares, _ = strconv.Atoi(value)
			case "metadata":
				container = value == "imsm" || value == "ddf"
			case "container":
				inside = true
			}
		}
		if container && !inside || s.Name == "" && s.ID == "" {
			continue
		}
		if s.Name == "" {
			s.Name = s.ID
		}
		s.Count = max(0, s.Count)
		seeds = append(seeds, s)
	}
	return seeds
}

// UUID brings the spellings of md into one: that of the kernel has dashes, that
// of mdadm colons.
func UUID(text string) string {
	return strings.ToLower(strings.NewReplacer("-", "", ":", "").Replace(text))
}

// ParseFstab reads the btrfs file systems of fstab(5) that are mounted at boot
// and named by their UUID.
func ParseFstab(data []byte) (seeds []Seed) {
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 4 || words[2] != "btrfs" {
			continue
		}
		id, is := strings.CutPrefix(words[0], "UUID=")
		if !is {
			id, is = strings.CutPrefix(words[0], "/dev/disk/by-uuid/")
		}
		id = strings.ToLower(strings.Trim(id, `"`))
		options := strings.Split(words[3], ",")
		if !is || id == "" || slices.Contains(options, "noauto") || slices.Contains(options, "nofail") {
			continue
		}
		s := Seed{Kind: group.Btrfs, Name: id, ID: id}
		for _, option := range options {
			if strings.HasPrefix(option, "device=") {
				s.Count++
			}
		}
		seeds = append(seeds, s)
	}
	return seeds
}

// ParsePoolCache reads the names of the pools of zpool.cache: a packed nvlist in
// the encoding XDR, with a pair for each pool.
func ParsePoolCache(data []byte) (seeds []Seed) {
	const (
		xdr      = 1
		typeList = 19 // DATA_TYPE_NVLIST
		most     = 4096
	)
	if len(data) < 12 || data[0] != xdr {
		return nil
	}
	// The header of the stream, then version and flag of the list.
	for rest := data[12:]; len(rest) >= 20 && len(seeds) < most; {
		size := binary.BigEndian.Uint32(rest)
		length := binary.BigEndian.Uint32(rest[8:])
		if size == 0 || uint64(size) > uint64(len(rest)) || uint64(length) > uint64(size) {
			break
		}
		padded := (int(length) + 3) &^ 3
		if 12+padded+4 > int(size) {
			break
		}
		if name := string(rest[12 : 12+length]); binary.BigEndian.Uint32(rest[12+padded:]) == typeList && name != "" {
			seeds = append(seeds, Seed{Kind: group.ZFS, Name: name})
		}
		rest = rest[size:]
	}
	return seeds
}
