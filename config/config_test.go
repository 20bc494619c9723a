package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hygiene_exporter/config"
	"hygiene_exporter/probes"
)

// disk is the section of a probe that exists only here.
type disk struct {
	probes.Settings `yaml:",inline"`
	Sources         []source            `yaml:"sources"`
	Limit           int                 `yaml:"limit"`
	Ratio           float64             `yaml:"ratio"`
	Deep            bool                `yaml:"deep"`
	Tags            map[string][]string `yaml:"tags"`
	Nested          struct {
		After probes.Duration `yaml:"after"`
	} `yaml:"nested"`
}

type source struct {
	Name  string   `yaml:"name"`
	Paths []string `yaml:"paths"`
}

func (d *disk) New(probes.Host) (probes.Probe, error) { return nil, errors.ErrUnsupported }

func (d *disk) Validate() error {
	errs := []error{d.Settings.Validate()}
	for i, s := range d.Sources {
		if s.Name == "" {
			errs = append(errs, probes.At(fmt.Sprintf("sources[%d].name", i), errors.New("is missing")))
		}
		for j, path := range s.Paths {
			if !filepath.IsAbs(path) {
				errs = append(errs, probes.At(fmt.Sprintf("sources[%d].paths[%d]", i, j), fmt.Errorf("%q is not absolute", path)))
			}
		}
	}
	return errors.Join(errs...)
}

func specs() []probes.Spec {
	return []probes.Spec{
		{Name: "disk", Config: func() probes.Config {
			return &disk{Settings: probes.DefaultSettings(time.Minute), Limit: 7, Sources: []source{{Name: "default", Paths: []string{"/a"}}}}
		}},
		{Name: "net", Config: func() probes.Config { return &disk{Settings: probes.DefaultSettings(time.Hour)} }},
	}
}

