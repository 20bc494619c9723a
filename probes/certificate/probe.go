package certificate

import (
	"context"
	"fmt"
	"maps"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/memory"
)

// memoryVersion is that of what the probe remembers.
const memoryVersion = 1

// place is what is remembered of an object that held certificates.
type place struct {
	Mount string `json:"mount"`           // the mount point it was on
	File  string `json:"file,omitempty"`  // the store whose entry it is, or the kubeconfig that names it
	Shown string `json:"shown,omitempty"` // what a server showed last; see dates
	// Outdated is the file that has replaced what a listener serves.
	Outdated string `json:"outdated,omitempty"`
}

// probe looks at the files of all sources, and at endpoints and the listeners of the host.
type probe struct {
	config  *Config
	host    probes.Host
	servers *servers
	own     *ownServers

	memory *memory.Memory[place]
	loaded bool
	files  map[string]*file // by path
	roots  map[string]roots // by path

	policies map[policy]*policy // that differ
	run      uint64
	size     int // samples of the last run

	known     authorities // those of the last run
	inventory inventory   // the leaves of the last run
}

func newProbe(c *Config, host probes.Host) *probe {
	return &probe{
		config: c, host: host, servers: newServers(c, host), own: newOwnServers(c, host),
		files: map[string]*file{}, roots: map[string]roots{}, policies: map[policy]*policy{},
	}
}

// Run looks at every file of every source, and tells what endpoints and listeners showed last.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	p.run++
	s := newScan(p, time.Now())
	if err := p.remember(); err != nil {
		s.result.Fault(probes.HostObject, fmt.Errorf("what was seen earlier is not known: %w", err))
	}
	p.servers.begin(ctx, s.now)
	for i := range p.config.Sources {
		if err := s.source(ctx, &p.config.Sources[i]); err != nil {
			return probes.Result{}, err
		}
	}
	s.judge()
	s.listeners(ctx)
	s.wait(ctx, &p.servers.watch)
	s.endpoints()
	s.absent()
	s.tell()
	p.size = len(s.result.Samples)
	maps.DeleteFunc(p.files, func(_ string, f *file) bool { return f.run != p.run })
	if p.loaded {
		_ = p.memory.Save() // the host counts failed writes, and the next run tries again
	}
	return s.result, nil
}

// remember loads the memory, once it can be.
func (p *probe) remember() error {
	if p.loaded {
		return nil
	}
	p.memory = memory.New[place](p.host.State, memoryVersion)
	err := p.memory.Load()
	p.loaded = err == nil
	return err
}
