package apt

import (
	"regexp"
	"slices"
	"strings"
)

// A pattern is how apt matches names and fields: a shell pattern in which * also
// matches slashes, or a regular expression between slashes; both without regard
// to case.
type pattern struct {
	text string
	expr *regexp.Regexp // nil when the text has nothing special
}

func newPattern(text string) pattern {
	p := pattern{text: text}
	expr := ""
	switch {
	case len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/':
		expr = text[1 : len(text)-1]
	case strings.ContainsAny(text, `*?[\`):
		expr = "^" + shell(text) + "$"
	default:
		return p
	}
	compiled, err := regexp.Compile("(?is)" + expr)
	if err != nil {
		compiled = regexp.MustCompile(`$.^`) // matches nothing, as in apt
	}
	p.expr = compiled
	return p
}

func (p pattern) matches(text string) bool {
	if p.expr != nil {
		return p.expr.MatchString(text)
	}
	return strings.EqualFold(p.text, text)
}

// wild reports whether the pattern stands for more than one name.
func (p pattern) wild() bool { return p.expr != nil }

// shell translates a shell pattern into a regular expression.
func shell(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '\\':
			if i+1 < len(text) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		case '[':
			end := strings.IndexByte(text[min(i+2, len(text)):], ']')
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			set := text[i+1 : i+2+end]
			if set[0] == '!' {
				set = "^" + set[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(set, `\`, `\\`) + "]")
			i += 2 + end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

// A target is what the field Pin of a preference says: which versions it means.
type target struct {
	kind    string // version, release or origin
	version pattern
	prefix  string // of a version, with a * at its end
	all     bool   // every release

	fields []fieldMatch // of a release, all of which must match
	site   pattern      // of an origin
}

// A fieldMatch compares one property of a release.
type fieldMatch struct {
	key    byte // a, n, v, o, l, c, b; r is a or n
	value  pattern
	prefix string // of v, with a * at its end
}

// newTarget reads the field Pin.
func newTarget(kind, data string) target {
	t := target{kind: kind}
	switch kind {
	case "version":
		t.version = newPattern(data)
		t.prefix, _ = strings.CutSuffix(data, "*")
		if t.prefix == data {
			t.prefix = ""
		}
	case "origin":
		if len(data) >= 2 && data[0] == '"' && data[len(data)-1] == '"' {
			data = data[1 : len(data)-1]
		}
		t.site = newPattern(data)
	case "release":
		t.release(data)
	}
	return t
}

func (t *target) release(data string) {
	if data == "*" {
		t.all = true
		return
	}
	if !strings.Contains(data, "=") {
		key := byte('r')
		if data != "" && data[0] >= '0' && data[0] <= '9' {
			key = 'v'
		}
		t.field(key, data)
		return
	}
	for part := range strings.SplitSeq(data, ",") {
		part = strings.TrimSpace(part)
		if len(part) < 3 || part[1] != '=' || strings.IndexByte("vanolcb", part[0]|0x20) < 0 {
			continue
		}
		t.field(part[0]|0x20, part[2:])
	}
}

func (t *target) field(key byte, value string) {
	f := fieldMatch{key: key, value: newPattern(value)}
	if rest, found := strings.CutSuffix(value, "*"); found && key == 'v' {
		f.prefix = rest
	}
	t.fields = append(t.fields, f)
}

// matchesVersion reports whether the target means a version.
func (t target) matchesVersion(v *ver) bool {
	if t.kind == "version" {
		return t.version.matches(v.version) || t.prefix != "" && hasPrefixFold(v.version, t.prefix)
	}
	return slices.ContainsFunc(v.indexes, t.matchesIndex) || v == v.pkg.current && t.matchesStatus()
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// matchesStatus reports whether the target means what is installed, which is
// the release "now".
func (t target) matchesStatus() bool {
	if t.kind != "release" {
		return false
	}
	for _, f := range t.fields {
		if f.key != 'a' && f.key != 'r' && f.key != 'c' || !f.value.matches("now") {
			return false
		}
	}
	return t.all || len(t.fields) > 0
}

// matchesIndex reports whether the target means everything in an index.
func (t target) matchesIndex(i *index) bool {
	switch t.kind {
	case "origin":
		return t.site.matches(i.repository.site())
	case "release":
		for _, f := range t.fields {
			if !f.matches(i) {
				return false
			}
		}
		return t.all || len(t.fields) > 0
	}
	return false
}

func (f fieldMatch) matches(i *index) bool {
	r := i.repository
	switch f.key {
	case 'a':
		return f.value.matches(r.suiteName())
	case 'n':
		return f.value.matches(r.codename)
	case 'r':
		return f.value.matches(r.suiteName()) || f.value.matches(r.codename)
	case 'v':
		return f.value.matches(r.version) || f.prefix != "" && hasPrefixFold(r.version, f.prefix)
	case 'o':
		return f.value.matches(r.origin)
	case 'l':
		return f.value.matches(r.label)
	case 'c':
		return f.value.matches(i.component)
	case 'b':
		return f.value.matches(i.architecture)
	}
	return false
}

// site returns the host that a repository comes from; a local one has none.
func (r *repository) site() string {
	_, rest, found := strings.Cut(r.uri, "://")
	if !found {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

// suiteName returns the suite as the publisher names it.
func (r *repository) suiteName() string { return r.release.suite }
