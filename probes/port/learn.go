package port

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes/internal/listeners"
)

// Learned is what was seen, to be made into a policy that a person reviews. The
// zero value has seen nothing.
type Learned struct {
	objects map[string]*object
}

// Learn adds what the last run of a probe saw in the namespace of the host. What
// a rule of the policy decides already is left out, and so is what clients leave
// behind.
func (p *probe) Learn(l *Learned) {
	if l.objects == nil {
		l.objects = map[string]*object{}
	}
	for name, o := range p.objects {
		if o.namespace == "" && !local(string(o.protocol)) && o.verdict.rule < 0 && !o.noise() {
			l.objects[name] = o
		}
	}
}

// A lesson is one rule and the objects that it is for.
type lesson struct {
	rule    Rule
	objects []*object
}

// Policy writes rules for the section probes.port of the configuration: one for
// each protocol, exposure and workload. What must never be on a public address
// stands there as a comment: nobody should permit it by accident.
func (l *Learned) Policy() []byte {
	var out bytes.Buffer
	out.WriteString("# What listens on this host, as seen just now. Read every rule before it is used:\n" +
		"# what stands here is permitted. Write \"expect: required\" where somebody must be\n" +
		"# told when it is missing, and \"owner\" for those who are told.\nprobes:\n  port:\n    policy:\n")
	lessons := l.lessons()
	for _, lesson := range lessons {
		lesson.write(&out)
	}
	if len(lessons) == 0 {
		out.Truncate(out.Len() - len("policy:\n"))
		out.WriteString("policy: []\n")
	}
	for _, name := range slices.Sorted(maps.Keys(l.objects)) {
		if danger := l.objects[name].danger(); danger != "" {
			fmt.Fprintf(&out, "    # Left out, because it must never be open to everybody: %s (%s)\n", name, danger)
		}
	}
	return out.Bytes()
}

func (l *Learned) lessons() []lesson {
	type key struct{ protocol, exposure, unit, container, executable string }
	byKey := map[key]*lesson{}
	for _, name := range slices.Sorted(maps.Keys(l.objects)) {
		o := l.objects[name]
		if o.danger() != "" {
			continue
		}
		container, exposure := o.workload, o.exposure
		container.Unit = ""
		if wild(exposure) {
			exposure = wildcard // with which families a service starts is its affair
		}
		k := key{string(o.protocol), exposure, o.workload.Unit, container.String(), o.program()}
		if byKey[k] == nil {
			byKey[k] = &lesson{rule: Rule{Protocol: k.protocol, Exposure: k.exposure, Unit: literal(k.unit), Container: literal(k.container), Executable: literal(k.executable), Expect: allowed}}
		}
		byKey[k].objects = append(byKey[k].objects, o)
	}
	list := make([]lesson, 0, len(byKey))
	for _, one := range byKey {
		one.rule.Ports = portsOf(one.objects)
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b lesson) int {
		return cmp.Or(cmp.Compare(a.rule.Unit, b.rule.Unit), cmp.Compare(a.rule.Container, b.rule.Container), cmp.Compare(a.rule.Executable, b.rule.Executable),
			cmp.Compare(a.rule.Protocol, b.rule.Protocol), cmp.Compare(a.rule.Exposure, b.rule.Exposure))
	})
	return list
}

// program returns the program of an object that belongs to no workload, if it is
// one: something has to tell whose port it is.
func (o *object) program() string {
	if o.workload.String() != "" {
		return ""
	}
	program := o.sockets[0].process.Executable
	for _, s := range o.sockets {
		if s.process.Executable != program {
			return ""
		}
	}
	return program
}

// literal makes a pattern that fits one text only.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`).Replace(text)
}

// portsOf returns the ports of objects, neighbours as one range.
func portsOf(objects []*object) []Ports {
	var numbers []uint32
	chosen := false
	for _, o := range objects {
		if o.ephemeral {
			chosen = true
		} else {
			numbers = append(numbers, o.number)
		}
	}
	slices.Sort(numbers)
	var list []Ports
	for _, number := range slices.Compact(numbers) {
		if last := len(list) - 1; last >= 0 && list[last].Last+1 == number {
			list[last].Last = number
		} else {
			list = append(list, Ports{First: number, Last: number})
		}
	}
	if chosen {
		list = append(list, Ports{Ephemeral: true})
	}
	return list
}

// write writes a rule behind a comment that says what it is for.
func (l lesson) write(out *bytes.Buffer) {
	sum := &object{protocol: listeners.Protocol(l.rule.Protocol)}
	for _, o := range l.objects {
		sum.sockets = append(sum.sockets, o.sockets...)
	}
	about := []string{}
	for _, what := range []struct{ name, value string }{
		{"process", sum.values(func(s *socket) string { return s.process.Name })},
		{"program", sum.values(func(s *socket) string { return s.process.Executable })},
		{"package", sum.values(func(s *socket) string { return s.origin.Package })},
		{"user", sum.values(func(s *socket) string { return s.user })},
	} {
		if what.value != "" {
			about = append(about, what.name+" "+printable(what.value))
		}
	}
	fmt.Fprintf(out, "      # %s\n", cmp.Or(strings.Join(about, ", "), "nothing else is known"))
	node := map[string]any{"protocol": l.rule.Protocol, "ports": l.rule.Ports, "exposure": l.rule.Exposure, "expect": l.rule.Expect}
	if l.rule.Unit != "" {
		node["unit"] = l.rule.Unit
	}
	if l.rule.Container != "" {
		node["container"] = l.rule.Container
	}
	if l.rule.Executable != "" {
		node["executable"] = l.rule.Executable
	}
	fmt.Fprintf(out, "      - %s\n", flow(node))
}

// flow writes a rule on one line, in the order of the reference.
func flow(values map[string]any) string {
	node := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, key := range []string{"protocol", "ports", "exposure", "unit", "container", "executable", "expect"} {
		value, has := values[key]
		if !has {
			continue
		}
		var child yaml.Node
		if child.Encode(value) != nil {
			continue // strings and ports can always be written
		}
		if child.Kind == yaml.SequenceNode {
			child.Style = yaml.FlowStyle
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &child)
	}
	text, err := yaml.Marshal(node)
	if err != nil {
		return "{}"
	}
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\n", " "))
}
