// Package aptconf reads the configuration of apt (apt.conf(5)): a tree of named
// values, in which a name is looked up without regard to case.
package aptconf

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// A Tree is a configuration. It is made by New.
type Tree struct{ root node }

type node struct {
	tag      string
	value    string
	children []*node
}

// New returns what apt has compiled in, as far as it matters for reading.
func New() *Tree {
	t := &Tree{}
	for _, d := range [][2]string{
		{"Dir", "/"},
		{"Dir::State", "var/lib/apt"},
		{"Dir::State::lists", "lists/"},
		{"Dir::State::status", "/var/lib/dpkg/status"},
		{"Dir::Etc", "etc/apt"},
		{"Dir::Etc::main", "apt.conf"},
		{"Dir::Etc::parts", "apt.conf.d"},
		{"Dir::Etc::sourcelist", "sources.list"},
		{"Dir::Etc::sourceparts", "sources.list.d"},
		{"Dir::Etc::preferences", "preferences"},
		{"Dir::Etc::preferencesparts", "preferences.d"},
		{"Dir::Log", "var/log/apt"},
		{"Dir::Log::History", "history.log"},
	} {
		t.Set(d[0], d[1])
	}
	return t
}

// Set sets a value. A name that ends in :: appends to a list.
func (t *Tree) Set(name, value string) { t.find(name, true).value = value }

// Clear removes everything below a name, and its value.
func (t *Tree) Clear(name string) {
	if n := t.find(name, false); n != nil {
		n.value, n.children = "", nil
	}
}

// find returns the node of a name, and makes it if asked to.
func (t *Tree) find(name string, make bool) *node {
	at := &t.root
	if name == "" {
		return at
	}
	for tag := range strings.SplitSeq(name, "::") {
		next := at.child(tag)
		if next == nil {
			if !make {
				return nil
			}
			next = &node{tag: tag}
			at.children = append(at.children, next)
		}
		at = next
	}
	return at
}

// child returns the child of a name; one without a name is always a new one.
func (n *node) child(tag string) *node {
	for _, c := range n.children {
		if tag != "" && strings.EqualFold(c.tag, tag) {
			return c
		}
	}
	return nil
}

// Find returns a value, or the default where there is none.
func (t *Tree) Find(name, def string) string {
	if n := t.find(name, false); n != nil && n.value != "" {
		return n.value
	}
	return def
}

// Bool returns a value as a truth, as apt reads it.
func (t *Tree) Bool(name string, def bool) bool {
	switch strings.ToLower(t.Find(name, "")) {
	case "no", "false", "without", "off", "disable", "0":
		return false
	case "yes", "true", "with", "on", "enable", "1":
		return true
	}
	return def
}

