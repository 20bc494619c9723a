package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

// A reader decodes a document strictly and collects everything that is wrong
// with it. The strict mode of yaml.v3 stops at the first mistake of a kind,
// knows no path, and is lost in a type that decodes itself; so the tree is
// walked along the Go type before it is decoded.
type reader struct {
	name       string
	visited    int
	complaints []complaint
}

// maxNodes bounds what aliases of aliases can unfold to.
const maxNodes = 200_000

// A complaint is one mistake.
type complaint struct {
	line int
	path string
	text string
}

func (r *reader) complain(node *yaml.Node, path, format string, args ...any) {
	r.complaints = append(r.complaints, complaint{node.Line, path, fmt.Sprintf(format, args...)})
}

// err joins the complaints in the order of their lines.
func (r *reader) err() error {
	slices.SortStableFunc(r.complaints, func(a, b complaint) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.path, b.path))
	})
	var errs []error
	for _, c := range slices.Compact(r.complaints) {
		where := ""
		if c.path != "" {
			where = c.path + ": "
		}
		errs = append(errs, fmt.Errorf("%s:%d: %s%s", r.name, c.line, where, c.text))
	}
	return errors.Join(errs...)
}

// read decodes the root of a document into a configuration that holds the
// defaults.
func (r *reader) read(root *yaml.Node, c *Config) {
	r.value(root, reflect.ValueOf(c).Elem(), "")
}

// value decodes a node. A key without a value keeps its default.
func (r *reader) value(node *yaml.Node, into reflect.Value, path string) {
	if r.visited++; r.visited > maxNodes {
		if r.visited == maxNodes+1 {
			r.complain(node, path, "the file has more than %d values, counting what its aliases stand for", maxNodes)
		}
		return
	}
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return
	}
	if sections, ok := reflect.TypeAssert[map[string]probes.Config](into); ok {
		r.sections(node, sections, path)
		return
	}
	if isUnmarshaler(into) {
		r.leaf(node, into, path)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		r.structure(node, into, path)
	case reflect.Slice:
		r.list(node, into, path)
	case reflect.Map:
		r.table(node, into, path)
	default:
		r.leaf(node, into, path)
	}
}

// structure decodes a mapping with a fixed set of keys.
func (r *reader) structure(node *yaml.Node, into reflect.Value, path string) {
	fields := map[string]reflect.Value{}
	collectFields(into, fields)
	r.pairs(node, path, func(key, value *yaml.Node, path string) {
		field, known := fields[key.Value]
		if !known {
			r.complain(key, path, "there is no such key; known are %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			return
		}
		r.value(value, field, path)
	})
}

// collectFields lists the fields of a struct by key, embedded ones too.
func collectFields(of reflect.Value, into map[string]reflect.Value) {
	for i := range of.NumField() {
		field := of.Type().Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case options == "inline" || field.Anonymous && key == "":
			collectFields(of.Field(i), into)
		case key != "" && key != "-":
			into[key] = of.Field(i)
		}
	}
}

