package borgmatic

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

const (
	maxFile  = 1 << 20 // bytes of one file
	maxFiles = 50      // that are included
	maxDepth = 20      // of inclusion, and of nesting that aliases make
	maxNodes = 100_000
)

// A loader reads a configuration with all that it includes.
type loader struct {
	read  func(path string) ([]byte, error)
	home  string // that ~ stands for
	files int
	nodes int
}

// load reads a file and returns its content with what it includes in place.
// Names that are not absolute are those beside the file that includes.
func (l *loader) load(name string, depth int) (any, error) {
	if l.files++; l.files > maxFiles || depth > maxDepth {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("%s includes too many files", name))
	}
	data, err := l.read(name)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("%s: %w", name, err))
	}
	if len(document.Content) == 0 {
		return map[string]any{}, nil
	}
	value, err := l.value(document.Content[0], path.Dir(name), depth)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// retained is a value that does not add to what is included but replaces it;
// omitted is one that takes an equal element out of an included list.
type (
	retained struct{ value any }
	omitted  struct{ value any }
)

func (l *loader) value(n *yaml.Node, dir string, depth int) (any, error) {
	if l.nodes++; l.nodes > maxNodes || depth > maxDepth {
		return nil, probes.Because(probes.Malformed, errors.New("it is too large"))
	}
	switch n.Tag {
	case "!include":
		return l.include(n, dir, depth)
	case "!retain", "!omit":
		plain := *n
		plain.Tag = ""
		value, err := l.value(&plain, dir, depth)
		if n.Tag == "!omit" {
			return omitted{value}, err
		}
		return retained{value}, err
	}
	switch n.Kind {
	case yaml.AliasNode:
		return l.value(n.Alias, dir, depth+1)
	case yaml.MappingNode:
		return l.mapping(n, dir, depth)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			value, err := l.value(item, dir, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return nil, probes.Because(probes.Malformed, err)
	}
	return value, nil
}

// include returns the content of one file, or that of several merged.
func (l *loader) include(n *yaml.Node, dir string, depth int) (any, error) {
	names := []string{n.Value}
	if n.Kind == yaml.SequenceNode {
		names = nil
		for _, item := range slices.Backward(n.Content) { // the first has the last word
			names = append(names, item.Value)
		}
	}
	var all any
	for _, name := range names {
		if after, home := strings.CutPrefix(name, "~/"); home {
			name = path.Join(l.home, after)
		}
		if !path.IsAbs(name) {
			name = path.Join(dir, name)
		}
		value, err := l.load(name, depth+1)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n.Line, err)
		}
		all = merge(all, value)
	}
	return all, nil
}

func (l *loader) mapping(n *yaml.Node, dir string, depth int) (any, error) {
	var included any
	own := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value, err := l.value(n.Content[i+1], dir, depth)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			list, several := value.([]any)
			if !several {
				list = []any{value}
			}
			for _, one := range list {
				included = merge(included, one)
			}
			continue
		}
		own[key.Value] = value
	}
	if included == nil {
		return own, nil
	}
	return merge(included, own), nil
}

// merge puts a value over an included one: of two mappings the keys are merged,
// of two lists the second follows the first, and of all else the second counts.
func merge(included, own any) any {
	switch own := own.(type) {
	case retained:
		return own.value
	case map[string]any:
		base, both := included.(map[string]any)
		if !both {
			return own
		}
		merged := maps.Clone(base)
		for key, value := range own {
			if before, there := merged[key]; there {
				value = merge(before, value)
			}
			merged[key] = value
		}
		return merged
	case []any:
		base, both := included.([]any)
		if !both {
			return own
		}
		merged := slices.Clone(base)
		for _, value := range own {
			if out, omit := value.(omitted); omit {
				merged = slices.DeleteFunc(merged, func(have any) bool { return reflect.DeepEqual(have, out.value) })
				continue
			}
			merged = append(merged, value)
		}
		return merged
	}
	return own
}
