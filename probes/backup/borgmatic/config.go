package borgmatic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
)

// A config is what of a configuration says where the backups are and what is in
// them.
type config struct {
	file         string
	repositories []place
	sources      []string
	archives     string // pattern of the names of archives
	passphrase   string
	passcommand  string
	ssh, remote  string
	keys         string   // directory
	states       []string // directories in which it may keep when it checked
	checks       []check
	databases    []database
	keep         []string // such as "7 daily"
	notes        []string
}

type place struct{ label, path string }

// A check is one that borgmatic makes itself.
type check struct {
	name  string
	every time.Duration // 0: each time
}

// A database is one whose dump the archives hold.
type database struct{ hook, name string }

// surroundings are what a configuration may refer to.
type surroundings struct {
	hostname string // of this host, as Borg shortens it
	home     string // of the user whose configuration it is
}

// sections are those that borgmatic before 1.8 has; since then their keys stand
// side by side.
func sections() []string {
	return []string{"location", "storage", "retention", "consistency", "output", "hooks"}
}

// parse makes a config of the content of a file.
func parse(file string, value any, about surroundings) (config, error) {
	top, is := value.(map[string]any)
	if !is {
		return config{}, malformed("%s is no configuration of borgmatic: it has no keys", file)
	}
	flat := maps.Clone(top)
	for _, name := range sections() {
		if section, is := top[name].(map[string]any); is {
			delete(flat, name)
			maps.Copy(flat, section)
		}
	}
	p := parser{constants: map[string]string{}, file: file, home: about.home}
	for name, value := range mapping(flat["constants"]) {
		p.constants[name] = text(value)
	}
	c := config{
		file:        file,
		sources:     p.strings(flat["source_directories"]),
		passphrase:  p.string(flat["encryption_passphrase"]),
		passcommand: p.string(flat["encryption_passcommand"]),
		ssh:         p.string(flat["ssh_command"]),
		remote:      p.string(flat["remote_path"]),
	}
	p.repositories(&c, flat)
	c.archives = p.archives(&c, flat, about)
	c.keys, c.states = p.directories(flat, about)
	c.checks = p.checks(&c, flat["checks"])
	c.databases = p.databases(flat)
	for _, key := range slices.Sorted(maps.Keys(flat)) {
		if unit, keeps := strings.CutPrefix(key, "keep_"); keeps {
			c.keep = append(c.keep, text(flat[key])+" "+unit)
		}
	}
	if local := p.string(flat["local_path"]); local != "" && local != "borg" {
		c.note("it calls borg as %s, which the agent does only with a wrapper under commands", local)
	}
	return c, errors.Join(p.errs...)
}

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}

func (c *config) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// A parser turns values into what they stand for, and collects what is wrong.
type parser struct {
	constants  map[string]string
	file, home string
	errs       []error
}

