package collector

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestIdentity(t *testing.T) {
	long := "/srv/" + strings.Repeat("ä", 200) + "/cert.pem"
	tests := []struct {
		name, give, want string
	}{
		{"a plain path stays", "/etc/ssl/a b.pem", "/etc/ssl/a b.pem"},
		{"a newline stays, because the encoders escape it", "a\nb", "a\nb"},
		{"the replacement character stays when it is really there", "a\uFFFDb", "a\uFFFDb"},
		{"each invalid byte is shown", "/a\xff\xc3/b", `/a\xff\xc3/b`},
		{"a rune that breaks off is shown byte by byte", "x\xe2\x82", `x\xe2\x82`},
		{"200 bytes stay", strings.Repeat("x", 200), strings.Repeat("x", 200)},
		{
			"above 200 bytes the middle becomes its hash", strings.Repeat("x", 201),
			strings.Repeat("x", 94) + "…84a0678c" + strings.Repeat("x", 94),
		},
		{
			"no rune is cut", long,
			"/srv/" + strings.Repeat("ä", 44) + "…61ed98a2" + strings.Repeat("ä", 42) + "/cert.pem",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := identity(test.give); got != test.want {
				t.Errorf("identity(%q) is\n%q, want\n%q", test.give, got, test.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		name, give, want string
	}{
		{"128 bytes stay", strings.Repeat("x", 128), strings.Repeat("x", 128)},
		{"what is longer is cut", strings.Repeat("x", 129), strings.Repeat("x", 128)},
		{"no rune is cut", strings.Repeat("x", 127) + "ä", strings.Repeat("x", 127)},
		{"invalid bytes are shown before cutting", strings.Repeat("x", 124) + "\xff\xff", strings.Repeat("x", 124) + `\xff`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := text(test.give); got != test.want {
				t.Errorf("text(%q) is\n%q, want\n%q", test.give, got, test.want)
			}
		})
	}
}

// FuzzIdentity: what is shown is valid and bounded, keeps what need not be
// changed, and is its own identity; and names that differ stay different unless
// one of them spells out the other's invalid bytes.
func FuzzIdentity(f *testing.F) {
	f.Add("a", "b")
	f.Add("a\xff", `a\xff`)
	f.Add(strings.Repeat("x", 300), strings.Repeat("x", 150)+"y"+strings.Repeat("x", 149))
	f.Add(strings.Repeat("\xff", 60), strings.Repeat("ä", 101))
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{a, b} {
			id := identity(name)
			if !utf8.ValidString(id) || len(id) > identityLimit {
				t.Errorf("identity(%q) is %q", name, id)
			}
			if identity(id) != id {
				t.Errorf("the identity of %q is %q", id, identity(id))
			}
			if len(name) <= identityLimit && utf8.ValidString(name) && id != name {
				t.Errorf("%q was changed to %q", name, id)
			}
			cut := text(name)
			if !utf8.ValidString(cut) || len(cut) > textLimit || !strings.HasPrefix(visible(name), cut) {
				t.Errorf("text(%q) is %q", name, cut)
			}
		}
		if identity(a) == identity(b) && visible(a) != visible(b) {
			t.Errorf("%q and %q have the identity %q", a, b, identity(a))
		}
	})
}
