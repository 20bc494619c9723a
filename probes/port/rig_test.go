package port

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
)

// deaf is a kernel without diagnostics, so that the tables are read.
type deaf struct{}

func (deaf) Dump(context.Context, probes.NetlinkRequest, func(probes.NetlinkMessage) error) error {
	return fs.ErrNotExist
}

// A rig is a host whose tables a test writes.
type rig struct {
	t     *testing.T
	world *probetest.World
	probe *probe
	inode int
}

const header = "  sl  local_address\n"

func newRig(t *testing.T, policy string) *rig {
	t.Helper()
	r := &rig{t: t, world: &probetest.World{Root: t.TempDir()}, inode: 1000}
	r.write("/proc/net/protocols", "protocol  size sockets\n")
	r.write("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
	r.write("/etc/passwd", "root:x:0:0::/:\nredis:x:112:112::/:\n")
	r.listens()
	r.start(policy)
	return r
}

// start starts the agent, with what it remembers.
func (r *rig) start(policy string) {
	r.t.Helper()
	c := defaultConfig()
	if err := yaml.Unmarshal([]byte(policy), &c.Policy); err != nil {
		r.t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		r.t.Fatal(err)
	}
	host := r.world.Host()
	host.Netlink = deaf{}
	r.probe = newProbe(c, host)
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.world.Root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		r.t.Fatal(err)
	}
}

// listens replaces the tables: each argument is a table, an address in
// hexadecimal and a port, such as "tcp 00000000 80", and optionally a user.
// Every socket is a new one.
func (r *rig) listens(sockets ...string) {
	r.t.Helper()
	tables := map[string]string{"tcp": header, "tcp6": header, "udp": header, "udp6": header}
	for _, text := range sockets {
		f := strings.Fields(text)
		var port, uid int
		if _, err := fmt.Sscan(f[2], &port); err != nil {
			r.t.Fatal(err)
		}
		if len(f) > 3 {
			if _, err := fmt.Sscan(f[3], &uid); err != nil {
				r.t.Fatal(err)
			}
		}
		state := "0A"
		if strings.HasPrefix(f[0], "udp") {
			state = "07"
		}
		r.inode++
		tables[f[0]] += fmt.Sprintf("   0: %s:%04X 00000000:0000 %s 00000000:00000000 00:00000000 00000000 %d 0 %d 1 0\n", f[1], port, state, uid, r.inode)
	}
	for name, text := range tables {
		r.write("/proc/net/"+name, text)
	}
}

// run runs the probe once and returns what it says, without what is there
// always.
func (r *rig) run() []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for _, s := range result.Samples {
		switch s.Metric {
		case listenerCount, attribution, namespaceCount, protocolInspected, firstSeen, finding:
			continue
		case listenerInfo:
			lines = append(lines, fmt.Sprintf("%s is %s", s.Object(), s.Label("policy")))
		case changes:
			if s.Value > 0 {
				lines = append(lines, fmt.Sprintf("%g %s", s.Value, s.Label("event")))
			}
		case violation:
			lines = append(lines, fmt.Sprintf("%s violates: %s, %s, told to %q", s.Object(), s.Label("policy"), s.Label("exposure"), s.Label("owner")))
		default:
			lines = append(lines, strings.TrimPrefix(s.Metric.Name, "hygiene_port_")+" "+s.Object())
		}
	}
	for _, f := range result.Faults {
		lines = append(lines, fmt.Sprintf("fault of %s: %s", f.Object, f.Reason))
	}
	for _, object := range result.Removed {
		lines = append(lines, "gone "+object)
	}
	for _, object := range result.Seen {
		lines = append(lines, "in order "+object)
	}
	slices.Sort(lines)
	return lines
}

// since returns the values of a metric by object.
func (r *rig) since(m *probes.Metric) map[string]float64 {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, s := range result.Samples {
		if s.Metric == m {
			values[s.Object()] = s.Value
		}
	}
	return maps.Clone(values)
}

func yamlDecode(text string, into any) error { return yaml.Unmarshal([]byte(text), into) }
