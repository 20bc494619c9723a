package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// answerVersion is that of the answers that are kept.
const answerVersion = 1

// An answer is what a tool said, and when it was asked.
type answer struct {
	At     time.Time
	Groups []group.Group
	Err    error
}

// keptAnswer is an answer on disk.
type keptAnswer struct {
	At     time.Time   `json:"at"`
	Groups []keptGroup `json:"groups,omitempty"`
	Err    *keptError  `json:"error,omitempty"`
}

// keptGroup is a group on disk. Its errors hide those of the group, which JSON
// cannot hold.
type keptGroup struct {
	group.Group
	Doubt *keptError `json:"Doubt,omitempty"`
	Err   *keptError `json:"Err,omitempty"`
}

// keptError is an error with its reason.
type keptError struct {
	Reason probes.Reason `json:"reason"`
	Text   string        `json:"text"`
}

func keep(err error) *keptError {
	if err == nil {
		return nil
	}
	return &keptError{probes.ReasonOf(err), err.Error()}
}

func (k *keptError) error() error {
	if k == nil {
		return nil
	}
	return probes.Because(k.Reason, errors.New(k.Text))
}

// load takes over what was said before a restart. What cannot be read is asked
// again.
func (t *Tools) load() {
	if t.loaded {
		return
	}
	kept := map[string]keptAnswer{}
	if _, err := t.state.Load(answerVersion, &kept); err != nil {
		return // the probe reports a state that cannot be read
	}
	t.loaded = true
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, k := range kept {
		a := answer{At: k.At, Err: k.Err.error()}
		for _, g := range k.Groups {
			g.Group.Doubt, g.Group.Err = g.Doubt.error(), g.Err.error()
			a.Groups = append(a.Groups, g.Group)
		}
		t.answers[name] = a
	}
}

// save keeps what was said, if there is anything new.
func (t *Tools) save() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.changed || !t.loaded {
		return
	}
	kept := map[string]keptAnswer{}
	for name, a := range t.answers {
		kept[name] = a.kept()
	}
	// The host counts failed writes, and the next run tries again.
	if t.state.Save(answerVersion, kept) == nil {
		t.changed = false
	}
}

// kept returns an answer as it is kept on disk.
func (a answer) kept() keptAnswer {
	k := keptAnswer{At: a.At, Err: keep(a.Err)}
	for _, g := range a.Groups {
		k.Groups = append(k.Groups, keptGroup{g, keep(g.Doubt), keep(g.Err)})
	}
	return k
}

// says reports whether an answer says the same as another one, whenever that was.
func (a answer) says(other answer) bool {
	var texts [2][]byte
	for i, k := range []keptAnswer{a.kept(), other.kept()} {
		k.At = time.Time{}
		for j := range k.Groups {
			k.Groups[j].Observed = time.Time{}
		}
		texts[i], _ = json.Marshal(k) // what cannot be written is told when it is
	}
	return bytes.Equal(texts[0], texts[1])
}

// forget drops what a tool said that has nothing to tell of any more.
func (t *Tools) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.answers[name]; known {
		delete(t.answers, name)
		t.changed = true
	}
}