func mapping(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func list(value any) []any {
	if value, several := value.([]any); several {
		return value
	}
	if value == nil {
		return nil
	}
	return []any{value}
}

func text(value any) string {
	switch value := value.(type) {
	case nil, map[string]any, []any:
		return ""
	case retained:
		return text(value.value)
	case string:
		return value
	case time.Time:
		return value.Format(time.DateOnly)
	}
	return fmt.Sprint(value)
}

var variable = regexp.MustCompile(`(\\?)\$\{([A-Za-z0-9_]+)(?::?-([^}]+))?\}`)

// string returns a value with the constants of the configuration in their places.
// The environment of borgmatic is not known here: a variable is what it is by
// default.
func (p *parser) string(value any) string {
	s := text(value)
	for name, constant := range p.constants {
		s = strings.ReplaceAll(s, "{"+name+"}", constant)
	}
	return variable.ReplaceAllStringFunc(s, func(found string) string {
		m := variable.FindStringSubmatch(found)
		switch {
		case m[1] != "":
			return found[1:]
		case m[3] == "":
			p.errs = append(p.errs, probes.Because(probes.Unsupported, fmt.Errorf(
				"%s: the variable %s is set in the environment of borgmatic, which the agent does not know", p.file, m[2])))
		}
		return m[3]
	})
}

func (p *parser) strings(value any) []string {
	var all []string
	for _, one := range list(value) {
		if s := p.string(one); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func (p *parser) path(value any) string {
	s := p.string(value)
	if after, home := strings.CutPrefix(s, "~"); home && (after == "" || after[0] == '/') {
		return path.Join(p.home, after)
	}
	return s
}

func (p *parser) repositories(c *config, flat map[string]any) {
	for _, value := range list(flat["repositories"]) {
		r := place{path: p.path(value)}
		if m := mapping(value); m != nil {
			r = place{label: p.string(m["label"]), path: p.path(m["path"])}
		}
		if r.path == "" {
			p.errs = append(p.errs, malformed("%s: a repository has no path", p.file))
			continue
		}
		r.path = strings.TrimPrefix(r.path, "file://")
		c.repositories = append(c.repositories, r)
	}
	if len(c.repositories) == 0 && len(p.errs) == 0 {
		p.errs = append(p.errs, malformed("%s names no repository", p.file))
	}
}

// placeholder is what Borg replaces in the name of an archive.
var placeholder = regexp.MustCompile(`\{\{|\}\}|\{([a-z]*)(?::[^{}]*)?\}`)

// literal escapes what a pattern would take for more.
var literal = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`)

// archives is the pattern of the archives that the configuration makes.
func (p *parser) archives(c *config, flat map[string]any, about surroundings) string {
	switch match := p.string(flat["match_archives"]); {
	case match == "":
	case strings.HasPrefix(match, "sh:"):
		if pattern := glob(strings.TrimPrefix(match, "sh:"), about, strings.NewReplacer()); doublestar.ValidatePattern(pattern) {
			return pattern
		}
		c.note("match_archives is no valid pattern; archive_name_format counts")
	case strings.HasPrefix(match, "re:"):
		c.note("match_archives is a regular expression, which is not understood; archive_name_format counts")
	default:
		return glob(strings.TrimPrefix(match, "id:"), about, literal)
	}
	return glob(cmp.Or(p.string(flat["archive_name_format"]), "{hostname}-{now}"), about, literal)
}

// glob turns a name with placeholders into a pattern.
func glob(format string, about surroundings, escape *strings.Replacer) string {
	var b strings.Builder
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(format, -1) {
		b.WriteString(escape.Replace(format[at:m[0]]))
		at = m[1]
		switch whole := format[m[0]:m[1]]; {
		case whole == "{{" || whole == "}}":
			b.WriteString(literal.Replace(whole[:1]))
		case whole == "{hostname}" && about.hostname != "":
			b.WriteString(literal.Replace(about.hostname))
		default:
			b.WriteString("*")
		}
	}
	b.WriteString(escape.Replace(format[at:]))
	return b.String()
}

// directories are where the keys of Borg and the times of checks are.
func (p *parser) directories(flat map[string]any, about surroundings) (keys string, states []string) {
	base := cmp.Or(p.path(flat["borg_base_directory"]), about.home)
	keys = cmp.Or(p.path(flat["borg_keys_directory"]),
		path.Join(cmp.Or(p.path(flat["borg_config_directory"]), path.Join(base, ".config/borg")), "keys"))
	for _, dir := range []string{
		p.path(flat["borgmatic_state_directory"]),
		p.path(flat["user_state_directory"]),
		path.Join(about.home, ".local/state"),
		"/var/lib",
	} {
		if dir != "" {
			states = append(states, path.Join(dir, "borgmatic", "checks"))
		}
	}
	old := cmp.Or(p.path(flat["borgmatic_source_directory"]), path.Join(about.home, ".borgmatic"))
	return keys, append(states, path.Join(old, "checks"))
}

// checks are those that are made, which without any in the configuration are two.
func (p *parser) checks(c *config, value any) []check {
	if value == nil {
		return []check{{"repository", 30 * day}, {"archives", 30 * day}}
	}
	var all []check
	for _, item := range list(value) {
		name, every := p.string(item), ""
		if m := mapping(item); m != nil {
			name, every = p.string(m["name"]), p.string(m["frequency"])
		}
		if name == "disabled" {
			return nil
		}
		span, err := frequency(every)
		if err != nil {
			c.note("the check %s has a frequency that is not understood: %.40q", name, every)
		}
		all = append(all, check{name, span})
	}
	return all
}

const day = 24 * time.Hour

// frequency reads text such as "2 weeks"; "always" and nothing are 0.
func frequency(s string) (time.Duration, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" || s == "always" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(number)
	spans := map[string]time.Duration{
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": day, "week": 7 * day, "month": 30 * day, "year": 365 * day,
	}
	span, known := spans[strings.TrimSuffix(strings.TrimSpace(unit), "s")]
	if err != nil || !known || n < 0 {
		return 0, errors.New("no number with a unit")
	}
	const longest = 100 * 365 * day
	return time.Duration(min(int64(n), int64(longest/span))) * span, nil
}

// databases are those whose dumps go into the archives.
func (p *parser) databases(flat map[string]any) []database {
	var all []database
	for _, hook := range slices.Sorted(maps.Keys(flat)) {
		if !strings.HasSuffix(hook, "_databases") {
			continue
		}
		for _, item := range list(flat[hook]) {
			if name := p.string(mapping(item)["name"]); name != "" {
				all = append(all, database{hook, name})
			}
		}
	}
	return all
}