// mistakes holds one file for each mistake, with the exact complaint.
func mistakes() map[string][2]string {
	return map[string][2]string{
		"a tab as indentation":             {"alerts:\n\tevaluate: true", "f.yml:2: found character that cannot start any token"},
		"an unclosed quote":                {"owner: \"x", "f.yml:1: found unexpected end of stream"},
		"an unclosed bracket":              {"overrides: [", "f.yml:1: did not find expected node content"},
		"a mapping in a value":             {"owner: a: b", "f.yml:1: mapping values are not allowed in this context"},
		"a control character":              {"owner: \x01", "f.yml:1: control characters are not allowed"},
		"bytes that are no UTF-8":          {"owner: \xff", "f.yml:1: invalid leading UTF-8 octet"},
		"a second document":                {"owner: a\n---\nowner: b", "f.yml:2: a second document begins; the file is one"},
		"an unknown anchor":                {"owner: *x", "f.yml:1: unknown anchor 'x' referenced"},
		"a list as the whole file":         {"- a", "f.yml:1: must be a mapping of keys to values, not a list"},
		"a word as the whole file":         {"hello", `f.yml:1: must be a mapping of keys to values, not "hello"`},
		"an unknown key":                   {"ownr: a", "f.yml:1: ownr: there is no such key; known are alertmanager, alerts, commands, escalation, limits, links, maintenance, overrides, owner, probes"},
		"an unknown key in a section":      {"owner: a\nalerts:\n  evalute: true", "f.yml:3: alerts.evalute: there is no such key; known are close_after, disable, evaluate, evaluation_interval, rules"},
		"a key twice":                      {"owner: a\nowner: b", "f.yml:2: owner: is there twice, first on line 1"},
		"a key twice in a section":         {"limits:\n  series: 5\n  series: 6", "f.yml:3: limits.series: is there twice, first on line 2"},
		"a key that is a list":             {"[a]: b", "f.yml:1: a key must be a word, not a list"},
		"a merge":                          {"<<: {owner: a}", "f.yml:1: merging with << is not supported; write the keys out"},
		"an owner that is a list":          {"owner: [a]", "f.yml:1: owner: must be text, not a list"},
		"an owner that is a mapping":       {"owner: {a: b}", "f.yml:1: owner: must be text, not a mapping"},
		"an owner that YAML takes for 12":  {"owner: 12", `f.yml:1: owner: must be text, not "12"; put it in quotes`},
		"an owner that YAML takes for yes": {"owner: true", `f.yml:1: owner: must be text, not "true"; put it in quotes`},
		"a section that is a word":         {"alerts: on", `f.yml:1: alerts: must be a mapping of keys to values, not "on"`},
		"a section that is a list":         {"limits: []", "f.yml:1: limits: must be a mapping of keys to values, not a list"},
		"a switch that is a word":          {"alerts: {evaluate: maybe}", `f.yml:1: alerts.evaluate: must be true or false, not "maybe"`},
		"a switch in quotes":               {`alerts: {evaluate: "true"}`, `f.yml:1: alerts.evaluate: must be true or false, not "true"`},
		"a number that is a word":          {"limits: {series: many}", `f.yml:1: limits.series: must be a whole number, not "many"`},
		"a number with a fraction":         {"limits: {series: 1.5}", `f.yml:1: limits.series: must be a whole number, not "1.5"`},
		"a number that is too large":       {"limits: {series: 99999999999999999999}", `f.yml:1: limits.series: must be a whole number, not "99999999999999999999"`},
		"a limit of 0":                     {"limits:\n  series: 0", "f.yml:2: limits.series: must be between 1 and 1000000, not 0"},
		"a negative limit":                 {"limits:\n  problems_per_check: -1", "f.yml:2: limits.problems_per_check: must be between 1 and 1000000, not -1"},
		"a duration without a unit":        {"alerts: {close_after: 120}", `f.yml:1: alerts.close_after: "120" is not a duration; write it like 30s, 5m, 26h or 7d`},
		"a duration that is a list":        {"alerts: {close_after: [2m]}", `f.yml:1: alerts.close_after: "" is not a duration; write it like 30s, 5m, 26h or 7d`},
		"a negative duration":              {"alerts: {close_after: -2m}", `f.yml:1: alerts.close_after: "-2m" is not a duration; write it like 30s, 5m, 26h or 7d`},
		"closing at once":                  {"alerts: {close_after: 0s}", "f.yml:1: alerts.close_after: must be above 0 and at most 1d, not 0s"},
		"evaluating too often":             {"alerts:\n\n  evaluation_interval: 10ms", "f.yml:3: alerts.evaluation_interval: must be between 1s and 5m, not 10ms"},
		"evaluating too seldom":            {"alerts: {evaluation_interval: 1h}", "f.yml:1: alerts.evaluation_interval: must be between 1s and 5m, not 1h"},
		"rules that are a word":            {"alerts: {rules: /a.yml}", `f.yml:1: alerts.rules: must be a list, not "/a.yml"`},
		"a rule file that is not absolute": {"alerts:\n  rules:\n    - /a.yml\n    - b.yml", `f.yml:4: alerts.rules[1]: "b.yml" is not an absolute path or pattern`},
		"a rule pattern that is none":      {"alerts: {rules: ['/[']}", `f.yml:1: alerts.rules[0]: "/[" is not an absolute path or pattern`},
		"an empty item of a list":          {"alerts:\n  disable:\n    - A\n    -", "f.yml:4: alerts.disable[1]: is empty"},
		"a link without a scheme":          {"links: {alertmanager: am.example.org}", `f.yml:1: links.alertmanager: "am.example.org" does not begin with http:// or https://`},
		"an unknown probe":                 {"probes: {dsk: {}}", "f.yml:1: probes.dsk: there is no such probe; there are disk, net"},
		"a probe that is off by a word":    {"probes: {disk: off}", `f.yml:1: probes.disk: must be a mapping of keys to values, not "off"`},
		"an unknown key of a probe":        {"probes:\n  disk:\n    intervall: 5m", "f.yml:3: probes.disk.intervall: there is no such key; known are deep, enabled, interval, limit, max_age, nested, owner, ratio, sources, tags, timeout"},
		"an unknown key of a source":       {"probes: {disk: {sources: [{nam: a}]}}", "f.yml:1: probes.disk.sources[0].nam: there is no such key; known are name, paths"},
		"a timeout above the interval":     {"probes:\n  disk:\n    interval: 10s\n    timeout: 1m", "f.yml:4: probes.disk.timeout: must be above 0 and below the interval of 10s, not 1m"},
		"an interval below the timeout":    {"probes:\n  disk:\n    interval: 10s", "f.yml:2: probes.disk.timeout: must be above 0 and below the interval of 10s, not 30s"},
		"facts that expire too early":      {"probes: {disk: {max_age: 1s}}", "f.yml:1: probes.disk.max_age: must be at least the interval of 1m, not 1s"},
		"a source without a name":          {"probes:\n  disk:\n    sources:\n    - paths: [/a]", "f.yml:4: probes.disk.sources[0].name: is missing"},
		"a path that is not absolute":      {"probes:\n  disk:\n    sources:\n    - name: x\n      paths:\n      - /a\n      - b", `f.yml:7: probes.disk.sources[0].paths[1]: "b" is not absolute`},
		"sources that are a mapping":       {"probes: {disk: {sources: {name: a}}}", "f.yml:1: probes.disk.sources: must be a list, not a mapping"},
		"paths that are a word":            {"probes: {disk: {sources: [{name: a, paths: /a}]}}", `f.yml:1: probes.disk.sources[0].paths: must be a list, not "/a"`},
		"a ratio that is a word":           {"probes: {disk: {ratio: half}}", `f.yml:1: probes.disk.ratio: must be a number, not "half"`},
		"a nested duration that is none":   {"probes: {disk: {nested: {after: soon}}}", `f.yml:1: probes.disk.nested.after: "soon" is not a duration; write it like 30s, 5m, 26h or 7d`},
		"tags that are a list":             {"probes: {disk: {tags: [a]}}", "f.yml:1: probes.disk.tags: must be a mapping of keys to values, not a list"},
		"a tag twice":                      {"probes: {disk: {tags: {a: [b], a: [c]}}}", "f.yml:1: probes.disk.tags.a: is there twice, first on line 1"},
		"a command that is a word":         {"commands: {lvs: /sbin/lvs}", `f.yml:1: commands.lvs: must be a list, not "/sbin/lvs"`},
		"an unknown time zone":             {"escalation: {timezone: Europe/Paname}", `f.yml:1: escalation.timezone: "Europe/Paname" is not a known time zone`},
		"an unknown calendar":              {"escalation:\n  policies:\n    critical:\n      tiers: [0m]\n      calendar: weekends", `f.yml:5: escalation.policies.critical.calendar: "weekends" is neither always nor working_hours`},
		"a long grace":                     {"escalation: {startup_grace: 2h}", "f.yml:1: escalation.startup_grace: must be between 0 and 1h, not 2h"},
		"an override that changes nothing": {"overrides:\n  - object: x", "f.yml:2: overrides[0]: changes nothing; give it an owner or a severity"},
		"an unknown severity":              {"overrides:\n  - severity: bad", `f.yml:2: overrides[0].severity: "bad" is not one of critical, warning, info, none`},
		"an override of no probe":          {"overrides:\n  - {probe: dsk, owner: a}", `f.yml:2: overrides[0].probe: there is no probe "dsk"; there are disk, net, agent`},
		"a risk accepted for ever":         {"overrides:\n  - {severity: none, reason: r}", "f.yml:2: overrides[0].until: is missing; a risk is accepted until a date"},
		"a risk accepted for no reason":    {"overrides:\n  - {severity: none, until: 2027-01-01}", "f.yml:2: overrides[0].reason: is missing; a risk is accepted for a reason"},
		"maintenance of no probe":          {"maintenance:\n  - {name: n, cron: '0 2 * * *', duration: 1h, probes: [disk, dsk]}", `f.yml:2: maintenance[0].probes[1]: there is no probe "dsk"; there are disk, net, agent`},
	}
}

