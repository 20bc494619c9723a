// Package config reads the configuration file. It promises that a file with any
// mistake is refused as a whole, that every mistake is named with its line and
// its key at once, and that what is not written keeps its default. Environment
// variables are not expanded; secrets are read from files of their own.
package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/alerts/send"
	"hygiene_exporter/probes"
)

// A Config is the whole file.
type Config struct {
	// Who is told of problems that have no other owner; empty means the default owner of the central policy.
	Owner string `yaml:"owner"`
	// How detection rules are evaluated.
	Alerts Alerts `yaml:"alerts"`
	// Problems that have another owner or severity, or whose risk is accepted until a date; the first match wins.
	Overrides []policy.Override `yaml:"overrides"`
	// Planned windows in which problems neither page nor are forgotten.
	Maintenance []policy.Maintenance `yaml:"maintenance"`
	// Addresses that pages and alerts point to; an empty one is left out.
	Links Links `yaml:"links"`
	// Bounds of what is exported.
	Limits Limits `yaml:"limits"`
	// When which tier of people is told.
	Escalation policy.Escalation `yaml:"escalation"`
	// Alertmanagers that the agent itself tells of problems, on a host that no Prometheus scrapes.
	Alertmanager send.Config `yaml:"alertmanager"`
	// What is run in place of a program, by its name: another path, or a wrapper with its arguments.
	Commands map[string][]string `yaml:"commands"`
	// The probes, each with a section of its own.
	Probes map[string]probes.Config `yaml:"probes"`

	name string     // of the file
	root *yaml.Node // of its document; nil when there is nothing in it
}

// Alerts is the section "alerts".
type Alerts struct {
	// Whether the agent evaluates detection rules and exports problems. If not, the central Prometheus loads the detection rules, and there are no tiers and no acknowledgements.
	Evaluate bool `yaml:"evaluate"`
	// Time between two evaluations of all rules; those of a probe are evaluated after each of its runs too.
	EvaluationInterval probes.Duration `yaml:"evaluation_interval"`
	// Files with further detection rules, as paths or patterns. A rule with the name of a built-in one replaces it.
	Rules []string `yaml:"rules"`
	// Names of alerts that are switched off.
	Disable []string `yaml:"disable"`
	// How long a problem must have been silent, and seen to be, before it closes. A change takes effect at the next start.
	CloseAfter probes.Duration `yaml:"close_after"`
}

// Links is the section "links".
type Links struct {
	// Address of Alertmanager, for links that make a silence.
	Alertmanager string `yaml:"alertmanager"`
	// Address of runbooks, when they are not read on the agent.
	Runbooks string `yaml:"runbooks"`
	// Address under which people reach the status page of this agent.
	Agent string `yaml:"agent"`
}

// Limits is the section "limits".
type Limits struct {
	// Series of objects that are exported, over all probes; rules see all. A change takes effect at the next start.
	Series int `yaml:"series"`
	// Open problems of one check that are exported; the API has all.
	ProblemsPerCheck int `yaml:"problems_per_check"`
}

// Default returns the configuration of an agent without a file: everything that
// can be discovered is probed.
func Default(specs []probes.Spec) *Config {
	c := &Config{
		Alerts: Alerts{
			Evaluate:           true,
			EvaluationInterval: probes.Duration(30 * time.Second),
			CloseAfter:         probes.Duration(2 * time.Minute),
		},
		Limits:       Limits{Series: 1000, ProblemsPerCheck: 200},
		Escalation:   policy.Default(),
		Alertmanager: send.Default(),
		Probes:       map[string]probes.Config{},
	}
	for _, spec := range specs {
		c.Probes[spec.Name] = spec.Config()
	}
	return c
}

// maxSize bounds a configuration file.
const maxSize = 4 << 20

// Load reads a file.
func Load(path string, specs []probes.Spec) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data, specs)
}

