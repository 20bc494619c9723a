package patch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/apk"
	"hygiene_exporter/probes/patch/apt"
	"hygiene_exporter/probes/patch/pacman"
	"hygiene_exporter/probes/patch/rpm/dnf"
	"hygiene_exporter/probes/patch/rpm/zypp"
	"hygiene_exporter/probes/patch/updates"
)

// probe looks at all package managers of the host.
type probe struct {
	config  *Config
	host    probes.Host
	readers []updates.Reader
	history history

	// Of the last run, for Explain.
	managers []manager
	system   system
}

func newProbe(c *Config, host probes.Host) *probe {
	return &probe{config: c, host: host, history: newHistory(host.State), readers: readers(host)}
}

// readers returns one reader for each family of package managers.
func readers(host probes.Host) []updates.Reader {
	return []updates.Reader{
		apt.New(host.Files),
		dnf.New(host.Files),
		zypp.New(host.Files),
		pacman.New(host.Files),
		apk.New(host.Files),
	}
}

// Run reads what every package manager of the host knows. A host without any
// is not applicable.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	now := time.Now()
	var result probes.Result
	if err := p.history.begin(now); err != nil {
		result.Fault(probes.HostObject, fmt.Errorf("what was seen earlier is not known: %w", err))
	}
	p.managers = nil
	found := false
	for _, reader := range p.readers {
		read, err := reader.Read(ctx)
		switch {
		case ctx.Err() != nil:
			return probes.Result{}, ctx.Err()
		case errors.Is(err, probes.ErrNotApplicable):
			continue
		case err != nil:
			result.Fault(read.Name, err)
			p.history.doubt(read.Name)
		default:
			p.add(&result, read)
		}
		p.history.saw(thing{Kind: "object", Object: read.Name})
		found = true
	}
	if !found && len(result.Faults) == 0 {
		return probes.Result{}, probes.ErrNotApplicable
	}
	p.addSystem(ctx, &result)
	for _, object := range p.history.end() {
		result.Gone(object)
	}
	return result, nil
}

// add adds the facts of one package manager.
func (p *probe) add(result *probes.Result, read updates.Manager) {
	m := p.judge(read)
	p.managers = append(p.managers, m)
	p.addUpdates(result, m)
	for _, r := range m.Repositories {
		p.addRepository(result, m.object(r), r)
	}
	p.addAutomatic(result, m)
	for _, err := range m.Incomplete {
		result.Fault(m.Name, err)
		p.history.doubt(m.Name)
	}
}
