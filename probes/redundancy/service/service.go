// Package service reads the servers that every host needs more than one of:
// resolvers of names and sources of time. It asks nothing beyond this host: of
// resolvers only what is configured is known, of sources of time what the
// daemon on this host says of them.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// Read returns the resolvers and the sources of time of the host.
func Read(ctx context.Context, host probes.Host) group.Reading {
	var reading group.Reading
	if err := resolvers(host.Files, &reading); err != nil {
		reading.Close(group.DNS, err)
	}
	if err := sources(ctx, host, &reading); err != nil {
		reading.Close(group.Time, err)
	}
	return reading
}

const (
	resolvConf  = "/etc/resolv.conf"
	systemdConf = "/run/systemd/resolve/resolv.conf" // what the stub of systemd-resolved asks
	limit       = 1 << 20
	usedByLibc  = 3 // MAXNS of resolv.conf(5)
)

func resolvers(files *rootfs.FS, reading *group.Reading) error {
	data, err := files.ReadFile(resolvConf, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	servers, most := ParseResolvers(data), usedByLibc
	if len(servers) == 1 && slices.Contains([]string{"127.0.0.53", "127.0.0.54"}, servers[0]) {
		if data, err := files.ReadFile(systemdConf, limit); err == nil {
			servers, most = ParseResolvers(data), len(data)
		}
	}
	g := group.Group{Kind: group.DNS, Name: "resolvers", Needed: 1, Ordinary: true}
	for i, server := range servers {
		m := group.Member{ID: server, Name: server, Active: true, State: "configured"}
		if i >= most {
			m.Active, m.Spare, m.State = false, true, "behind the third, and never asked"
		}
		g.Members = append(g.Members, m)
	}
	g.Expected = g.Present()
	if len(g.Members) > 0 {
		g.Sort()
		reading.Groups = append(reading.Groups, g)
	}
	return nil
}

// ParseResolvers returns the servers of a resolv.conf(5), each once, in order.
func ParseResolvers(data []byte) (servers []string) {
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		address, err := netip.ParseAddr(words[1])
		if err == nil && !slices.Contains(servers, address.String()) {
			servers = append(servers, address.String())
		}
	}
	return servers
}

// sources asks the daemon that keeps the time. There is one, or none.
func sources(ctx context.Context, host probes.Host, reading *group.Reading) error {
	for _, daemon := range []struct {
		traces []string // of one that is installed or runs
		read   func(context.Context, probes.Host) ([]group.Member, error)
		name   string
	}{
		{[]string{"/run/chrony", "/run/chronyd.pid"}, chronySources, "chrony"},
		{[]string{"/etc/ntpsec/ntp.conf", "/etc/ntp.conf"}, ntpSources, "ntp"},
		{[]string{"/run/systemd/timesync"}, timesyncSources, "timesyncd"},
	} {
		there := slices.ContainsFunc(daemon.traces, func(name string) bool {
			_, err := host.Files.Lstat(name)
			return err == nil
		})
		if !there {
			continue
		}
		members, err := daemon.read(ctx, host)
		if errors.Is(err, errSilent) {
			continue // installed, and not running
		}
		if err != nil {
			return fmt.Errorf("%s: %w", daemon.name, err)
		}
		if len(members) > 0 {
			reading.Groups = append(reading.Groups, clock(daemon.name, members))
			return nil
		}
	}
	return nil
}

// clock makes a group of sources of time. Pools bring more than are needed, and
// lose and replace them all the time: two are what there should be.
func clock(name string, members []group.Member) group.Group {
	g := group.Group{Kind: group.Time, Name: name, Members: members, Needed: 1, Ordinary: true}
	g.Expected = min(2, g.Present())
	g.Sort()
	return g
}

// netState is where systemd-networkd writes what servers the links were given.
const netState = "/run/systemd/netif/state"

// timesyncSources returns the servers that systemd-timesyncd asks, one after the
// other when one does not answer: those of its files and of the links, and if
// there are none, those to fall back to. Whether they answer, it tells nobody but
// over D-Bus.
func timesyncSources(_ context.Context, host probes.Host) ([]group.Member, error) {
	names := []string{"/etc/systemd/timesyncd.conf"}
	for _, dir := range []string{"/usr/lib/systemd/timesyncd.conf.d", "/run/systemd/timesyncd.conf.d", "/etc/systemd/timesyncd.conf.d"} {
		entries, err := sysfs.Names(host.Files, dir)
		if err != nil {
			return nil, err
		}
		for _, name := range entries {
			if strings.HasSuffix(name, ".conf") {
				names = append(names, path.Join(dir, name))
			}
		}
	}
	var files [][]byte
	for _, name := range append(names, netState) {
		data, err := host.Files.ReadFile(name, limit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		files = append(files, data) // empty if there is none
	}
	last := len(files) - 1
	var members []group.Member
	for _, server := range TimesyncServers(files[:last], files[last]) {
		members = append(members, group.Member{ID: server, Name: server, Active: true, State: "configured"})
	}
	return members, nil
}

// TimesyncServers returns the servers that are asked, by the files of
// timesyncd.conf(5), in the order in which they are read, and by the state of
// systemd-networkd. What was built into the program stands in its first file as a
// comment.
func TimesyncServers(files [][]byte, links []byte) []string {
	var servers, fallback, found []string
	for _, data := range files {
		servers, fallback = ParseTimesync(data, servers, fallback)
	}
	found, _ = ParseTimesync(links, nil, nil)
	for _, server := range found {
		if !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	told := slices.ContainsFunc(files, func(data []byte) bool { return strings.Contains("\n"+string(data), "\nFallbackNTP") })
	switch {
	case len(servers) > 0:
		return servers
	case !told && len(files) > 0:
		_, fallback = ParseTimesync([]byte(strings.ReplaceAll(string(files[0]), "#FallbackNTP", "FallbackNTP")), nil, nil)
	}
	return fallback
}

// ParseTimesync adds the servers of a timesyncd.conf(5) to those of the files
// before it. An empty assignment takes them back.
func ParseTimesync(data []byte, servers, fallback []string) (ntp, fallbackNTP []string) {
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		var list *[]string
		switch strings.TrimSpace(key) {
		case "NTP":
			list = &servers
		case "FallbackNTP":
			list = &fallback
		default:
			continue
		}
		words := strings.Fields(value)
		if len(words) == 0 {
			*list = nil
		}
		for _, word := range words {
			if !slices.Contains(*list, word) {
				*list = append(*list, word)
			}
		}
	}
	return servers, fallback
}
