package redundancy

import (
	"encoding/json"

	"hygiene_exporter/probes"
)

// partsVersion is that of the division itself; each part has its own.
const partsVersion = 1

// parts divides the one state of a probe among those who remember something.
type parts struct {
	state probes.State
	all   map[string]saved
}

// saved is what one part saved.
type saved struct {
	Version int             `json:"version"`
	Value   json.RawMessage `json:"value"`
}

func divide(state probes.State) *parts { return &parts{state: state} }

// part returns the state of one part. All parts of one state are used by one
// goroutine at a time.
func (p *parts) part(name string) probes.State { return part{p, name} }

func (p *parts) load() error {
	if p.all != nil {
		return nil
	}
	all := map[string]saved{}
	if _, err := p.state.Load(partsVersion, &all); err != nil {
		return err
	}
	p.all = all
	return nil
}

type part struct {
	*parts
	name string
}

// Load implements probes.State.
func (p part) Load(version int, v any) (bool, error) {
	if err := p.load(); err != nil {
		return false, err
	}
	s, known := p.all[p.name]
	if !known || s.Version != version {
		return false, nil
	}
	return true, json.Unmarshal(s.Value, v)
}

// Save implements probes.State. What other parts saved is kept; where it cannot
// be read, nothing is overwritten.
func (p part) Save(version int, v any) error {
	if err := p.load(); err != nil {
		return err
	}
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p.all[p.name] = saved{version, value}
	return p.state.Save(partsVersion, p.all)
}
