package listeners_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"hygiene_exporter/probes/internal/listeners"
)

// readSS reads what ss of iproute2 says, by inode.
func readSS(t *testing.T, text string, cgroups map[string]uint64) map[uint64]string {
	t.Helper()
	found := map[uint64]string{}
	for line := range strings.Lines(text) {
		protocol, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		f := strings.Fields(rest)
		l := listeners.Listener{}
		switch protocol {
		case "tcp", "udp", "p_raw", "p_dgr", "u_str", "u_seq":
		default:
			continue
		}
		if strings.HasPrefix(protocol, "u_") && f[0] != "LISTEN" {
			continue
		}
		for _, extra := range f {
			key, value, _ := strings.Cut(extra, ":")
			switch key {
			case "ino":
				l.Inode, _ = strconv.ParseUint(value, 10, 64)
			case "uid":
				uid, _ := strconv.ParseUint(value, 10, 32)
				l.UID = uint32(uid)
			case "v6only":
				l.V6Only = value == "1"
			case "cgroup":
				l.Cgroup = cgroups[value]
			}
		}
		switch local := f[3]; protocol {
		case "u_str", "u_seq":
			// Path, inode, and what is on the other side: "* 0".
			before, _, _ := strings.Cut(rest[strings.Index(rest, local):], " * 0")
			fields := strings.Fields(before)
			l.Path = strings.Join(fields[:len(fields)-1], " ")
			l.Inode, _ = strconv.ParseUint(fields[len(fields)-1], 10, 64)
			protocol = "unix"
		case "p_raw", "p_dgr":
			protocol = "packet"
			kind, dev, _ := strings.Cut(local, ":")
			l.Port = map[string]uint32{"*": 3, "[2048]": 0x800, "ip": 0x800}[kind]
			l.Device = map[string]uint32{"*": 0, "lo": 1}[dev]
		default:
			host, port, _ := cutLast(local, ":")
			host, dev, _ := strings.Cut(host, "%")
			if dev != "" {
				l.Device = 1
			}
			host = strings.Trim(host, "[]")
			if host == "*" {
				host = "::"
			}
			address, err := netip.ParseAddr(host)
			if err != nil {
				t.Errorf("ss: %q: %v", line, err)
			}
			l.Address = address.Unmap()
			if number, err := strconv.ParseUint(port, 10, 32); err == nil {
				l.Port = uint32(number)
			}
		}
		l.Protocol = listeners.Protocol(protocol)
		found[l.Inode] = words(l)
	}
	return found
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// words prints what ss and we both know.
func words(l listeners.Listener) string {
	return fmt.Sprintf("%s %s %d v6only=%t device=%d uid=%d cgroup=%d path=%q", l.Protocol, l.Address, l.Port, l.V6Only, l.Device, l.UID, l.Cgroup, l.Path)
}

// ours prints listeners as readSS does.
func ours(list []listeners.Listener) map[uint64]string {
	found := map[uint64]string{}
	for _, l := range list {
		if l.Protocol == listeners.UDPLite || l.Protocol == listeners.Raw {
			continue // ss knows nothing of the one and no inodes of the other
		}
		if l.Protocol == listeners.Packet || l.Protocol == listeners.Unix {
			l.UID = 0 // ss does not print it
		}
		found[l.Inode] = words(l)
	}
	return found
}

// strip takes out what the tables do not tell.
func strip(list map[uint64]string) map[uint64]string {
	out := map[uint64]string{}
	for inode, text := range list {
		for _, unknown := range []string{"v6only=true", "v6only=false", "device=1", "device=0"} {
			text = strings.ReplaceAll(text, unknown, "")
		}
		before, after, _ := strings.Cut(text, "cgroup=")
		_, after, _ = strings.Cut(after, " ")
		out[inode] = before + after
	}
	return out
}
