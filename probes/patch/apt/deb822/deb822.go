// Package deb822 reads the format of Debian's control files (deb822(5)):
// stanzas of fields, divided by empty lines. It streams, because the index of a
// distribution is large and few of its stanzas are of interest.
package deb822

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"hygiene_exporter/probes"
)

// The sizes of what is held in memory: to begin with, and at most.
const (
	firstBuffer = 256 << 10
	maxStanza   = 16 << 20
)

// A Scanner reads the stanzas of a stream.
type Scanner struct {
	source     io.Reader
	buffer     []byte
	start, end int // what of the buffer was not returned yet
	done       bool
	err        error
	stanza     Stanza
}

// NewScanner returns a scanner of a stream.
func NewScanner(source io.Reader) *Scanner {
	return &Scanner{source: source, buffer: make([]byte, firstBuffer)}
}

var divider = []byte("\n\n")

// Next advances to the next stanza and reports whether there is one.
func (s *Scanner) Next() bool {
	searched := 0
	for s.err == nil {
		for s.start < s.end && s.buffer[s.start] == '\n' {
			s.start++
			searched = 0
		}
		pending := s.buffer[s.start:s.end]
		from := max(0, searched-1)
		if i := bytes.Index(pending[from:], divider); i >= 0 {
			s.stanza = pending[:from+i+1]
			s.start += from + i + 2
			return true
		}
		if s.done {
			s.stanza, s.start = pending, s.end
			return len(pending) > 0
		}
		searched = len(pending)
		s.fill()
	}
	return false
}

// fill reads more, and makes room for it if need be.
func (s *Scanner) fill() {
	if s.start > 0 {
		s.end = copy(s.buffer, s.buffer[s.start:s.end])
		s.start = 0
	}
	if s.end == len(s.buffer) {
		if len(s.buffer) >= maxStanza {
			s.err = probes.Because(probes.TooLarge, errors.New("a stanza does not end"))
			return
		}
		s.buffer = append(s.buffer, make([]byte, len(s.buffer))...)
	}
	n, err := s.source.Read(s.buffer[s.end:])
	s.end += n
	if err == io.EOF { //nolint:errorlint // the contract of io.Reader
		s.done = true
	} else if err != nil {
		s.err = err
	}
}

// Stanza returns the current stanza, which is valid until the next call of Next.
func (s *Scanner) Stanza() Stanza { return s.stanza }

// Err returns what ended the stream, if it was not its end.
func (s *Scanner) Err() error { return s.err }

// A Stanza is the text of one stanza.
type Stanza []byte

// First returns the value of the first field, if it has this name exactly.
func (s Stanza) First(name string) ([]byte, bool) {
	if len(s) <= len(name) || s[len(name)] != ':' || string(s[:len(name)]) != name {
		return nil, false
	}
	line := s[len(name)+1:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return bytes.TrimSpace(line), true
}

// Fields calls each for every field, in order, until it returns false. The
// value keeps its inner line breaks. A line that belongs to no field is
// skipped.
func (s Stanza) Fields(each func(name, value []byte) bool) {
	for len(s) > 0 {
		end := fieldEnd(s)
		field := s[:end]
		s = s[end:]
		name, value, found := bytes.Cut(field, []byte(":"))
		if !found || len(name) == 0 || bytes.IndexByte(name, '\n') >= 0 || name[0] == ' ' || name[0] == '\t' {
			continue
		}
		if !each(bytes.TrimSpace(name), bytes.TrimSpace(value)) {
			return
		}
	}
}

// fieldEnd returns where a field ends with its continuation lines.
func fieldEnd(s []byte) int {
	at := 0
	for {
		i := bytes.IndexByte(s[at:], '\n')
		if i < 0 {
			return len(s)
		}
		at += i + 1
		if at >= len(s) || s[at] != ' ' && s[at] != '\t' {
			return at
		}
	}
}

// Map returns all fields by their names in lower case. Of a field that is there
// twice, the last counts.
func (s Stanza) Map() map[string]string {
	fields := map[string]string{}
	s.Fields(func(name, value []byte) bool {
		fields[strings.ToLower(string(name))] = string(value)
		return true
	})
	return fields
}

// Parse returns the stanzas of a configuration file, in which lines that begin
// with # are comments.
func Parse(data []byte) []map[string]string {
	var kept []byte
	for line := range bytes.Lines(data) {
		if len(line) > 0 && line[0] == '#' {
			continue
		}
		kept = append(kept, bytes.ReplaceAll(line, []byte("\r\n"), []byte("\n"))...)
	}
	scanner := NewScanner(bytes.NewReader(kept))
	var stanzas []map[string]string
	for scanner.Next() {
		if fields := scanner.Stanza().Map(); len(fields) > 0 {
			stanzas = append(stanzas, fields)
		}
	}
	return stanzas
}
