// Package version orders the versions of Debian packages as dpkg does
// (deb-version(7)). It accepts any text, because a strange version must not hide
// a package, and allocates nothing, because every available version is compared.
package version

import (
	"cmp"
	"strings"
)

// Compare returns a negative number, zero or a positive number, as a is older
// than b, the same, or newer.
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	epochA, upstreamA, revisionA := split(a)
	epochB, upstreamB, revisionB := split(b)
	return cmp.Or(
		compareNumbers(epochA, epochB),
		compareParts(upstreamA, upstreamB),
		compareParts(revisionA, revisionB),
	)
}

// split takes a version apart: [epoch:]upstream[-revision].
func split(v string) (epoch, upstream, revision string) {
	if before, after, found := strings.Cut(v, ":"); found {
		epoch, v = before, after
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v, revision = v[:i], v[i+1:]
	}
	return epoch, v, revision
}

// compareParts alternates between runs of other characters and of digits.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		i, j := nonDigits(a), nonDigits(b)
		if c := compareText(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
		i, j = digits(a), digits(b)
		if c := compareNumbers(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// compareText orders runs without digits: ~ before the end, the end before
// letters, letters before everything else.
func compareText(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i] >= 'A' && s[i] <= 'Z', s[i] >= 'a' && s[i] <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}

// compareNumbers orders runs of digits of any length by their value.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func nonDigits(s string) (n int) {
	for n < len(s) && !isDigit(s[n]) {
		n++
	}
	return n
}

func digits(s string) (n int) {
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
