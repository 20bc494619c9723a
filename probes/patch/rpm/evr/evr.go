// Package evr orders the versions of RPM packages exactly as rpm does.
package evr

import (
	"cmp"
	"strings"
)

// An EVR is the epoch, version and release of a package. An absent epoch is
// "0"; Parse and the readers of this probe write it so, and Compare treats ""
// alike.
type EVR struct {
	Epoch, Version, Release string
}

// Parse splits [epoch:]version[-release]. Whatever the text is, it gives an
// EVR: rpm itself accepts nearly everything.
func Parse(text string) EVR {
	v := EVR{Epoch: "0", Version: text}
	if epoch, rest, ok := strings.Cut(text, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		v.Epoch, v.Version = cmp.Or(epoch, "0"), rest
	}
	if at := strings.LastIndexByte(v.Version, '-'); at >= 0 {
		v.Version, v.Release = v.Version[:at], v.Version[at+1:]
	}
	return v
}

// String writes the EVR as rpm tools do: an epoch of 0 is left out.
func (v EVR) String() string {
	text := v.Version
	if v.Epoch != "" && v.Epoch != "0" {
		text = v.Epoch + ":" + text
	}
	if v.Release != "" {
		text += "-" + v.Release
	}
	return text
}

// Compare returns -1, 0 or +1 as a is older than, the same as or newer than b.
func Compare(a, b EVR) int {
	return cmp.Or(
		CompareVersions(cmp.Or(a.Epoch, "0"), cmp.Or(b.Epoch, "0")),
		CompareVersions(a.Version, b.Version),
		CompareVersions(a.Release, b.Release),
	)
}

// Satisfies reports whether v stands in a relation to the version of a
// dependency. A dependency without a release is met by every release, as in
// rpm. An unknown relation is never met.
func Satisfies(v EVR, relation string, want EVR) bool {
	order := cmp.Or(
		CompareVersions(cmp.Or(v.Epoch, "0"), cmp.Or(want.Epoch, "0")),
		CompareVersions(v.Version, want.Version),
	)
	if order == 0 && v.Release != "" && want.Release != "" {
		order = CompareVersions(v.Release, want.Release)
	}
	switch relation {
	case "EQ":
		return order == 0
	case "LT":
		return order < 0
	case "LE":
		return order <= 0
	case "GT":
		return order > 0
	case "GE":
		return order >= 0
	}
	return false
}

// CompareVersions orders two versions or two releases: runs of digits by
// value, runs of letters as text, digits above letters, everything else only
// separates. A tilde sorts before the end of the text, a caret after it but
// before any further run. Only ASCII counts.
func CompareVersions(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" || b != "" {
		a, b = trimSeparators(a), trimSeparators(b)
		if order, decided, both := marks(a, b); decided {
			return order
		} else if both {
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		kind := isLetter
		if isDigit(a[0]) {
			kind = isDigit
		}
		var left, right string
		left, a = run(a, kind)
		right, b = run(b, kind)
		if right == "" { // of another kind: a number is newer than a word
			if isDigit(left[0]) {
				return 1
			}
			return -1
		}
		if order := compareRuns(left, right); order != 0 {
			return order
		}
	}
	return cmp.Compare(min(len(a), 1), min(len(b), 1))
}

// marks compares leading tildes and carets: they decide, or both texts have
// the same one, or neither is there.
func marks(a, b string) (order int, decided, both bool) {
	tildeA, tildeB := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~")
	caretA, caretB := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^")
	switch {
	case tildeA && tildeB:
		return 0, false, true
	case tildeA:
		return -1, true, false
	case tildeB:
		return 1, true, false
	case caretA && caretB:
		return 0, false, true
	case caretA && b == "", caretB && a != "":
		return 1, true, false
	case caretA, caretB:
		return -1, true, false
	}
	return 0, false, false
}

func compareRuns(a, b string) int {
	if isDigit(a[0]) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			return cmp.Compare(len(a), len(b))
		}
	}
	return strings.Compare(a, b)
}

func trimSeparators(text string) string {
	for i := range len(text) {
		if c := text[i]; isDigit(c) || isLetter(c) || c == '~' || c == '^' {
			return text[i:]
		}
	}
	return ""
}

func run(text string, kind func(byte) bool) (head, rest string) {
	for i := range len(text) {
		if !kind(text[i]) {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
