package dnf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/rpm/repodata"
)

// modulesDir is where dnf keeps which streams are enabled or disabled.
const modulesDir = "/etc/dnf/modules.d"

// moduleStates are the streams that the host has chosen: the name of a module
// and its enabled stream, which is empty for a disabled module.
type moduleStates map[string]string

func readModuleStates(files *rootfs.FS) (moduleStates, error) {
	states := moduleStates{}
	entries, err := files.ReadDir(modulesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return states, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".module") {
			continue
		}
		sections, err := ini.Read(files, modulesDir+"/"+e.Name())
		if err != nil {
			return states, fmt.Errorf("%s/%s: %w", modulesDir, e.Name(), err)
		}
		for _, s := range sections {
			switch s.Values["state"] {
			case "enabled", "1":
				states[s.Name] = s.Values["stream"]
			case "disabled":
				states[s.Name] = ""
			}
		}
	}
	return states, nil
}

// A modularity tells which packages of repositories modules hide: those of
// streams that are not active, and those outside modules that an active stream
// replaces.
type modularity struct {
	active   map[string]bool // NAME:STREAM:CONTEXT
	included map[string]bool // NEVRAs with the epoch always written
	excluded map[string]bool
	names    map[string]bool // of packages of active streams
}

// newModularity resolves which builds of modules are active. dnf uses a solver;
// this drops builds whose requirements no active build meets, until all are met.
func newModularity(builds []repodata.Module, defaults map[string]string, states moduleStates, platform string) *modularity {
	m := &modularity{active: map[string]bool{}, included: map[string]bool{}, excluded: map[string]bool{}, names: map[string]bool{}}
	streams := map[string]string{}
	maps.Copy(streams, defaults)
	maps.Copy(streams, states)
	var active, others []repodata.Module
	for _, b := range builds {
		if stream := streams[b.Name]; stream != "" && stream == b.Stream {
			active = append(active, b)
		} else {
			others = append(others, b)
		}
	}
	for {
		available := map[string]bool{}
		if platform != "" {
			available[platform] = true
		}
		for _, b := range active {
			available[b.Name+":"+b.Stream] = true
		}
		kept := slices.DeleteFunc(slices.Clone(active), func(b repodata.Module) bool {
			dropped := !met(b.Requires, available, platform)
			if dropped {
				others = append(others, b)
			}
			return dropped
		})
		if len(kept) == len(active) {
			break
		}
		active = kept
	}
	m.take(active, others)
	return m
}

func (m *modularity) take(active, others []repodata.Module) {
	for _, b := range active {
		m.active[b.Name+":"+b.Stream+":"+b.Context] = true
		for _, artifact := range b.Artifacts {
			m.included[artifact] = true
			if name, arch := nameOf(artifact); arch != "src" && arch != "nosrc" {
				m.names[name] = true
			}
		}
	}
	for _, b := range others {
		for _, artifact := range b.Artifacts {
			m.excluded[artifact] = true
		}
	}
}

// met reports whether one of the alternatives is met: each module it names must
// be available in one of the streams. No stream means any, and a minus all but
// that one.
func met(alternatives []map[string][]string, available map[string]bool, platform string) bool {
	if len(alternatives) == 0 {
		return true
	}
	return slices.ContainsFunc(alternatives, func(requires map[string][]string) bool {
		for name, streams := range requires {
			if name == "platform" && platform == "" {
				continue // the host does not say what it is
			}
			if !anyStream(name, streams, available) {
				return false
			}
		}
		return true
	})
}

func anyStream(name string, streams []string, available map[string]bool) bool {
	negative := false
	forbidden := map[string]bool{}
	for _, stream := range streams {
		if without, ok := strings.CutPrefix(stream, "-"); ok {
			negative = true
			forbidden[without] = true
		} else if available[name+":"+stream] {
			return true
		}
	}
	if len(streams) > 0 && !negative {
		return false
	}
	for have := range available {
		if stream, ok := strings.CutPrefix(have, name+":"); ok && !forbidden[stream] {
			return true
		}
	}
	return false
}

// hides reports whether a package of a repository does not exist for dnf.
func (m *modularity) hides(p repodata.Package, hotfixes bool) bool {
	if m == nil || hotfixes {
		return false
	}
	nevra := p.Name + "-" + p.Epoch + ":" + p.Version + "-" + p.Release + "." + p.Arch
	if m.included[nevra] {
		return false
	}
	return m.excluded[nevra] || m.names[p.Name] || slices.ContainsFunc(p.Provides, func(name string) bool { return m.names[name] })
}

// applies reports whether a part of an advisory is about an active stream, or
// about no module.
func (m *modularity) applies(p repodata.AdvisoryPackage) bool {
	if p.Module.Name == "" {
		return true
	}
	return m != nil && m.active[p.Module.Name+":"+p.Module.Stream+":"+p.Module.Context]
}

// nameOf splits a NEVRA into name and architecture.
func nameOf(nevra string) (name, arch string) {
	if at := strings.LastIndexByte(nevra, '.'); at >= 0 {
		nevra, arch = nevra[:at], nevra[at+1:]
	}
	for range 2 {
		if at := strings.LastIndexByte(nevra, '-'); at >= 0 {
			nevra = nevra[:at]
		}
	}
	return nevra, arch
}
