package port

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/internal/memory"
	"hygiene_exporter/probes/port/process"
	"hygiene_exporter/probes/port/workload"
)

// probe looks at the listening sockets of the host.
type probe struct {
	config *Config
	host   probes.Host
	source *listeners.Source

	cgroups  *workload.Cgroups
	names    *workload.Names
	units    *workload.Units
	finder   *process.Finder
	packages *process.Packages
	paths    *paths
	users    *users
	soles    map[uint64]sole // by cgroup

	known   []*space  // namespaces
	looked  time.Time // when they were looked for
	learned time.Time // when origins were

	memory *memory.Memory[detail]
	loaded bool
	saved  time.Time
	runs   int

	wall wall

	before  map[string][]uint64 // inodes by object, of the last run
	objects map[string]*object  // of the last run
	events  map[string]float64
}

func newProbe(c *Config, host probes.Host) *probe {
	return &probe{
		config: c, host: host, source: listeners.New(host.Files, host.Netlink),
		cgroups: workload.NewCgroups(host.Files), names: workload.NewNames(host.Files), units: workload.NewUnits(host.Files),
		finder: process.NewFinder(host.Files), packages: process.NewPackages(host.Files),
		paths: &paths{files: host.Files, known: map[uint64]reach{}},
		users: &users{files: host.Files}, soles: map[uint64]sole{},
		memory: memory.New[detail](host.State, memoryVersion),
		events: map[string]float64{},
	}
}

// run is what one run makes.
type run struct {
	*probe
	now    time.Time
	result probes.Result
	scan   *scan
	seen   map[string]bool // objects that are there, or in order
	urgent bool            // a violation began or ended
	// unlisted says that there may be namespaces that were not looked at.
	unlisted bool
}

// Run looks at all listeners.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	p.runs++
	r := &run{probe: p, now: time.Now(), seen: map[string]bool{}}
	err := p.remember()
	if err == nil && p.asleep() {
		return probes.Result{}, probes.ErrNotApplicable
	}
	if err != nil {
		r.result.Fault(probes.HostObject, fmt.Errorf("what was seen earlier is not known: %w", err))
	}
	spaces, err := p.spaces(ctx, r.now)
	if ctx.Err() != nil {
		return probes.Result{}, ctx.Err()
	}
	if err != nil {
		r.unlisted = true
		r.result.Fault(probes.HostObject, fmt.Errorf("network namespaces cannot be listed: %w", err))
	}
	objects, err := r.look(ctx, spaces)
	if err != nil {
		return probes.Result{}, err
	}
	r.report(objects)
	r.requirements(objects)
	r.absent()
	r.totals()
	r.save()
	return r.result, nil
}

// asleep reports whether the host does not run: its file system is mounted
// somewhere, and has no procfs.
func (p *probe) asleep() bool {
	entries, err := p.host.Files.ReadDir("/proc")
	return !p.host.Files.Own() && (errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0)
}

// look finds the objects that are there. A dump can miss a socket whose
// neighbours close at the same moment, so what seems to have gone is looked for
// once more.
func (r *run) look(ctx context.Context, spaces []*space) ([]*object, error) {
	s, err := r.probe.scan(ctx, spaces, r.now)
	if err != nil {
		return nil, err
	}
	if r.lost(s) {
		again, err := r.probe.scan(ctx, spaces, r.now)
		if err != nil {
			return nil, err
		}
		s.add(again)
	}
	r.scan = s
	r.attribute(ctx, s.sockets, r.now)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	chosen := r.ephemeralPorts()
	objects := group(r.decided(s.sockets), func(x *socket) bool { return chosen(x) && !r.config.names(x.Protocol, x.Port) })
	if r.config.Firewall {
		objects = append(objects, r.published(ctx, spaces)...)
		slices.SortFunc(objects, func(a, b *object) int { return strings.Compare(a.name, b.name) })
	}
	for _, o := range objects {
		o.verdict = r.config.judge(o, r.now)
	}
	return objects, ctx.Err()
}

// lost reports whether a socket of the last run is missing.
func (r *run) lost(s *scan) bool {
	there := make(map[uint64]bool, len(s.sockets))
	for _, x := range s.sockets {
		there[x.Inode] = true
	}
	for _, inodes := range r.before {
		for _, inode := range inodes {
			if !there[inode] && inode > 0 {
				return true
			}
		}
	}
	return false
}

// add takes over the sockets of another scan that this one lacks.
func (s *scan) add(other *scan) {
	type key struct {
		protocol listeners.Protocol
		inode    uint64
	}
	there := make(map[key]bool, len(s.sockets))
	for _, x := range s.sockets {
		there[key{x.Protocol, x.Inode}] = true
	}
	for _, x := range other.sockets {
		if !there[key{x.Protocol, x.Inode}] {
			s.sockets = append(s.sockets, x)
		}
	}
}

// errPending says that the next run will know more of a place: some of its
// sockets have no name yet, or it is just being closed.
var errPending = probes.Because(probes.NotRun, errors.New("what is there is still looked for"))

// decided leaves out the sockets whose names are not known yet because their
// processes are still looked for: under another name they would be a change.
// Nothing is said to be gone as long as one of them may be it. The first run
// takes what there is.
func (r *run) decided(sockets []*socket) []*socket {
	list := make([]*socket, 0, len(sockets))
	for _, s := range sockets {
		if s.placed || s.state != process.Pending || !r.config.Processes || r.runs == 1 || s.Inode == 0 {
			list = append(list, s)
			continue
		}
		at := place{s.namespace, s.Protocol}
		if _, failed := r.scan.failed[at]; !failed {
			r.scan.failed[at] = errPending
		}
	}
	return list
}

// ephemeralPorts returns which ports the kernel chooses: ip(7). A port of TCP is
// one too, because a listener that gets another one each time has no name else.
func (r *run) ephemeralPorts() func(*socket) bool {
	first, last := uint32(32768), uint32(60999)
	data, err := r.host.Files.ReadFile("/proc/sys/net/ipv4/ip_local_port_range", 4096)
	if fields := strings.Fields(string(data)); err == nil && len(fields) == 2 {
		from, err := strconv.ParseUint(fields[0], 10, 16)
		to, err2 := strconv.ParseUint(fields[1], 10, 16)
		if err == nil && err2 == nil {
			first, last = uint32(from), uint32(to)
		}
	}
	return func(s *socket) bool {
		switch s.Protocol {
		case listeners.TCP, listeners.UDP, listeners.UDPLite, listeners.SCTP:
			return first <= s.Port && s.Port <= last
		}
		return false
	}
}
