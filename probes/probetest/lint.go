package probetest

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

var (
	words = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	// badUnits are endings that are no base unit.
	badUnits = []string{"_milliseconds", "_ms", "_minutes", "_hours", "_days", "_kilobytes", "_megabytes", "_kb", "_mb", "_percent", "_celsius_degrees"}
)

func checkMetrics(t T, spec probes.Spec, _ Options) {
	if !words.MatchString(spec.Name) {
		t.Errorf("the name %q is no word in lower case", spec.Name)
	}
	if !strings.HasSuffix(spec.Summary, ".") {
		t.Errorf("the summary %q is no sentence", spec.Summary)
	}
	names := map[string]bool{}
	for _, m := range spec.Metrics {
		if names[m.Name] {
			t.Errorf("%s is declared twice", m.Name)
		}
		names[m.Name] = true
		for _, complaint := range lintMetric(spec.Name, m) {
			t.Errorf("%s: %s", m.Name, complaint)
		}
	}
}

// lintMetric returns what is wrong with a declaration.
func lintMetric(probe string, m *probes.Metric) (complaints []string) {
	add := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if !words.MatchString(m.Name) || !strings.HasPrefix(m.Name, "hygiene_"+probe+"_") {
		add("the name does not begin with hygiene_%s_, or is not in snake_case", probe)
	}
	if total := strings.HasSuffix(m.Name, "_total"); total != (m.Kind == probes.Counter) {
		add("counters end in _total, and nothing else does")
	}
	for _, unit := range badUnits {
		if strings.HasSuffix(m.Name, unit) {
			add("%s is no base unit", unit)
		}
	}
	if strings.HasSuffix(m.Name, "_timestamp") || strings.HasSuffix(m.Name, "_time") {
		add("instants end in _timestamp_seconds")
	}
	if !strings.HasSuffix(m.Help, ".") || strings.Contains(m.Help, "\n") || m.Help == "" {
		add("the help is no sentence on one line")
	}
	for i, label := range m.Labels {
		switch {
		case !words.MatchString(label):
			add("the label %q is not in snake_case", label)
		case slices.Contains(probes.ReservedLabels(), label):
			add("the label %q is reserved", label)
		case slices.Contains(m.Labels[:i], label):
			add("the label %q is there twice", label)
		}
	}
	if slices.Contains(m.Labels, probes.LabelMember) && !slices.Contains(m.Labels, probes.LabelObject) {
		add("a member without an object")
	}
	for label, values := range m.Values {
		if !slices.Contains(m.Labels, label) || len(values) == 0 {
			add("values of %q, which is no label or has none", label)
		}
	}
	return complaints
}

func checkConfig(t T, spec probes.Spec, _ Options) {
	c := spec.Config()
	if c == nil || c.Common() == nil {
		t.Errorf("there is no default configuration")
		return
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if other := spec.Config(); reflect.ValueOf(c).Pointer() == reflect.ValueOf(other).Pointer() {
		t.Errorf("two configurations are the same object")
	}
	checkKeys(t, reflect.TypeOf(c).Elem())
	written, err := yaml.Marshal(c)
	if err != nil {
		t.Errorf("the defaults cannot be written: %v", err)
		return
	}
	back := spec.Config()
	decoder := yaml.NewDecoder(bytes.NewReader(written))
	decoder.KnownFields(true)
	if err := decoder.Decode(back); err != nil {
		t.Errorf("the written defaults cannot be read: %v\n%s", err, written)
		return
	}
	again, err := yaml.Marshal(back)
	if err != nil || !bytes.Equal(written, again) {
		t.Errorf("the defaults change when they are written and read:\n%s\n%s%v", written, again, err)
	}
}

// checkKeys checks the keys of a section and of everything in it.
func checkKeys(t T, typ reflect.Type) {
	t.Helper()
	for field := range typ.Fields() {
		key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		inner := field.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		custom := reflect.PointerTo(inner).Implements(reflect.TypeFor[yaml.Unmarshaler]())
		if inner.Kind() == reflect.Struct && !custom {
			checkKeys(t, inner)
		}
		if field.IsExported() && options != "inline" && !words.MatchString(key) {
			t.Errorf("the field %s of %s has no key in snake_case", field.Name, typ)
		}
	}
}

var placeholder = regexp.MustCompile(`\{(\d+)\}`)

// attacks are objects that no command may be given: there is no shell to fool,
// but an object must not be taken for an option, and not for two lines.
var attacks = []string{"", "-rf", "--help", "a\nb", "a\x00b"}

// foreign are environments that no command may be given: they would make it run
// something else.
var foreign = []string{"LD_PRELOAD=/x\n", "PATH=/x\n", "HOME=/x\n", "A=b\x00\n", "A=b", "\n"}

func checkCommands(t T, spec probes.Spec, _ Options) {
	entries := map[string]bool{}
	for _, c := range spec.Commands {
		if c.Entry == "" || entries[c.Entry] {
			t.Errorf("the entry %q is empty or there twice", c.Entry)
		}
		entries[c.Entry] = true
		if len(c.Argv) == 0 || strings.Contains(c.Argv[0], "{") {
			t.Errorf("%s: the program must be fixed", c.Entry)
		}
		if !strings.HasSuffix(c.Help, ".") {
			t.Errorf("%s: the help %q is no sentence", c.Entry, c.Help)
		}
		used := map[string]bool{}
		for _, arg := range slices.Concat(c.Argv, c.Through, slices.Collect(maps.Values(c.Secrets)), []string{c.Environment}) {
			for _, match := range placeholder.FindAllStringSubmatch(arg, -1) {
				used[match[1]] = true
			}
		}
		for i, pattern := range c.Objects {
			if !used[fmt.Sprint(i)] {
				t.Errorf("%s: the object %d is not used", c.Entry, i)
			}
			whole := regexp.MustCompile("^(?:" + pattern.String() + ")$")
			list := attacks
			if c.Environment == fmt.Sprintf("{%d}", i) {
				list = foreign
			}
			for _, attack := range list {
				if whole.MatchString(attack) {
					t.Errorf("%s: the object %d may be %q", c.Entry, i, attack)
				}
			}
		}
		if len(used) != len(c.Objects) {
			t.Errorf("%s: %d objects are used, and %d declared", c.Entry, len(used), len(c.Objects))
		}
	}
}
