package escalation

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// A Manifest says how an object of the Prometheus operator is named.
type Manifest struct {
	Name      string
	Namespace string            // empty leaves it to whoever applies the manifest
	Labels    map[string]string // by which Prometheus and Alertmanager find it
}

// manifest is what all objects have in common.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name      string            `yaml:"name"`
		Namespace string            `yaml:"namespace,omitempty"`
		Labels    map[string]string `yaml:"labels,omitempty"`
	} `yaml:"metadata"`
	Spec any `yaml:"spec"`
}

func (m Manifest) object(version, kind string, spec any) ([]byte, error) {
	one := manifest{APIVersion: version, Kind: kind, Spec: spec}
	one.Metadata.Name, one.Metadata.Namespace, one.Metadata.Labels = m.Name, m.Namespace, m.Labels
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(one), encoder.Close())
	return out.Bytes(), err
}

// PrometheusRule makes of a rule file the object of the Prometheus operator that
// holds the same groups (monitoring.coreos.com/v1).
func PrometheusRule(m Manifest, rules []byte) ([]byte, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(rules, &file); err != nil {
		return nil, err
	}
	return m.object("monitoring.coreos.com/v1", "PrometheusRule", file.Content[0])
}

// AlertmanagerConfig makes of a central policy file the object of the Prometheus
// operator with the same routes, inhibitions and receivers
// (monitoring.coreos.com/v1alpha1). The keys of receivers are written as the
// operator wants them. It takes secrets from Secret objects only: a receiver
// that holds one itself is an error that names it, and says what to write.
//
// The Alertmanager object must have alertmanagerConfigMatcherStrategy: {type:
// None}, because the alerts of agents have no label for the namespace.
func AlertmanagerConfig(m Manifest, name string, policy []byte) ([]byte, error) {
	text, err := Alertmanager(name, policy)
	if err != nil {
		return nil, err
	}
	config, err := parseRemote(text)
	if err != nil {
		return nil, err
	}
	var whole struct {
		Receivers []yaml.Node `yaml:"receivers"`
	}
	if err := yaml.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	spec := crdSpec{Route: crdRouteOf(config.Route)}
	for _, i := range config.Inhibit {
		spec.InhibitRules = append(spec.InhibitRules, crdInhibition{crdMatchers(i.source), crdMatchers(i.target), i.Equal})
	}
	var errs []error
	for i := range whole.Receivers {
		errs = append(errs, inlineSecrets(name, &whole.Receivers[i]))
		spec.Receivers = append(spec.Receivers, camel(&whole.Receivers[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m.object("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", spec)
}

// The parts of the object, in the words of the operator.
type (
	crdSpec struct {
		Route        crdRoute        `yaml:"route"`
		InhibitRules []crdInhibition `yaml:"inhibitRules"`
		Receivers    []*yaml.Node    `yaml:"receivers"`
	}
	crdRoute struct {
		Receiver       string       `yaml:"receiver"`
		Matchers       []crdMatcher `yaml:"matchers,omitempty"`
		GroupBy        []string     `yaml:"groupBy,omitempty"`
		GroupWait      string       `yaml:"groupWait,omitempty"`
		GroupInterval  string       `yaml:"groupInterval,omitempty"`
		RepeatInterval string       `yaml:"repeatInterval,omitempty"`
		Continue       bool         `yaml:"continue,omitempty"`
		Routes         []crdRoute   `yaml:"routes,omitempty"`
	}
	crdInhibition struct {
		SourceMatch []crdMatcher `yaml:"sourceMatch"`
		TargetMatch []crdMatcher `yaml:"targetMatch"`
		Equal       []string     `yaml:"equal"`
	}
	crdMatcher struct {
		Name      string `yaml:"name"`
		Value     string `yaml:"value"`
		MatchType string `yaml:"matchType"`
	}
)

func crdRouteOf(r *route) crdRoute {
	one := crdRoute{
		Receiver: r.Receiver, Matchers: crdMatchers(r.all), GroupBy: r.GroupBy,
		GroupWait: r.Wait, GroupInterval: r.Interval, RepeatInterval: r.Repeat, Continue: r.Continue,
	}
	for _, child := range r.Routes {
		one.Routes = append(one.Routes, crdRouteOf(child))
	}
	return one
}

func crdMatchers(ms matchers) []crdMatcher {
	var all []crdMatcher
	for _, m := range ms {
		all = append(all, crdMatcher{Name: m.label, Value: m.value, MatchType: m.operator()})
	}
	return all
}

// camel returns a receiver with its keys in camel case, and its values as they
// were.
func camel(node *yaml.Node) *yaml.Node {
	copied := *node
	copied.Content = nil
	for i, child := range node.Content {
		one := camel(child)
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			one.Value = camelCase(child.Value)
		}
		copied.Content = append(copied.Content, one)
	}
	return &copied
}

// camelCase turns send_resolved into sendResolved, and api_url into apiURL.
func camelCase(key string) string {
	words := strings.Split(key, "_")
	for i, word := range words[1:] {
		switch word {
		case "url", "id", "tls", "ca":
			word = strings.ToUpper(word)
		case "urls":
			word = "URLs"
		case "":
		default:
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		words[i+1] = word
	}
	return strings.Join(words, "")
}

// secretKeys are those whose values the operator takes from Secret objects.
func secretKeys() map[string]bool {
	keys := map[string]bool{}
	for _, key := range []string{
		"api_url", "api_key", "service_key", "routing_key", "auth_password", "auth_secret", "bot_token", "token",
		"user_key", "password", "credentials", "bearer_token", "api_secret", "webhook_url",
	} {
		keys[key] = true
	}
	return keys
}

// inlineSecrets complains about each value that must be in a Secret object.
func inlineSecrets(file string, node *yaml.Node) error {
	var errs []error
	secrets := secretKeys()
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 {
			key := node.Content[i-1]
			if secrets[key.Value] && child.Kind == yaml.ScalarNode {
				errs = append(errs, fmt.Errorf("%s: receiver: the operator takes %s from a Secret object; write %s: {name: SECRET, key: KEY}", file, key.Value, key.Value))
			}
		}
		errs = append(errs, inlineSecrets(file, child))
	}
	return errors.Join(errs...)
}
