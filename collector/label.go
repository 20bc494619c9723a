package collector

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// What a label value may be long, in bytes.
const (
	identityLimit = 200
	textLimit     = 128
)

// identity returns the form in which the name of an object or of a member is
// shown everywhere. It is never cut at an end, because paths tend to differ
// there: above the limit, the middle gives way to "…" and the first 8 hex
// digits of the SHA-256 of the whole name. The result is valid UTF-8 of at most
// identityLimit bytes, and its own identity.
func identity(name string) string {
	shown := visible(name)
	if len(shown) <= identityLimit {
		return shown
	}
	sum := sha256.Sum256([]byte(name))
	mark := "…" + hex.EncodeToString(sum[:4])
	half := (identityLimit - len(mark)) / 2
	return cut(shown, half) + mark + cutFront(shown, half)
}

// text returns the form in which a descriptive label is shown: valid UTF-8 of
// at most textLimit bytes.
func text(value string) string {
	return cut(visible(value), textLimit)
}

// visible shows each byte that is not part of valid UTF-8 as \xNN.
func visible(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			b.WriteString(`\x` + hex.EncodeToString([]byte{s[0]}))
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// cut keeps at most n bytes of valid UTF-8 from the start.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cutFront keeps at most n bytes of valid UTF-8 from the end.
func cutFront(s string, n int) string {
	if len(s) <= n {
		return s
	}
	from := len(s) - n
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return s[from:]
}
