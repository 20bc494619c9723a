package detect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

// Load reads rule files. The alert of a later file replaces that of the same
// name in an earlier one. All complaints are returned joined, by file and line.
// The metrics are those that rules may read, those of the agent included.
func Load(files []File, metrics []*probes.Metric) (*Rules, error) {
	declared := make(map[string]*probes.Metric, len(metrics))
	for _, m := range metrics {
		declared[m.Name] = m
	}
	var errs []error
	byAlert := make(map[string]Rule)
	for _, f := range files {
		l := &loader{file: f.Name, metrics: declared}
		for _, rule := range l.load(f.Data) {
			byAlert[rule.Alert] = rule
		}
		errs = append(errs, l.sorted()...)
	}
	rules := make([]Rule, 0, len(byAlert))
	for _, rule := range byAlert {
		rules = append(rules, rule)
	}
	if err := errors.Join(append(errs, ambiguous(rules)...)...); err != nil {
		return nil, err
	}
	return newRules(rules, declared), nil
}

// ambiguous complains about rules that find the same problem: who found it, and
// whether it is over, would be a matter of luck.
func ambiguous(rules []Rule) []error {
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	first := make(map[string]Rule, len(rules))
	var errs []error
	for _, rule := range rules {
		key := rule.Probe + "/" + rule.Check + " " + rule.Severity
		if other, known := first[key]; known {
			errs = append(errs, fmt.Errorf("%s:%d: %s: %s is found by %s already (%s:%d)",
				rule.File, rule.Line, rule.Alert, key, other.Alert, other.File, other.Line))
			continue
		}
		first[key] = rule
	}
	return errs
}

// A loader reads one file and collects what is wrong with it.
type loader struct {
	file    string
	metrics map[string]*probes.Metric
	errs    []complaint
}

type complaint struct {
	line int
	err  error
}

func (l *loader) errorf(line int, format string, args ...any) {
	l.errs = append(l.errs, complaint{line: line, err: fmt.Errorf("%s:%d: "+format, append([]any{l.file, line}, args...)...)})
}

func (l *loader) sorted() []error {
	slices.SortStableFunc(l.errs, func(a, b complaint) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, 0, len(l.errs))
	for _, c := range l.errs {
		errs = append(errs, c.err)
	}
	return errs
}

// load returns the rules of a file as far as they can be read; they must not be
// used when there are complaints.
func (l *loader) load(data []byte) []Rule {
	groups, errs := rulefmt.Parse(data, false, model.LegacyValidation)
	root := l.tree(data, groups != nil)
	l.foreign(root, groups, errs)
	if groups == nil {
		return nil
	}
	var rules []Rule
	lines := make(map[string]int)
	for i, group := range groups.Groups {
		node := item(field(root, "groups"), i)
		l.group(node, group)
		for j, raw := range group.Rules {
			at := item(field(node, "rules"), j)
			if raw.Alert == "" {
				l.errorf(line(at), "a recording rule: the agent evaluates alerts only, and reads no recorded series")
				continue
			}
			if other, known := lines[raw.Alert]; known {
				l.errorf(line(at), "%s: there is an alert of this name in line %d", raw.Alert, other)
				continue
			}
			lines[raw.Alert] = line(at)
			rules = append(rules, l.rule(at, raw))
		}
	}
	return rules
}

// tree reads the file a second time for the lines, which the first reading does
// not tell, and for a second document, which it drops without a word.
func (l *loader) tree(data []byte, readable bool) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) == 0 {
		return nil
	}
	if err := decoder.Decode(&second); readable && !errors.Is(err, io.EOF) {
		l.errorf(max(second.Line, 1), "a second YAML document, which Prometheus would not read")
	}
	return resolved(document.Content[0])
}

var located = regexp.MustCompile(`^(?:yaml: )?(?:line )?(\d+)(?::\d+)?: (.*)$`)

