package apt

import (
	"slices"
	"strings"

	"hygiene_exporter/probes/patch/apt/version"
)

// A relation is one name in a field such as Depends (deb-control(5)).
type relation struct {
	name, arch string // arch is what follows the colon: any, native or an architecture
	op         string // <<, <=, =, >=, >>, or empty for any version
	version    string
}

// parseRelations reads a field: alternatives between |, groups between commas.
func parseRelations(field string) [][]relation {
	var groups [][]relation
	for part := range strings.SplitSeq(field, ",") {
		var group []relation
		for alternative := range strings.SplitSeq(part, "|") {
			if r, ok := parseRelation(alternative); ok {
				group = append(group, r)
			}
		}
		if len(group) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

func parseRelation(text string) (relation, bool) {
	text, _, _ = strings.Cut(text, "[")
	name, rest, found := strings.Cut(text, "(")
	r := relation{name: strings.TrimSpace(name)}
	r.name, r.arch, _ = strings.Cut(r.name, ":")
	if found {
		rest, _, _ = strings.Cut(rest, ")")
		rest = strings.TrimSpace(rest)
		end := strings.IndexFunc(rest, func(c rune) bool { return c != '<' && c != '>' && c != '=' })
		if end < 0 {
			return relation{}, false
		}
		r.op, r.version = rest[:end], strings.TrimSpace(rest[end:])
		switch r.op { // the old forms mean "or equal"
		case "<":
			r.op = "<="
		case ">":
			r.op = ">="
		}
	}
	return r, r.name != ""
}

// allows reports whether the relation is about this version.
func (r relation) allows(text string) bool {
	c := version.Compare(text, r.version)
	switch r.op {
	case "":
		return true
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return c == 0
}

// matches reports whether a version is what the relation names: by its own name
// or by one that it provides. A provided name without a version satisfies only
// a relation without one.
func (r relation) matches(v *ver) bool {
	if v.pkg.name == r.name && r.allows(v.version) {
		return true
	}
	for _, provided := range v.provided() {
		if provided.name == r.name && (r.op == "" || provided.version != "" && r.allows(provided.version)) {
			return true
		}
	}
	return false
}

// satisfies reports whether a version fulfils a dependency of a package of some
// architecture.
func (v *ver) satisfies(r relation, arch string, native string) bool {
	if !r.matches(v) {
		return false
	}
	switch r.arch {
	case "any":
		return v.multiArch == "allowed" || v.multiArch == "foreign" || v.pkg.arch == arch
	case "native":
		arch = native
	case "":
	default:
		arch = r.arch
	}
	return v.pkg.arch == arch || v.multiArch == "foreign"
}

// Relations of a version, read once.
type relations struct {
	read                                bool
	needs, recommended, refused, offers [][]relation
}

func (v *ver) relations() *relations {
	if r := &v.parsed; !r.read {
		*r = relations{
			read:        true,
			needs:       slices.Concat(parseRelations(v.preDepends), parseRelations(v.depends)),
			recommended: parseRelations(v.recommends),
			refused:     slices.Concat(parseRelations(v.conflicts), parseRelations(v.breaks)),
			offers:      parseRelations(v.provides),
		}
	}
	return &v.parsed
}

// provided returns what the version provides.
func (v *ver) provided() []relation {
	if v.provides == "" {
		return nil
	}
	var list []relation
	for _, group := range v.relations().offers {
		list = append(list, group...)
	}
	return list
}
