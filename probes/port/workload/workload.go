// Package workload tells from a cgroup to whom something belongs: a unit of
// systemd, a container, a pod. The names it gives are the same after a restart,
// so they leave out the numbers of sessions, runs and processes.
package workload

import (
	"regexp"
	"strings"
)

// A Workload is what a cgroup was made for. All fields may be empty.
type Workload struct {
	// Unit is a unit of systemd, such as ssh.service; one of a user's own
	// manager stands behind it, as in user@1000.service/foo.service.
	Unit string
	// Container is the name of a container or, if it is not known, the first
	// twelve digits of its ID.
	Container string
	// Pod is the pod of Kubernetes that the container is in, as namespace/name
	// without what differs between replicas; if that is not known, its unique ID.
	Pod string
	// ID is the whole ID of the container, by which its name can be looked up.
	ID string
}

// String returns a short name for people: the unit, the container, or
// namespace/pod/container; empty if nothing is known.
func (w Workload) String() string {
	name := w.Container
	if w.Pod != "" {
		name = w.Pod + "/" + w.Container
	}
	switch {
	case name == "":
		return w.Unit
	case w.Unit == "":
		return strings.TrimSuffix(name, "/")
	}
	return name + "/" + w.Unit
}

var (
	// containerID is how engines call the cgroup of a container: docker, podman,
	// CRI-O and containerd put a word before it, or nothing.
	containerID = regexp.MustCompile(`^(?:[a-z][a-z-]*[-:])?([0-9a-f]{64})(?:\.scope)?$`)
	// crun appends a part of its own.
	podUID = regexp.MustCompile(`pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})`)
	// passing is what systemd and desktops append to the names of scopes and of
	// transient services: numbers of sessions and processes, random digits.
	passing = regexp.MustCompile(`(?:[-@](?:[ru]?[0-9]+|[ru]?[0-9a-f]{8,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))+(\.(?:scope|service))$`)
	escaped = regexp.MustCompile(`\\x([0-9a-f]{2})`)
	machine = regexp.MustCompile(`^machine-(?:qemu|lxc)-[0-9]+-`)
)

// Of reads the path of a cgroup below the mount of version 2, such as
// /system.slice/ssh.service.
func Of(path string) Workload {
	var w Workload
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case containerID.MatchString(part):
			w.ID = containerID.FindStringSubmatch(part)[1]
			w.Container, w.Unit = w.ID[:12], ""
		case podUID.MatchString(part):
			w.Pod, w.Unit = strings.ReplaceAll(podUID.FindStringSubmatch(part)[1], "_", "-"), ""
		case strings.HasPrefix(part, "lxc.payload."), strings.HasPrefix(part, "systemd-nspawn@"):
			name := strings.TrimPrefix(strings.TrimPrefix(part, "lxc.payload."), "systemd-nspawn@")
			w = Workload{Container: strings.TrimSuffix(name, ".service")}
		case strings.HasSuffix(part, ".service"), strings.HasSuffix(part, ".scope"), strings.HasSuffix(part, ".socket"):
			w.unit(part)
		}
	}
	return w
}

func (w *Workload) unit(part string) {
	name := escaped.ReplaceAllStringFunc(part, unescape)
	name = machine.ReplaceAllString(name, "machine-")
	if strings.HasSuffix(name, ".scope") || strings.HasPrefix(name, "run-") {
		name = passing.ReplaceAllString(name, "$1")
	}
	if strings.HasPrefix(w.Unit, "user@") {
		manager, _, _ := strings.Cut(w.Unit, "/")
		name = manager + "/" + name
	}
	w.Unit = name
}

// unescape undoes what systemd-escape(1) does to one byte.
func unescape(text string) string {
	digit := func(c byte) byte {
		if c >= 'a' {
			return c - 'a' + 10
		}
		return c - '0'
	}
	return string([]byte{digit(text[2])<<4 | digit(text[3])})
}
