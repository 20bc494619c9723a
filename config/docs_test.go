package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/config"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/all"
)

var update = flag.Bool("update", false, "rewrite the generated reference")

// golden compares a generated file with the one in the repository.
func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not current; run make docs (-want +got):\n%s", path, diff)
	}
}

// A key is one line of the reference.
type key struct {
	name  string // with its path
	depth int
	kind  string
	def   reflect.Value
	text  string // the comment of the field
}

// comments finds the doc comment of a struct field in the source.
type comments map[string]map[string]string // by type, with its package, and field

func (c comments) of(t *testing.T, typ reflect.Type, field string) string {
	t.Helper()
	name := typ.PkgPath() + "." + typ.Name()
	if c[name] == nil {
		c.load(t, typ.PkgPath())
	}
	text := c[name][field]
	if text == "" || !strings.HasSuffix(text, ".") {
		t.Errorf("the field %s of %s needs a comment of whole sentences", field, name)
	}
	return text
}

func (c comments) load(t *testing.T, pkg string) {
	t.Helper()
	dir := filepath.Join("..", strings.TrimPrefix(pkg, "hygiene_exporter/"))
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of %s: %v", pkg, err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			structure, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			fields := map[string]string{}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					fields[name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
			c[pkg+"."+spec.Name.Name] = fields
			return true
		})
	}
}

// walk lists the keys of a value with their defaults.
func (c comments) walk(t *testing.T, v reflect.Value, path string, depth int) (keys []key) {
	t.Helper()
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if options == "inline" || field.Anonymous && name == "" {
			keys = append(keys, c.walk(t, value, path, depth)...)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		full := strings.TrimPrefix(path+"."+name, ".")
		keys = append(keys, key{name: full, depth: depth, kind: kindOf(value), def: value, text: c.of(t, v.Type(), field.Name)})
		keys = append(keys, c.inside(t, value, full, depth+1)...)
	}
	return keys
}

// inside lists the keys below a value that has some.
func (c comments) inside(t *testing.T, v reflect.Value, path string, depth int) []key {
	t.Helper()
	if sections, ok := reflect.TypeAssert[map[string]probes.Config](v); ok {
		var keys []key
		for _, spec := range all.Specs() {
			section := reflect.ValueOf(sections[spec.Name]).Elem()
			full := path + "." + spec.Name
			keys = append(keys, key{name: full, depth: depth, kind: "section", def: section, text: spec.Summary})
			keys = append(keys, c.walk(t, section, full, depth+1)...)
		}
		return keys
	}
	if isLeaf(v.Type()) {
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return c.walk(t, v, path, depth)
	case reflect.Slice, reflect.Map:
		item := v.Type().Elem()
		if item.Kind() != reflect.Struct || isLeaf(item) {
			return nil
		}
		suffix := "[]"
		if v.Kind() == reflect.Map {
			suffix = ".NAME"
		}
		fresh := reflect.New(item)
		if one, ok := reflect.TypeAssert[probes.Defaulter](fresh); ok {
			one.SetDefaults()
		}
		return c.walk(t, fresh.Elem(), path+suffix, depth)
	}
	return nil
}

func isLeaf(typ reflect.Type) bool {
	return reflect.PointerTo(typ).Implements(reflect.TypeFor[yaml.Unmarshaler]())
}

func kindOf(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[probes.Duration]():
		return "duration"
	case isLeaf(v.Type()):
		return strings.ToLower(v.Type().Name())
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "mapping"
	case reflect.Struct:
		return "section"
	}
	return "text"
}

// inline prints a value as YAML on one line.
func inline(t *testing.T, v reflect.Value) string {
	t.Helper()
	var node yaml.Node
	if err := node.Encode(v.Interface()); err != nil {
		t.Fatal(err)
	}
	node.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

func keys(t *testing.T) []key {
	return comments{}.walk(t, reflect.ValueOf(config.Default(all.Specs())).Elem(), "", 0)
}

func TestDocsConfiguration(t *testing.T) {
	var out bytes.Buffer
	fmt.Fprint(&out, `# Configuration

Generated from the source; `+"`make docs`"+` rewrites it. `+"`hygiene_exporter config example`"+` prints
the same as a file to start from, and `+"`hygiene_exporter config show`"+` what is in force.

The file is YAML and strict: a key that does not exist is an error, and all errors
are reported at once, with their lines. Every key may be left out. Durations are
written as in Prometheus: `+"`30s`, `5m`, `26h`, `7d`"+`. A list replaces its default;
a mapping adds to it. Environment variables are not expanded, and secrets are
read from files of their own.

| Key | Kind | Default | Meaning |
|---|---|---|---|
`)
	for _, k := range keys(t) {
		def := ""
		item := strings.Contains(k.name, "[]") || strings.Contains(k.name, "NAME")
		if k.kind != "section" && k.name != "probes" && (!item || !k.def.IsZero()) {
			def = "`" + strings.ReplaceAll(inline(t, k.def), "|", `\|`) + "`"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", k.name, k.kind, def, strings.ReplaceAll(k.text, "|", `\|`))
	}
	golden(t, "../docs/configuration.md", out.Bytes())
}

func TestDocsExample(t *testing.T) {
	var out bytes.Buffer
	fmt.Fprint(&out, "# Every key of hygiene_exporter with its default. Generated from the source.\n")
	for _, k := range keys(t) {
		item := strings.Contains(k.name, "[]") || strings.Contains(k.name, "NAME")
		indent := strings.Repeat("  ", k.depth)
		if item { // what an item may have stands in comments: there is none by default
			indent = "# " + indent
		}
		if k.depth == 0 {
			fmt.Fprintln(&out)
		}
		for _, line := range wrap(k.text, 96-len(indent)) {
			fmt.Fprintf(&out, "%s# %s\n", indent, line)
		}
		name := k.name[strings.LastIndexAny(k.name, ".")+1:]
		switch {
		case k.kind == "section" || k.name == "probes":
			fmt.Fprintf(&out, "%s%s:\n", indent, name)
		default:
			fmt.Fprintf(&out, "%s%s: %s\n", indent, name, inline(t, k.def))
		}
	}
	golden(t, "example.yml", out.Bytes())

	parsed, err := config.Parse("example.yml", out.Bytes(), all.Specs())
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Default(all.Specs()).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsed.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the example is not the default (-want +got):\n%s", diff)
	}
}

// wrap breaks a text into lines.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
