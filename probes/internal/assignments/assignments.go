// Package assignments reads files of lines NAME=value, which the shell and systemd
// understand, too: os-release(5), and environment files as in systemd.exec(5).
package assignments

import (
	"regexp"
	"strings"
)

var line = regexp.MustCompile(`^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// Parse returns the values by their names; of two with one name the last counts.
// Comments are left out, as is every line that assigns nothing. A value may stand
// within quotes; nothing in it is replaced by the value of a variable or the output
// of a command.
func Parse(text []byte) map[string]string {
	values := map[string]string{}
	for raw := range strings.Lines(string(text)) {
		if m := line.FindStringSubmatch(strings.TrimSpace(raw)); m != nil {
			values[m[1]] = unquote(strings.TrimSpace(m[2]))
		}
	}
	return values
}

// unquote takes quotes away: what stands in single ones is as it is, in double ones
// a backslash protects the characters that the shell would treat otherwise.
func unquote(value string) string {
	if len(value) < 2 || value[len(value)-1] != value[0] {
		return value
	}
	switch inner := value[1 : len(value)-1]; value[0] {
	case '\'':
		return inner
	case '"':
		return escaped.ReplaceAllString(inner, "$1")
	}
	return value
}

var escaped = regexp.MustCompile("\\\\([\"\\\\$`])")