// List returns the values of a list, or those of a value with commas.
func (t *Tree) List(name string) []string {
	n := t.find(name, false)
	if n == nil {
		return nil
	}
	var values []string
	for _, c := range n.children {
		values = append(values, c.value)
	}
	if len(values) == 0 && n.value != "" {
		values = strings.FieldsFunc(n.value, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return values
}

// File returns a path: what is relative is relative to the value one level up.
func (t *Tree) File(name string) string {
	value := ""
	for name != "" {
		if part := t.Find(name, ""); part != "" {
			value = path.Join(part, value)
		}
		if path.IsAbs(value) {
			break
		}
		i := strings.LastIndex(name, "::")
		name = name[:max(i, 0)]
	}
	if root := t.Find("RootDir", ""); root != "" {
		value = path.Join(root, value)
	}
	return value
}

// Read adds the text of a file. Each includes the files that a directive names;
// it may be nil. What stands before a mistake is in force, as in apt.
func (t *Tree) Read(text string, include func(path string) error) error {
	p := parser{tree: t, include: include}
	comment := false
	for i, line := range strings.Split(text, "\n") {
		line, comment = uncomment(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), comment)
		if err := p.line(line); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if strings.TrimSpace(p.pending) != "" {
		return fmt.Errorf("%.40q at the end of the file is not closed", p.pending)
	}
	return nil
}

// uncomment removes // and # comments and those between /* and */, outside of
// quotes. It returns whether a comment goes on in the next line.
func uncomment(line string, inside bool) (string, bool) {
	var b strings.Builder
	quoted := false
	for line != "" {
		switch {
		case inside:
			_, after, found := strings.Cut(line, "*/")
			if !found {
				return b.String(), true
			}
			inside, line = false, after
			continue
		case line[0] == '"':
			quoted = !quoted
		case quoted:
		case strings.HasPrefix(line, "//"), line[0] == '#' && !directive(line[1:]):
			return b.String(), false
		case strings.HasPrefix(line, "/*"):
			inside, line = true, line[2:]
			continue
		}
		b.WriteByte(line[0])
		line = line[1:]
	}
	return b.String(), inside
}

func directive(word string) bool {
	return strings.HasPrefix(word, "clear") || strings.HasPrefix(word, "include") || strings.HasPrefix(word, "x-apt-configure-index")
}

// A parser builds the tree from statements that may span lines.
type parser struct {
	tree    *Tree
	include func(string) error
	scope   []string // the names of the open blocks, each with its parents
	pending string   // a statement whose end was not seen yet
}

func (p *parser) line(line string) error {
	quoted, start := false, 0
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == ';', c == '}':
			p.gather(line[start:i])
			start = i + 1
			if err := p.statement(c); err != nil {
				return err
			}
		}
	}
	p.gather(line[start:])
	return nil
}

func (p *parser) gather(part string) {
	if part = strings.TrimSpace(part); part != "" && p.pending != "" {
		part = " " + part
	}
	p.pending += part
}

func (p *parser) parent() string {
	if len(p.scope) == 0 {
		return ""
	}
	return p.scope[len(p.scope)-1]
}

// statement ends one: name value; name { value; }.
func (p *parser) statement(end byte) error {
	text := p.pending
	p.pending = ""
	if text == "" && end == '{' {
		return errors.New("a block begins without a name")
	}
	if text != "" {
		if err := p.assign(text, end); err != nil {
			return err
		}
	}
	if end == '}' && len(p.scope) > 0 {
		p.scope = p.scope[:len(p.scope)-1]
	}
	return nil
}

func (p *parser) assign(text string, end byte) error {
	tag, rest, err := word(text)
	if err != nil {
		return err
	}
	value, rest, err := word(rest)
	if err != nil {
		return err
	}
	if rest != "" {
		return fmt.Errorf("%.40q stands behind a value", rest)
	}
	hasValue := value != nil
	if value == nil {
		value = new(string)
		if end != '{' {
			value, tag, hasValue = tag, new(string), true // a member of a list
		}
	}
	if strings.HasPrefix(*tag, "#") {
		return p.direct((*tag)[1:], *value)
	}
	name := *tag
	if parent := p.parent(); parent != "" {
		name = parent + "::" + *tag
	}
	if end == '{' {
		p.scope = append(p.scope, name)
	}
	if hasValue {
		p.tree.Set(name, *value)
	}
	return nil
}

// direct follows a directive.
func (p *parser) direct(name, value string) error {
	switch name {
	case "clear":
		p.tree.Clear(value)
	case "include":
		if p.include != nil {
			return p.include(value)
		}
	case "x-apt-configure-index":
	default:
		return fmt.Errorf("unknown directive #%.40s", name)
	}
	return nil
}

// word takes a word or a quoted text from the front. Without one it is nil.
func word(text string) (first *string, rest string, err error) {
	text = strings.TrimLeft(text, " ")
	if text == "" {
		return nil, "", nil
	}
	if text[0] != '"' {
		before, after, _ := strings.Cut(text, " ")
		return &before, strings.TrimLeft(after, " "), nil
	}
	before, after, found := strings.Cut(text[1:], `"`)
	if !found {
		return nil, "", fmt.Errorf("%.40q lacks its closing quote", text)
	}
	return &before, strings.TrimLeft(after, " "), nil
}