// pairs visits the pairs of a mapping, and complains about what is none and
// about keys that come twice.
func (r *reader) pairs(node *yaml.Node, path string, visit func(key, value *yaml.Node, path string)) {
	if node.Kind != yaml.MappingNode {
		r.complain(node, path, "must be a mapping of keys to values, not %s", describe(node))
		return
	}
	lines := map[string]int{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		inner := join(path, key.Value)
		switch first, twice := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.complain(key, path, "a key must be a word, not %s", describe(key))
		case key.Tag == "!!merge":
			r.complain(key, path, "merging with << is not supported; write the keys out")
		case twice:
			r.complain(key, inner, "is there twice, first on line %d", first)
		default:
			lines[key.Value] = key.Line
			visit(key, value, inner)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// list decodes a sequence. It replaces the default.
func (r *reader) list(node *yaml.Node, into reflect.Value, path string) {
	if node.Kind != yaml.SequenceNode {
		r.complain(node, path, "must be a list, not %s", describe(node))
		return
	}
	made := reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		inner := fmt.Sprintf("%s[%d]", path, i)
		if item.Tag == "!!null" {
			r.complain(item, inner, "is empty")
			continue
		}
		if one, ok := reflect.TypeAssert[probes.Defaulter](made.Index(i).Addr()); ok {
			one.SetDefaults()
		}
		r.value(item, made.Index(i), inner)
	}
	into.Set(made)
}

// table decodes a mapping with free keys. What it names replaces the default of
// the same name.
func (r *reader) table(node *yaml.Node, into reflect.Value, path string) {
	made := reflect.MakeMap(into.Type())
	for key, value := range into.Seq2() {
		made.SetMapIndex(key, value)
	}
	r.pairs(node, path, func(key, value *yaml.Node, path string) {
		item := reflect.New(into.Type().Elem()).Elem()
		r.value(value, item, path)
		made.SetMapIndex(reflect.ValueOf(key.Value), item)
	})
	into.Set(made)
}

// sections decodes the probes, each into its own section.
func (r *reader) sections(node *yaml.Node, sections map[string]probes.Config, path string) {
	r.pairs(node, path, func(key, value *yaml.Node, path string) {
		section, known := sections[key.Value]
		if !known {
			r.complain(key, path, "there is no such probe; there are %s", strings.Join(slices.Sorted(maps.Keys(sections)), ", "))
			return
		}
		r.value(value, reflect.ValueOf(section).Elem(), path)
	})
}

// leaf decodes a value that is no collection of ours.
func (r *reader) leaf(node *yaml.Node, into reflect.Value, path string) {
	if into.CanInt() && node.Tag == "!!float" { // which yaml.v3 would cut
		r.complain(node, path, "must be %s, not %s", kindName(into.Kind()), describe(node))
		return
	}
	err := node.Decode(into.Addr().Interface())
	var typeErr *yaml.TypeError
	switch {
	case err == nil:
		if into.Kind() == reflect.String && node.Kind == yaml.ScalarNode && node.Tag != "!!str" && node.Tag != "!!timestamp" && node.Style == 0 {
			r.complain(node, path, "must be text, not %s; put it in quotes", describe(node))
		}
	case errors.As(err, &typeErr) && isUnmarshaler(into):
		for _, text := range typeErr.Errors {
			r.complain(node, path, "%s", withoutLine(text))
		}
	case errors.As(err, &typeErr):
		r.complain(node, path, "must be %s, not %s", kindName(into.Kind()), describe(node))
	default:
		r.complain(node, path, "%s", err)
	}
}

func isUnmarshaler(v reflect.Value) bool {
	_, ok := reflect.TypeAssert[yaml.Unmarshaler](v.Addr())
	return ok
}

// withoutLine cuts the line number that a complaint of yaml.v3 begins with.
func withoutLine(text string) string {
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if _, what, ok := strings.Cut(rest, ": "); ok {
			return what
		}
	}
	return text
}

func kindName(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint16:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "text"
}

// describe says what a node is, for whoever wrote it.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%.40q", node.Value)
}

// locate turns complaints of validation, which know their path, into ones that
// know their line. What stands nowhere in the file is a default; its nearest
// parent is shown.
func (r *reader) locate(root *yaml.Node, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			r.locate(root, one)
		}
		return
	}
	var field *probes.FieldError
	if !errors.As(err, &field) {
		r.complaints = append(r.complaints, complaint{line: 1, text: err.Error()})
		return
	}
	r.complaints = append(r.complaints, complaint{line: lineOf(root, field.Path), path: field.Path, text: field.Err.Error()})
}

// lineOf returns the line of the node at a path such as a.b[0].c, or of its
// nearest parent.
func lineOf(node *yaml.Node, path string) int {
	line := 1 // of a file without anything, too
	for node != nil && path != "" {
		for node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		var key string
		key, path = splitPath(path)
		node, line = child(node, key, line)
	}
	return line
}

// splitPath takes the first element, "name" or "[0]", off a path.
func splitPath(path string) (first, rest string) {
	end := strings.IndexAny(path[1:], ".[") + 1
	if end == 0 {
		return path, ""
	}
	return path[:end], strings.TrimPrefix(path[end:], ".")
}

func child(node *yaml.Node, key string, line int) (*yaml.Node, int) {
	if node.Kind == yaml.SequenceNode {
		var i int
		if _, err := fmt.Sscanf(key, "[%d]", &i); err == nil && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
		return nil, line
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1], node.Content[i].Line
		}
	}
	return nil, line
}
