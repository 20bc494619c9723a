// Package memory remembers the objects of a probe from run to run and over
// restarts, so that the probe can tell what was removed from what it never
// knew. It says of a removed object that it is gone for a week, in every run:
// whoever waits for the news cannot miss it.
package memory

import (
	"maps"
	"slices"
	"time"

	"hygiene_exporter/probes"
)

// Keep is how long a removed object is reported gone.
const Keep = 7 * 24 * time.Hour

// maxObjects bounds what is remembered. Beyond it, new objects are not.
const maxObjects = 200_000

// An Object is what is remembered of one object, with a detail of the probe's
// own. The detail must be comparable after a round trip through JSON.
type Object[T comparable] struct {
	First   time.Time `json:"first"`            // when it was first seen
	Removed time.Time `json:"removed,omitzero"` // when it was found to be removed; zero while it is there
	Detail  T         `json:"detail"`
}

// A Memory holds objects. It is used by one goroutine at a time.
type Memory[T comparable] struct {
	state   probes.State
	version int
	objects map[string]Object[T]
	changed bool
}

// New returns a memory that Load has to fill. It touches nothing.
func New[T comparable](state probes.State, version int) *Memory[T] {
	return &Memory[T]{state: state, version: version, objects: map[string]Object[T]{}}
}

// Load takes over what was saved. With an error, nothing is remembered.
func (m *Memory[T]) Load() error {
	saved := map[string]Object[T]{}
	if _, err := m.state.Load(m.version, &saved); err != nil {
		return err
	}
	m.objects = saved
	return nil
}

// Saw records that an object is there.
func (m *Memory[T]) Saw(name string, detail T, now time.Time) {
	object, known := m.objects[name]
	switch {
	case !known && len(m.objects) >= maxObjects:
		return
	case !known:
		object.First = now.UTC()
	case object.Removed.IsZero() && object.Detail == detail:
		return
	}
	object.Removed, object.Detail = time.Time{}, detail
	m.objects[name], m.changed = object, true
}

// Removed records that an object was deliberately removed.
func (m *Memory[T]) Removed(name string, now time.Time) {
	object, known := m.objects[name]
	if known && object.Removed.IsZero() {
		object.Removed = now.UTC()
		m.objects[name], m.changed = object, true
	}
}

// Present returns the names of the objects that are not known to be removed,
// sorted.
func (m *Memory[T]) Present() []string {
	var names []string
	for name, object := range m.objects {
		if object.Removed.IsZero() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Object returns what is remembered of an object.
func (m *Memory[T]) Object(name string) (Object[T], bool) {
	object, known := m.objects[name]
	return object, known
}

// Gone returns the names of the objects to report as gone, sorted, and forgets
// those that have been for long enough.
func (m *Memory[T]) Gone(now time.Time) []string {
	size := len(m.objects)
	maps.DeleteFunc(m.objects, func(_ string, object Object[T]) bool {
		return !object.Removed.IsZero() && now.Sub(object.Removed) > Keep
	})
	m.changed = m.changed || len(m.objects) != size
	var names []string
	for name, object := range m.objects {
		if !object.Removed.IsZero() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Save writes the memory if it has changed.
func (m *Memory[T]) Save() error {
	if !m.changed {
		return nil
	}
	err := m.state.Save(m.version, m.objects)
	if err == nil {
		m.changed = false
	}
	return err
}