// Parse reads the text of a file whose name complaints show. All of them are
// returned joined, by line. No text is the default configuration.
func Parse(name string, data []byte, specs []probes.Spec) (*Config, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: is larger than %d bytes", name, maxSize)
	}
	root, err := document(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	c := Default(specs)
	c.name, c.root = name, root
	r := &reader{name: name}
	if root != nil {
		r.read(root, c)
	}
	if len(r.complaints) == 0 {
		c.inherit()
		r.locate(root, c.validate(specs))
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Locate gives complaints about values that were found out later, made with
// probes.At, the file and the line of the value. Others, such as those about a
// rule file, stay as they are. A nil err stays nil.
func (c *Config) Locate(err error) error {
	if err == nil || c.name == "" {
		return err
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range joined.Unwrap() {
			errs = append(errs, c.Locate(one))
		}
		return errors.Join(errs...)
	}
	if _, located := errors.AsType[*probes.FieldError](err); !located {
		return err
	}
	r := &reader{name: c.name}
	r.locate(c.root, err)
	return r.err()
}

// document parses the text as one YAML document. It is nil when there is
// nothing in it.
func document(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, syntax(err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("%d: a second document begins; the file is one", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	return first.Content[0], nil
}

// syntax rewrites an error of the parser so that the line comes first.
func syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if line, what, ok := strings.Cut(rest, ": "); ok {
			return fmt.Errorf("%s: %s", line, what)
		}
	}
	return fmt.Errorf("1: %s", text)
}

// inherit hands the owner of the file to the probes that have none.
func (c *Config) inherit() {
	for _, section := range c.Probes {
		if settings := section.Common(); settings.Owner == "" {
			settings.Owner = c.Owner
		}
	}
}

// validate returns everything that is wrong with the values.
func (c *Config) validate(specs []probes.Spec) error {
	_, policyErr := policy.New(c.Escalation, c.Overrides, c.Maintenance)
	errs := []error{
		probes.At("alerts", c.Alerts.validate()),
		probes.At("limits", c.Limits.validate()),
		probes.At("links", c.Links.validate()),
		probes.At("alertmanager", c.Alertmanager.Validate()),
		policyErr,
		c.validateNames(specs),
	}
	for _, spec := range specs {
		errs = append(errs, probes.At("probes."+spec.Name, c.Probes[spec.Name].Validate()))
	}
	return errors.Join(errs...)
}

func (a Alerts) validate() error {
	var errs []error
	if a.EvaluationInterval < probes.Duration(time.Second) || a.EvaluationInterval > probes.Duration(5*time.Minute) {
		errs = append(errs, probes.At("evaluation_interval", fmt.Errorf("must be between 1s and 5m, not %s", a.EvaluationInterval)))
	}
	if a.CloseAfter <= 0 || a.CloseAfter > probes.Duration(24*time.Hour) {
		errs = append(errs, probes.At("close_after", fmt.Errorf("must be above 0 and at most 1d, not %s", a.CloseAfter)))
	}
	for i, pattern := range a.Rules {
		if _, err := filepath.Match(pattern, ""); err != nil || !filepath.IsAbs(pattern) {
			errs = append(errs, probes.At(fmt.Sprintf("rules[%d]", i), fmt.Errorf("%.80q is not an absolute path or pattern", pattern)))
		}
	}
	return errors.Join(errs...)
}

func (l Limits) validate() error {
	var errs []error
	for key, value := range map[string]int{"series": l.Series, "problems_per_check": l.ProblemsPerCheck} {
		if value < 1 || value > 1_000_000 {
			errs = append(errs, probes.At(key, fmt.Errorf("must be between 1 and 1000000, not %d", value)))
		}
	}
	return errors.Join(errs...)
}

func (l Links) validate() error {
	var errs []error
	for key, link := range map[string]string{"alertmanager": l.Alertmanager, "runbooks": l.Runbooks, "agent": l.Agent} {
		if link != "" && !strings.HasPrefix(link, "http://") && !strings.HasPrefix(link, "https://") {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q does not begin with http:// or https://", link)))
		}
	}
	return errors.Join(errs...)
}

// validateNames checks the names of probes outside the section "probes". A
// wrong one would silently change nothing.
func (c *Config) validateNames(specs []probes.Spec) error {
	var known []string
	for _, spec := range specs {
		known = append(known, spec.Name)
	}
	var errs []error
	check := func(path, name string) {
		if name != "" && name != "agent" && !slices.Contains(known, name) {
			errs = append(errs, probes.At(path, fmt.Errorf("there is no probe %.40q; there are %s, agent", name, strings.Join(known, ", "))))
		}
	}
	for i, override := range c.Overrides {
		check(fmt.Sprintf("overrides[%d].probe", i), override.Probe)
	}
	for i, window := range c.Maintenance {
		for j, name := range window.Probes {
			check(fmt.Sprintf("maintenance[%d].probes[%d]", i, j), name)
		}
	}
	return errors.Join(errs...)
}

// Marshal writes the configuration in force as a file.
func (c *Config) Marshal() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(c), encoder.Close())
	return out.Bytes(), err
}

//go:embed example.yml
var example []byte

// Example returns a file with every key, its meaning and its default. It is
// generated from the types; see docs_test.go.
func Example() []byte { return bytes.Clone(example) }
