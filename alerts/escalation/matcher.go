package escalation

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A matcher is one condition on a label, as Alertmanager writes it. The
// expression is anchored, and a label that is missing is an empty one.
type matcher struct {
	label string
	not   bool
	value string
	expr  *regexp.Regexp // nil for an equality
}

func (m matcher) matches(labels map[string]string) bool {
	value := labels[m.label]
	if m.expr != nil {
		return m.expr.MatchString(value) != m.not
	}
	return (value == m.value) != m.not
}

// operator returns how the matcher is written: one of = != =~ !~.
func (m matcher) operator() string {
	switch {
	case m.expr == nil && m.not:
		return "!="
	case m.expr == nil:
		return "="
	case m.not:
		return "!~"
	}
	return "=~"
}

type matchers []matcher

func (ms matchers) match(labels map[string]string) bool {
	for _, m := range ms {
		if !m.matches(labels) {
			return false
		}
	}
	return true
}

// newMatcher builds a matcher from its parts; op is one of = != =~ !~.
func newMatcher(label, op, value string) (matcher, error) {
	m := matcher{label: label, not: op[0] == '!', value: value}
	if op[len(op)-1] != '~' {
		return m, nil
	}
	expr, err := regexp.Compile("^(?:" + value + ")$")
	if err != nil {
		return matcher{}, fmt.Errorf("the expression %.40q: %w", value, err)
	}
	m.expr = expr
	return m, nil
}

// matcherStart finds the label and the operator at the beginning of a matcher.
var matcherStart = regexp.MustCompile(`^\s*("(?:[^"\\]|\\.)*"|[^\s={}!~,"\\]+)\s*(=~|!~|!=|=)\s*`)

// parseMatchers reads one entry of a list of matchers: a single matcher, or
// several between braces with commas, with the value in double quotes or bare.
func parseMatchers(text string) (matchers, error) {
	rest := strings.TrimSpace(text)
	if strings.HasPrefix(rest, "{") {
		if !strings.HasSuffix(rest, "}") || len(rest) < 2 {
			return nil, fmt.Errorf("the matcher %.60q has no closing brace", text)
		}
		rest = rest[1 : len(rest)-1]
	}
	var all matchers
	for strings.TrimSpace(rest) != "" {
		found := matcherStart.FindStringSubmatch(rest)
		if found == nil {
			return nil, fmt.Errorf("the matcher %.60q is not understood", text)
		}
		value, tail, err := matcherValue(rest[len(found[0]):])
		if err != nil {
			return nil, fmt.Errorf("the matcher %.60q: %w", text, err)
		}
		label := found[1]
		if label[0] == '"' {
			if label, err = strconv.Unquote(label); err != nil {
				return nil, fmt.Errorf("the matcher %.60q: the label: %w", text, err)
			}
		}
		m, err := newMatcher(label, found[2], value)
		if err != nil {
			return nil, fmt.Errorf("the matcher %.60q: %w", text, err)
		}
		all, rest = append(all, m), tail
	}
	return all, nil
}

// matcherValue splits the value from what follows behind the next comma.
func matcherValue(text string) (value, tail string, err error) {
	if !strings.HasPrefix(text, `"`) {
		value, tail, _ = strings.Cut(text, ",")
		return strings.TrimSpace(value), tail, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", fmt.Errorf("the value: %w", err)
	}
	if value, err = strconv.Unquote(quoted); err != nil {
		return "", "", fmt.Errorf("the value: %w", err)
	}
	tail = strings.TrimSpace(text[len(quoted):])
	if tail != "" && tail[0] != ',' {
		return "", "", fmt.Errorf("%.40q follows the value", tail)
	}
	return value, strings.TrimPrefix(tail, ","), nil
}
