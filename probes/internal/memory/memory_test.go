package memory_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/memory"
)

// state keeps what is saved as a file would, and can be made to fail.
type state struct {
	data  []byte
	saves int
	fail  error
}

func (s *state) Load(_ int, v any) (bool, error) {
	if s.data == nil || s.fail != nil {
		return false, s.fail
	}
	return true, json.Unmarshal(s.data, v)
}

func (s *state) Save(_ int, v any) (err error) {
	if s.fail != nil {
		return s.fail
	}
	s.saves++
	s.data, err = json.Marshal(v)
	return err
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func open(t *testing.T, s *state) *memory.Memory[string] {
	t.Helper()
	m := memory.New[string](s, 1)
	if err := m.Load(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRemovedObjectsAreGoneForAWeekAndOverRestarts(t *testing.T) {
	s := &state{}
	m := open(t, s)
	m.Saw("a", "x", start)
	m.Saw("b", "x", start)
	m.Removed("a", start.Add(time.Hour))
	m.Removed("a", start.Add(50*time.Hour)) // it is the first time that counts
	m.Removed("never seen", start)
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m = open(t, s)
	if diff := cmp.Diff([]string{"b"}, m.Present()); diff != "" {
		t.Errorf("present (-want +got):\n%s", diff)
	}
	for _, at := range []time.Duration{time.Hour, memory.Keep, memory.Keep + time.Hour} {
		if diff := cmp.Diff([]string{"a"}, m.Gone(start.Add(at))); diff != "" {
			t.Errorf("gone after %s (-want +got):\n%s", at, diff)
		}
	}
	if gone := m.Gone(start.Add(memory.Keep + 2*time.Hour)); gone != nil {
		t.Errorf("after a week, %q is still gone", gone)
	}
	if _, known := m.Object("a"); known {
		t.Error("after a week, it is still remembered")
	}
}

func TestAnObjectThatReturnsIsNotGone(t *testing.T) {
	m := open(t, &state{})
	m.Saw("a", "x", start)
	m.Removed("a", start)
	m.Saw("a", "y", start.Add(time.Hour))
	if gone := m.Gone(start.Add(time.Hour)); gone != nil {
		t.Errorf("gone: %q", gone)
	}
	object, _ := m.Object("a")
	if want := (memory.Object[string]{First: start, Detail: "y"}); object != want {
		t.Errorf("got %+v, want %+v", object, want)
	}
}

func TestOnlyChangesAreWritten(t *testing.T) {
	s := &state{}
	m := open(t, s)
	save := func(want int) {
		t.Helper()
		if err := m.Save(); err != nil || s.saves != want {
			t.Errorf("%d writes, %v, want %d", s.saves, err, want)
		}
	}
	save(0)
	m.Saw("a", "x", start)
	save(1)
	m.Saw("a", "x", start.Add(time.Hour))
	save(1)
	m.Saw("a", "y", start)
	save(2)
	m.Removed("a", start)
	save(3)
	m.Gone(start.Add(time.Hour))
	save(3)
	m.Gone(start.Add(2 * memory.Keep))
	save(4)
}

func TestAFailedWriteIsTriedAgain(t *testing.T) {
	s := &state{}
	m := open(t, s)
	m.Saw("a", "x", start)
	s.fail = errors.New("disk full")
	if err := m.Save(); !errors.Is(err, s.fail) {
		t.Errorf("got %v", err)
	}
	s.fail = nil
	if err := m.Save(); err != nil || s.saves != 1 {
		t.Errorf("%d writes, %v", s.saves, err)
	}
}