func TestEveryMistakeIsNamedWithItsLineAndKey(t *testing.T) {
	if n := len(mistakes()); n < 60 {
		t.Errorf("%d mistakes are tested, want at least 60", n)
	}
	for name, c := range mistakes() {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse("f.yml", []byte(c[0]), specs())
			if err == nil {
				t.Fatalf("the file is accepted: %+v", got)
			}
			if err.Error() != c[1] {
				t.Errorf("got  %s\nwant %s", err, c[1])
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnceInTheirOrder(t *testing.T) {
	_, err := config.Parse("f.yml", []byte(`owner: [a]
alerts:
  evalute: true
  close_after: soon
limits: {series: many}
probes:
  disk: {deep: perhaps}
  dsk: {}
`), specs())
	const want = `f.yml:1: owner: must be text, not a list
f.yml:3: alerts.evalute: there is no such key; known are close_after, disable, evaluate, evaluation_interval, rules
f.yml:4: alerts.close_after: "soon" is not a duration; write it like 30s, 5m, 26h or 7d
f.yml:5: limits.series: must be a whole number, not "many"
f.yml:7: probes.disk.deep: must be true or false, not "perhaps"
f.yml:8: probes.dsk: there is no such probe; there are disk, net`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = config.Parse("f.yml", []byte("limits:\n  series: 0\nprobes:\n  net: {interval: 0s}\n"), specs())
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("of three wrong values, these are reported:\n%v", err)
	}
}

func TestWhatIsNotWrittenKeepsItsDefault(t *testing.T) {
	for name, text := range map[string]string{
		"no text":                  "",
		"a comment":                "# nothing\n",
		"an empty document":        "---\n",
		"a byte order mark":        "\ufeff",
		"an empty mapping":         "{}",
		"sections without content": "alerts:\nlimits:\nprobes:\n  disk:\noverrides:\nowner:\n",
		"null":                     "~",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse("f.yml", []byte(text), specs())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(config.Default(specs()), got, cmp.AllowUnexported(disk{}), cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
				t.Errorf("(-default +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsWrittenCounts(t *testing.T) {
	c, err := config.Parse("f.yml", []byte(`
owner: sre
alerts: {evaluate: false, disable: [A]}
overrides:
  - &old {probe: disk, object: "/srv/old/**", check: full, severity: none, until: 2027-03-01, reason: decommissioned, by: kim}
maintenance: [{name: patch-night, cron: "0 2 * * 6", duration: 3h, probes: [disk]}]
links: {alertmanager: "https://am.example.org"}
escalation:
  timezone: Europe/Berlin
  policies:
    critical: {tiers: [0m, 10m], calendar: always}
commands: {storcli: [/opt/storcli64]}
probes:
  disk:
    sources: [{name: x, paths: [/x]}]
    nested: {after: 2d}
    tags: {a: [b]}
  net: {enabled: false, owner: web}
`), specs())
	if err != nil {
		t.Fatal(err)
	}
	d, n := c.Probes["disk"].(*disk), c.Probes["net"].(*disk)
	if d.Owner != "sre" || n.Owner != "web" {
		t.Errorf("owners are %q and %q, want that of the file and its own", d.Owner, n.Owner)
	}
	if n.Enabled || !d.Enabled || d.Limit != 7 || time.Duration(d.Nested.After) != 48*time.Hour {
		t.Errorf("got %+v and %+v", d, n)
	}
	if diff := cmp.Diff([]source{{Name: "x", Paths: []string{"/x"}}}, d.Sources); diff != "" {
		t.Errorf("a list replaces its default (-want +got):\n%s", diff)
	}
	if c.Alerts.Evaluate || time.Duration(c.Alerts.CloseAfter) != 2*time.Minute {
		t.Errorf("got %+v", c.Alerts)
	}
	if len(c.Escalation.Policies["critical"].Tiers) != 2 || len(c.Escalation.Policies["warning"].Tiers) != 3 {
		t.Errorf("a mapping adds to its default: %+v", c.Escalation.Policies)
	}
	if c.Overrides[0].Until != "2027-03-01" || c.Commands["storcli"][0] != "/opt/storcli64" {
		t.Errorf("got %+v %+v", c.Overrides, c.Commands)
	}
	text, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("shown.yml", text, specs())
	if err != nil {
		t.Fatalf("what is shown cannot be read: %v\n%s", err, text)
	}
	if diff := cmp.Diff(c, again, cmp.AllowUnexported(disk{}), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Errorf("(-written +shown):\n%s", diff)
	}
}

func TestAliasesDoNotUnfoldWithoutEnd(t *testing.T) {
	var text strings.Builder
	text.WriteString("probes:\n  disk:\n    tags:\n      t0: &t0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&text, "      t%d: &t%d [*t%d, *t%d, *t%d, *t%d, *t%d, *t%d, *t%d, *t%d, *t%d, *t%d]\n",
			i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	done := make(chan error, 1)
	go func() {
		_, err := config.Parse("f.yml", []byte(text.String()), specs())
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the file is accepted")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the file keeps the reader busy")
	}
}

func TestComplaintsThatComeLaterAreLocatedToo(t *testing.T) {
	c, err := config.Parse("f.yml", []byte("owner: a\nalerts:\n  rules:\n  - /a.yml\n  - /b.yml\n"), specs())
	if err != nil {
		t.Fatal(err)
	}
	odd := errors.New("odd")
	for want, err := range map[string]error{
		"f.yml:5: alerts.rules[1]: odd":              probes.At("alerts.rules[1]", odd),
		"f.yml:2: alerts.disable: odd":               probes.At("alerts.disable", odd),
		"f.yml:1: commands.x: odd":                   probes.At("commands.x", odd),
		"b.yml:7: odd":                               errors.New("b.yml:7: odd"),
		"b.yml:7: odd\nf.yml:2: alerts.disable: odd": errors.Join(errors.New("b.yml:7: odd"), probes.At("alerts.disable", odd)),
	} {
		if got := c.Locate(err); got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	if c.Locate(nil) != nil || config.Default(specs()).Locate(odd).Error() != "odd" {
		t.Error("no complaint, or no file, and yet something changed")
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	if _, err := config.Load(path, specs()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("ownr: a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, specs()); err == nil || !strings.HasPrefix(err.Error(), path+":1: ownr: ") {
		t.Errorf("a mistake: %v", err)
	}
	if err := os.WriteFile(path, []byte("#"+strings.Repeat(" ", 5<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, specs()); err == nil || err.Error() != path+": is larger than 4194304 bytes" {
		t.Errorf("a huge file: %v", err)
	}
}

// Whatever the text is, the answer is a configuration or complaints with lines.
func FuzzParse(f *testing.F) {
	for _, c := range mistakes() {
		f.Add([]byte(c[0]))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse("f.yml", text, specs())
		if err == nil {
			if _, err := c.Marshal(); err != nil {
				t.Errorf("accepted, and cannot be shown: %v", err)
			}
			return
		}
		for line := range strings.Lines(err.Error()) {
			var n int
			if _, scanErr := fmt.Sscanf(line, "f.yml:%d:", &n); scanErr != nil && strings.HasPrefix(line, "f.yml") {
				t.Errorf("a complaint without a line: %q", line)
			}
		}
	})
}
