package port

import (
	"slices"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/process"
)

// The findings about a listener.
const (
	executableDeleted    = "executable_deleted"
	executableReplaced   = "executable_replaced"
	executableUnpackaged = "executable_unpackaged"
	executableWritable   = "executable_writable"
	rootOnWildcard       = "root_on_wildcard"
	unauthenticated      = "unauthenticated_service"
	promiscuous          = "promiscuous"
	bypassesInput        = "bypasses_input"
	requiredDropped      = "required_dropped"
)

// findings lists them all.
func findings() []string {
	return []string{
		executableDeleted, executableReplaced, executableUnpackaged, executableWritable,
		rootOnWildcard, unauthenticated, promiscuous, bypassesInput, requiredDropped,
	}
}

// findings returns what is to be known about an object.
func (o *object) findings() []string {
	var list []string
	add := func(name string, found func(*socket) bool) {
		if slices.ContainsFunc(o.sockets, found) {
			list = append(list, name)
		}
	}
	add(executableDeleted, func(s *socket) bool { return s.process.Deleted })
	add(executableReplaced, func(s *socket) bool { return s.process.Replaced })
	add(executableWritable, func(s *socket) bool { return s.process.Writable })
	add(executableUnpackaged, (*socket).unpackaged)
	add(promiscuous, func(s *socket) bool { return s.Promiscuous })
	if open(o.exposure) && o.namespace == "" && o.protocol != listeners.Raw && o.protocol != listeners.Packet {
		add(rootOnWildcard, (*socket).root)
	}
	if o.danger() != "" {
		list = append(list, unauthenticated)
	}
	return list
}

// unpackaged reports whether no package of the host owns the program. Programs
// in containers belong to their images.
func (s *socket) unpackaged() bool {
	return s.origin.Known && s.origin.Package == "" && s.process.Executable != "" && !s.process.Deleted && s.workload.Container == ""
}

// root reports whether root runs the program; if no program is known, whether
// root owns the socket.
func (s *socket) root() bool {
	if s.state == process.Found {
		return s.process.UID == 0
	}
	return s.HasUID && s.UID == 0
}
