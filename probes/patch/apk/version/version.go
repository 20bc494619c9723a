// Package version orders the versions of Alpine packages as apk-package(5) and
// apk-tools describe them:
//
//	number{.number}[letter]{_suffix[number]}[~hash][-r revision]
//
// apk itself cannot run where this is developed; the tests compare with an
// independent port of its code.
package version

import (
	"cmp"
	"strings"
)

// The kinds of tokens, in the order in which apk ranks them: where one version
// goes on with a token of a lower rank than the other, it is the newer one.
const (
	initial = iota
	number
	letter
	suffix
	suffixNumber
	hash
	revision
	end
	invalid
)

type token struct {
	kind int
	text string
}

// Suffixes below 0 come before a release, the others after it.
var suffixes = map[string]int{
	"alpha": -4, "beta": -3, "pre": -2, "rc": -1,
	"cvs": 0, "svn": 1, "git": 2, "hg": 3, "p": 4,
}

// Valid reports whether apk would accept the text as a version.
func Valid(text string) bool {
	tokens := split(text)
	return tokens[len(tokens)-1].kind == end
}

// Compare returns -1, 0 or +1 as a is older than, the same as or newer than b.
// What stands behind an invalid token does not count.
func Compare(a, b string) int {
	left, right := split(a), split(b)
	i := 0
	for ; left[i].kind == right[i].kind && left[i].kind < end; i++ {
		if order := compareTokens(left[i], right[i]); order != 0 {
			return order
		}
	}
	switch l, r := left[i], right[i]; {
	case l.kind == r.kind:
		return 0
	case l.kind == suffix && suffixes[l.text] < 0:
		return -1
	case r.kind == suffix && suffixes[r.text] < 0:
		return 1
	default:
		return cmp.Compare(r.kind, l.kind)
	}
}

// Begins reports whether a version is the same as another one or goes on from
// it, as "~" asks for in apk-world(5): 1.20 does not begin with 1.2.
func Begins(version, with string) bool {
	have, want := split(version), split(with)
	for i, token := range want {
		if token.kind == end {
			return true
		}
		if token.kind != have[i].kind || token.kind == invalid || compareTokens(have[i], token) != 0 {
			return false
		}
	}
	return false
}

func compareTokens(a, b token) int {
	switch a.kind {
	case number:
		// As decimal fractions where one begins with a zero: 1.05 is older than 1.5.
		if a.text[0] == '0' || b.text[0] == '0' {
			return strings.Compare(a.text, b.text)
		}
		return compareNumbers(a.text, b.text)
	case initial, suffixNumber, revision:
		return compareNumbers(a.text, b.text)
	case suffix:
		return cmp.Compare(suffixes[a.text], suffixes[b.text])
	}
	return strings.Compare(a.text, b.text)
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// split cuts a version into tokens; the last one is always end or invalid.
func split(text string) []token {
	var tokens []token
	last := -1
	for {
		var next token
		next, text = cut(text, last)
		tokens = append(tokens, next)
		if next.kind >= end {
			return tokens
		}
		last = next.kind
	}
}

// cut takes the token that follows one of the kind last.
func cut(text string, last int) (token, string) {
	if last == -1 {
		return take(initial, text, digits(text))
	}
	if text == "" {
		return token{kind: end}, ""
	}
	switch c := text[0]; {
	case c == '.' && last <= number:
		return take(number, text[1:], digits(text[1:]))
	case 'a' <= c && c <= 'z' && last <= number:
		return take(letter, text, 1)
	case c == '_' && last <= suffixNumber:
		n := 1
		for n < len(text) && 'a' <= text[n] && text[n] <= 'z' {
			n++
		}
		if _, known := suffixes[text[1:n]]; known {
			return token{suffix, text[1:n]}, text[n:]
		}
	case '0' <= c && c <= '9' && last == suffix:
		return take(suffixNumber, text, digits(text))
	case c == '~' && last < hash:
		n := 1
		for n < len(text) && strings.IndexByte("0123456789abcdef", text[n]) >= 0 {
			n++
		}
		return take(hash, text[1:], n-1)
	case strings.HasPrefix(text, "-r") && last < revision:
		return take(revision, text[2:], digits(text[2:]))
	}
	return token{kind: invalid}, text
}

// take takes n bytes, of which there must be some.
func take(kind int, text string, n int) (token, string) {
	if n == 0 || n > len(text) {
		return token{kind: invalid}, text
	}
	return token{kind, text[:n]}, text[n:]
}

func digits(text string) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}
