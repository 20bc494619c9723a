package workload

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// Units knows which socket units of systemd listen where. What systemd opens for
// a service carries the cgroup of the first process, so that only the units can
// tell for whom it is. It is used by one goroutine at a time.
type Units struct {
	files *rootfs.FS
	names map[Endpoint][]string
	read  time.Time
}

// An Endpoint is where a socket unit listens.
type Endpoint struct {
	Datagram bool
	Address  netip.Addr // the zero Addr stands for every address
	Port     uint16
	Path     string // of a unix socket; @ before an abstract one
}

// NewUnits returns a table that fills itself. It touches nothing.
func NewUnits(files *rootfs.FS) *Units { return &Units{files: files} }

// Socket returns the name of the unit that listens at an endpoint; empty if
// there is none, or if several could.
func (u *Units) Socket(e Endpoint, now time.Time) string {
	if now.Sub(u.read) > forget || u.read.IsZero() {
		u.read, u.names = now, u.readAll()
	}
	if e.Address.IsValid() && e.Address.IsUnspecified() {
		e.Address = netip.Addr{}
	}
	if names := u.names[e]; len(names) == 1 {
		return names[0]
	}
	return ""
}

// unitDirs are the directories of systemd.unit(5), the first one wins.
func unitDirs() []string {
	return []string{
		"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system",
		"/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
	}
}

// readAll reads the socket units with what is dropped in.
func (u *Units) readAll() map[Endpoint][]string {
	main, dropIns := map[string]string{}, map[string][]string{}
	for _, dir := range unitDirs() {
		entries, err := u.files.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			name := entry.Name()
			if unit, ok := strings.CutSuffix(name, ".d"); ok && strings.HasSuffix(unit, ".socket") {
				dropIns[unit] = append(dropIns[unit], u.confs(dir+"/"+name)...)
			} else if _, known := main[name]; !known && strings.HasSuffix(name, ".socket") && !strings.Contains(name, "@.") {
				main[name] = dir + "/" + name
			}
		}
	}
	names := map[Endpoint][]string{}
	for name, path := range main {
		var endpoints []Endpoint
		for _, file := range append([]string{path}, dropIns[name]...) {
			if data, err := u.files.ReadFile(file, 1<<20); err == nil {
				endpoints = parseUnit(string(data), endpoints)
			}
		}
		for _, e := range endpoints {
			if !slices.Contains(names[e], name) {
				names[e] = append(names[e], name)
			}
		}
	}
	return names
}

func (u *Units) confs(dir string) (list []string) {
	entries, err := u.files.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".conf") {
			list = append(list, dir+"/"+entry.Name())
		}
	}
	return list
}

// parseUnit adds the endpoints of a systemd.socket(5) to those that came before.
// An empty value forgets them.
func parseUnit(text string, endpoints []Endpoint) []Endpoint {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.TrimSpace(value)
		datagram := false
		switch strings.TrimSpace(key) {
		case "ListenStream", "ListenSequentialPacket":
		case "ListenDatagram":
			datagram = true
		default:
			continue
		}
		if value == "" {
			endpoints = nil
			continue
		}
		if e, ok := parseEndpoint(value); ok {
			e.Datagram = datagram
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}

func parseEndpoint(value string) (e Endpoint, ok bool) {
	value = strings.Replace(value, "%t", "/run", 1)
	switch value[0] {
	case '/', '@':
		return Endpoint{Path: value}, true
	}
	if port, err := strconv.ParseUint(value, 10, 16); err == nil {
		return Endpoint{Port: uint16(port)}, true
	}
	at, err := netip.ParseAddrPort(value)
	if err != nil {
		return e, false
	}
	e = Endpoint{Address: at.Addr().Unmap(), Port: at.Port()}
	if e.Address.IsUnspecified() {
		e.Address = netip.Addr{}
	}
	return e, true
}