// foreign takes over the complaints of the reader of Prometheus.
func (l *loader) foreign(root *yaml.Node, groups *rulefmt.RuleGroups, errs []error) {
	seen := make(map[string]bool)
	for _, err := range errs {
		if one, ok := errors.AsType[*rulefmt.Error](err); ok {
			inner := errors.Unwrap(errors.Unwrap(one))
			at := ruleNode(root, groups, one)
			switch text := inner.Error(); {
			case strings.Contains(text, "could not parse expression"), strings.Contains(text, "'expr'"):
				at = cmp.Or(field(at, "expr"), at)
			case strings.HasPrefix(text, "label "), strings.Contains(text, " label "):
				at = cmp.Or(field(at, "labels"), at)
			case strings.HasPrefix(text, "annotation "), strings.Contains(text, " annotation "):
				at = cmp.Or(field(at, "annotations"), at)
			}
			l.errorf(line(at), "%s: %w", cmp.Or(one.RuleName, "rule "+strconv.Itoa(one.Rule)), inner)
			continue
		}
		for text := range strings.Lines(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n")) {
			text = strings.TrimSpace(text)
			number := 1
			if m := located.FindStringSubmatch(text); m != nil {
				number, _ = strconv.Atoi(m[1])
				text = m[2]
			}
			if number == 0 { // complaints about groups do not know their line
				number = groupLine(root, groups, text)
			}
			text, _, _ = strings.Cut(text, " in type rulefmt.")
			if key := strconv.Itoa(number) + text; !seen[key] {
				seen[key] = true
				l.errorf(number, "%s", text)
			}
		}
	}
}

func ruleNode(root *yaml.Node, groups *rulefmt.RuleGroups, err *rulefmt.Error) *yaml.Node {
	for i, group := range groups.Groups {
		if group.Name == err.Group && err.Rule <= len(group.Rules) {
			return item(field(item(field(root, "groups"), i), "rules"), err.Rule-1)
		}
	}
	return root
}

// groupLine finds the last group whose name a complaint quotes.
func groupLine(root *yaml.Node, groups *rulefmt.RuleGroups, text string) int {
	number := 1
	for i, group := range groups.Groups {
		if group.Name == "" || strings.Contains(text, strconv.Quote(group.Name)) {
			number = line(item(field(root, "groups"), i))
		}
	}
	return number
}

// group refuses what the agent would ignore.
func (l *loader) group(node *yaml.Node, group rulefmt.RuleGroup) {
	refuse := func(key, why string) {
		l.errorf(line(cmp.Or(field(node, key), node)), "group %q: %s: %s", group.Name, key, why)
	}
	if group.Limit != 0 {
		refuse("limit", "above the limit Prometheus drops all alerts of the group")
	}
	if group.QueryOffset != nil {
		refuse("query_offset", "facts are evaluated at their own instant")
	}
	if len(group.Labels) > 0 {
		refuse("labels", "write them into each rule, where they can be read")
	}
}

// rule checks all of one rule.
func (l *loader) rule(at *yaml.Node, raw rulefmt.Rule) Rule {
	rule := Rule{
		Alert: raw.Alert, Expr: raw.Expr, For: time.Duration(raw.For), Annotations: raw.Annotations,
		File: l.file, Line: line(at),
		Probe: raw.Labels["probe"], Check: raw.Labels["check"], Severity: raw.Labels["severity"],
		Object: raw.Labels[probes.LabelObject],
	}
	complain := func(key, format string, args ...any) {
		where := cmp.Or(field(at, key), at)
		l.errorf(line(where), "%s: "+format, append([]any{raw.Alert}, args...)...)
	}
	if !alertName.MatchString(raw.Alert) {
		complain("alert", "the name of an alert is Hygiene… in camel case")
	}
	if raw.KeepFiringFor != 0 {
		complain("keep_firing_for", "keep_firing_for: a problem ends on evidence, not after a time")
	}
	checkLabels(raw.Labels, func(format string, args ...any) { complain("labels", format, args...) })
	result := l.expression(field(at, "expr"), &rule)
	checkTexts(raw.Annotations, result, func(format string, args ...any) { complain("annotations", format, args...) })
	return rule
}

// resolved follows an alias to what it stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// field returns the value of a key of a mapping, nil when there is none.
func field(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return resolved(node.Content[i+1])
		}
	}
	return nil
}

// item returns an element of a sequence, nil when there is none.
func item(node *yaml.Node, i int) *yaml.Node {
	if node == nil || node.Kind != yaml.SequenceNode || i >= len(node.Content) {
		return nil
	}
	return resolved(node.Content[i])
}

func line(node *yaml.Node) int {
	if node == nil {
		return 1
	}
	return node.Line
}
