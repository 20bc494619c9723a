package resticprofile

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

const (
	maxFile  = 1 << 20 // bytes of one file
	maxFiles = 50      // that are included
	maxDepth = 20      // of inheritance, and of mixins in mixins
)

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}

// fields are those of the templates of resticprofile that are understood.
var fields = regexp.MustCompile(`\{\{-?\s*\.(Profile\.Name|Hostname|ConfigDir)\s*-?\}\}`)

// decode reads a file by the end of its name. What the templates in it stand for
// is told by known.
func decode(name string, data []byte, known map[string]string) (map[string]any, error) {
	text := fields.ReplaceAllStringFunc(string(data), func(found string) string {
		return known[fields.FindStringSubmatch(found)[1]]
	})
	if strings.Contains(text, "{{") {
		return nil, probes.Because(probes.Unsupported, fmt.Errorf("%s uses templates, of which only .Profile.Name, .Hostname and .ConfigDir are understood", name))
	}
	m := map[string]any{}
	var err error
	switch ext := path.Ext(name); ext {
	case ".yaml", ".yml", ".json":
		err = yaml.Unmarshal([]byte(text), &m)
	case ".toml", ".conf":
		err = toml.Unmarshal([]byte(text), &m)
	default:
		return nil, probes.Because(probes.Unsupported, fmt.Errorf("%s: files that end in %q are not understood; those in yaml, yml, json, toml and conf are", name, ext))
	}
	if err != nil {
		return nil, malformed("%s: %w", name, err)
	}
	return m, nil
}

// A merger merges values as a version of the configuration does: the first one
// takes lists for structure and merges them place by place, the second replaces
// them.
type merger struct{ lists bool }

// merge puts a mapping over another. In the second version a key with dots behind
// or before it adds to a list.
func (m merger) merge(base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]any{}
	}
	for _, key := range slices.Sorted(maps.Keys(over)) {
		value := over[key]
		if name, before, adds := addition(key); adds && !m.lists {
			if before {
				merged[name] = slices.Concat(list(value), list(merged[name]))
			} else {
				merged[name] = slices.Concat(list(merged[name]), list(value))
			}
			continue
		}
		merged[key] = m.value(merged[key], value)
	}
	return merged
}

func (m merger) value(base, over any) any {
	switch over := over.(type) {
	case map[string]any:
		under, _ := base.(map[string]any)
		return m.merge(under, over)
	case []any:
		if under, both := base.([]any); both && m.lists && len(under) > len(over) {
			return slices.Concat(over, under[len(over):])
		}
	}
	return over
}

// addition splits a key that adds to a list.
func addition(key string) (name string, before, adds bool) {
	for _, suffix := range []string{"...", "__APPEND"} {
		if name, found := strings.CutSuffix(key, suffix); found {
			return name, false, true
		}
	}
	if name, found := strings.CutPrefix(key, "..."); found {
		return name, true, true
	}
	name, before = strings.CutSuffix(key, "__PREPEND")
	return name, before, before
}

func list(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		return value
	case []map[string]any: // tables of TOML
		var all []any
		for _, one := range value {
			all = append(all, one)
		}
		return all
	}
	return []any{value}
}

func text(value any) string {
	switch value := value.(type) {
	case nil, map[string]any, []any, []map[string]any:
		return ""
	case string:
		return value
	}
	return fmt.Sprint(value)
}

func texts(value any) []string {
	var all []string
	for _, one := range list(value) {
		if s := text(one); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func mapping(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

// A configuration is a file with all that it includes.
type configuration struct {
	file   string
	all    map[string]any
	second bool // it is of version 2
	budget int  // of mixins that may be merged
}

// profile returns a profile with what it inherits and what is mixed into it.
func (c *configuration) profile(name string, depth int) (map[string]any, error) {
	profiles := c.all
	if c.second {
		profiles = mapping(c.all["profiles"])
	}
	own, is := profiles[name].(map[string]any)
	if group := c.group(name); !is && group != nil {
		return nil, malformed("%s: %s is a group: give the job a copy for each of its profiles, %s", c.file, name, strings.Join(group, ", "))
	}
	if !is {
		return nil, malformed("%s has no profile %.80q", c.file, name)
	}
	if depth > maxDepth {
		return nil, malformed("%s: the profile %s inherits from itself", c.file, name)
	}
	own, err := c.mix(own, 0)
	if err != nil {
		return nil, err
	}
	parent := text(own["inherit"])
	if parent == "" {
		return merger{}.merge(nil, own), nil
	}
	base, err := c.profile(parent, depth+1)
	if err != nil {
		return nil, fmt.Errorf("the profile %s inherits: %w", name, err)
	}
	return merger{lists: !c.second}.merge(base, own), nil
}

// group returns the profiles of a group; nil: there is none of this name.
func (c *configuration) group(name string) []string {
	switch group := mapping(c.all["groups"])[name].(type) {
	case map[string]any:
		return texts(group["profiles"])
	case []any:
		return texts(group)
	}
	return nil
}

// mix merges the mixins that a mapping, or one in it, uses.
func (c *configuration) mix(m map[string]any, depth int) (map[string]any, error) {
	if !c.second {
		return m, nil
	}
	if depth > maxDepth {
		return nil, malformed("%s: mixins use each other without an end", c.file)
	}
	mixed := map[string]any{}
	for key, value := range m {
		if inner, is := value.(map[string]any); is && key != "use" {
			var err error
			if value, err = c.mix(inner, depth+1); err != nil {
				return nil, err
			}
		}
		mixed[key] = value
	}
	delete(mixed, "use")
	for _, use := range list(m["use"]) {
		name, with := text(use), map[string]any{}
		if one := mapping(use); one != nil {
			name = text(one["name"])
			maps.Copy(with, one)
			maps.Copy(with, mapping(one["vars"]))
		}
		mixin, is := mapping(c.all["mixins"])[name].(map[string]any)
		if c.budget--; !is || c.budget < 0 {
			return nil, malformed("%s has no mixin %.80q, or too many", c.file, name)
		}
		values := merger{}.merge(mapping(mixin["default-vars"]), with)
		content, _ := expand(mixin, values).(map[string]any)
		delete(content, "default-vars")
		content, err := c.mix(content, depth+1)
		if err != nil {
			return nil, err
		}
		mixed = merger{}.merge(mixed, content)
	}
	return mixed, nil
}

var variable = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// expand puts the values of variables in their places. What has none stays.
func expand(value any, values map[string]any) any {
	switch value := value.(type) {
	case string:
		return variable.ReplaceAllStringFunc(value, func(found string) string {
			m := variable.FindStringSubmatch(found)
			if known, is := values[m[1]+m[2]]; is {
				return text(known)
			}
			return found
		})
	case map[string]any:
		all := map[string]any{}
		for key, one := range value {
			all[key] = expand(one, values)
		}
		return all
	case []any:
		all := []any{}
		for _, one := range value {
			all = append(all, expand(one, values))
		}
		return all
	}
	return value
}
