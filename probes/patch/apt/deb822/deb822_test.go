package deb822

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

func scan(t *testing.T, s *Scanner) []string {
	t.Helper()
	var stanzas []string
	for s.Next() {
		stanzas = append(stanzas, string(s.Stanza()))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return stanzas
}

func TestStanzas(t *testing.T) {
	big := "Package: big\nDescription: " + strings.Repeat("x", 3*firstBuffer) + "\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"an empty file has none":                 {"", nil},
		"a file of empty lines has none":         {"\n\n\n", nil},
		"empty lines divide, however many":       {"\nA: 1\n\n\n\nB: 2\n\n", []string{"A: 1\n", "B: 2\n"}},
		"the last line may lack its end":         {"A: 1\n\nB: 2", []string{"A: 1\n", "B: 2"}},
		"a stanza may be larger than the buffer": {big + "\nA: 1\n", []string{big, "A: 1\n"}},
	} {
		if diff := cmp.Diff(c.want, scan(t, NewScanner(strings.NewReader(c.text)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.want, scan(t, NewScanner(iotest.HalfReader(strings.NewReader(c.text))))); diff != "" {
			t.Errorf("%s, in small pieces (-want +got):\n%s", name, diff)
		}
	}
}

func TestAStanzaWithoutEndIsRefused(t *testing.T) {
	s := NewScanner(strings.NewReader(strings.Repeat("x", maxStanza+1)))
	if s.Next() || probes.ReasonOf(s.Err()) != probes.TooLarge {
		t.Errorf("error %v", s.Err())
	}
	broken := errors.New("broken")
	if s := NewScanner(iotest.ErrReader(broken)); s.Next() || !errors.Is(s.Err(), broken) {
		t.Errorf("error %v", s.Err())
	}
}

func TestFields(t *testing.T) {
	stanza := Stanza("Package: a\nDepends: b,\n c (>= 1:2)\n\td\nodd line\nEmpty:\nX-Colon: a:b\n")
	want := map[string]string{"package": "a", "depends": "b,\n c (>= 1:2)\n\td", "empty": "", "x-colon": "a:b"}
	if diff := cmp.Diff(want, stanza.Map()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if name, ok := stanza.First("Package"); string(name) != "a" || !ok {
		t.Errorf("First: %q %v", name, ok)
	}
	if _, ok := stanza.First("Pack"); ok {
		t.Error("First finds a field by a part of its name")
	}
}

func TestConfigurationFiles(t *testing.T) {
	want := []map[string]string{{"a": "1", "b": "2\n 3"}, {"c": "4"}}
	if diff := cmp.Diff(want, Parse([]byte("# x\n\nA: 1\r\n# y\nB: 2\n# z\n 3\n\n# only a comment\n\nC: 4"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The stanzas together are the file, without empty lines.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("A: 1\n\nB: 2\n 3\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewScanner(iotest.OneByteReader(bytes.NewReader(data)))
		var all []byte
		for s.Next() {
			s.Stanza().Map()
			all = append(all, s.Stanza()...)
		}
		lines := func(data []byte) string { return strings.ReplaceAll(string(data), "\n", "") }
		if s.Err() != nil || lines(all) != lines(data) {
			t.Errorf("%q became %q, %v", data, all, s.Err())
		}
	})
}
