package failover

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Session is the SSH connection over which somebody works on this host.
type Session struct {
	Client, Server netip.Addr
}

// maxParents bounds the way up to the process that has begun the session.
const maxParents = 64

// SessionOf returns the SSH session that a process belongs to, from the
// environment of the process and of those that started it: sudo takes it from
// its children. It is false where there is none, such as on the console.
func SessionOf(proc string, pid int) (Session, bool) {
	for range maxParents {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		environment, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil {
			return Session{}, false
		}
		for variable := range bytes.SplitSeq(environment, []byte{0}) {
			value, is := bytes.CutPrefix(variable, []byte("SSH_CONNECTION="))
			if s, ok := parseSession(string(value)); is && ok {
				return s, true
			}
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		// The name in parentheses may hold anything; the state and the parent follow.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if err != nil || len(fields) < 2 {
			return Session{}, false
		}
		if pid, err = strconv.Atoi(fields[1]); err != nil || pid < 1 {
			return Session{}, false
		}
	}
	return Session{}, false
}

// parseSession reads SSH_CONNECTION of ssh(1): the address and port of the client,
// and those of the server.
func parseSession(text string) (s Session, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return s, false
	}
	client, err := netip.ParseAddr(fields[0])
	server, wrong := netip.ParseAddr(fields[2])
	if err != nil || wrong != nil {
		return s, false
	}
	return Session{client.Unmap().WithZone(""), server.Unmap().WithZone("")}, true
}

// An Interface is one of this host, with its addresses.
type Interface struct {
	Name      string
	Addresses []netip.Addr
}

// Over returns why a failover of an interface could cut the session; nil if it
// cannot. The session may run over a VLAN or bridge on top of the interface. Where
// nobody knows what it runs over, it could be this one.
func (s Session) Over(sys, name string, interfaces []Interface) error {
	for _, i := range interfaces {
		if !slices.Contains(i.Addresses, s.Server) {
			continue
		}
		if stands(sys, i.Name, name, 8) {
			return fmt.Errorf("this SSH session, from %s, runs over %s, which needs %s", s.Client, i.Name, name)
		}
		return nil
	}
	return fmt.Errorf("no interface has the address %s, to which this SSH session goes, so that it may run over %s", s.Server, name)
}

// stands reports whether an interface is another or stands on it.
func stands(sys, upper, lower string, depth int) bool {
	if upper == lower {
		return true
	}
	below, err := filepath.Glob(filepath.Join(sys, "class/net", upper, "lower_*"))
	if err != nil || depth == 0 {
		return false
	}
	return slices.ContainsFunc(below, func(link string) bool {
		return stands(sys, strings.TrimPrefix(filepath.Base(link), "lower_"), lower, depth-1)
	})
}
