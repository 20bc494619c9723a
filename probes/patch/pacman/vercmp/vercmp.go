// Package vercmp orders the versions of pacman packages exactly as pacman's
// vercmp does. The order resembles that of rpm and is another one: the length
// of separators counts, and there is neither tilde nor caret.
package vercmp

import (
	"cmp"
	"strings"
)

// Compare returns -1, 0 or +1 as a is older than, the same as or newer than b.
// Both are [epoch:]version[-release]; the releases count only if both have one.
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	left, right := split(a), split(b)
	order := cmp.Or(compareParts(left.epoch, right.epoch), compareParts(left.version, right.version))
	if order == 0 && left.hasRelease && right.hasRelease {
		order = compareParts(left.release, right.release)
	}
	return order
}

type parts struct {
	epoch, version, release string
	hasRelease              bool
}

func split(text string) parts {
	p := parts{epoch: "0", version: text}
	digits, rest := run(text, isDigit)
	if version, ok := strings.CutPrefix(rest, ":"); ok {
		p.epoch, p.version = cmp.Or(digits, "0"), version
	}
	if at := strings.LastIndexByte(rest, '-'); at >= 0 { // never inside the leading digits
		p.version, p.release, p.hasRelease = strings.TrimSuffix(p.version, rest[at:]), rest[at+1:], true
	}
	return p
}

func compareParts(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" && b != "" {
		var separatorA, separatorB string
		separatorA, a = run(a, isSeparator)
		separatorB, b = run(b, isSeparator)
		if a == "" || b == "" {
			break
		}
		if len(separatorA) != len(separatorB) {
			return cmp.Compare(len(separatorA), len(separatorB))
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
	return compareRests(a, b)
}

// compareRests decides when one text has ended: a further word makes a version
// older ("1.0rc" before "1.0"), anything else makes it newer.
func compareRests(a, b string) int {
	switch {
	case a == "" && b == "":
		return 0
	case a == "" && !isLetter(b[0]), a != "" && isLetter(a[0]):
		return -1
	}
	return 1
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

func run(text string, kind func(byte) bool) (head, rest string) {
	for i := range len(text) {
		if !kind(text[i]) {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func isDigit(c byte) bool     { return '0' <= c && c <= '9' }
func isLetter(c byte) bool    { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isSeparator(c byte) bool { return !isDigit(c) && !isLetter(c) }
