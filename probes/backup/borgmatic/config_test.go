package borgmatic

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

func parsed(t *testing.T, name string) config {
	t.Helper()
	l := loader{home: "/root", read: os.ReadFile}
	value, err := l.load("testdata/configurations/"+name, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(name, value, surroundings{hostname: "web", home: "/root"})
	if err != nil {
		t.Fatal(err)
	}
	c.states = nil
	return c
}

var all = cmp.AllowUnexported(config{}, place{}, check{}, database{})

func TestParse(t *testing.T) {
	const keys = "/root/.config/borg/keys"
	standard := []check{{"repository", 30 * day}, {"archives", 30 * day}}
	for name, want := range map[string]config{
		"sections.yaml": {
			repositories: []place{{path: "/srv/borg"}, {path: "ssh://user@backup.example.org/./repo"}}, sources: []string{"/home", "/etc"},
			archives: "web-docs-*", passphrase: `open "sesame"`, ssh: "ssh -i /root/.ssh/borg", keys: keys,
			checks: []check{{"repository", 0}, {"archives", 0}}, keep: []string{"7 daily", "4 weekly"},
			databases: []database{{"postgresql_databases", "users"}, {"postgresql_databases", "all"}},
		},
		"merged.yaml": {
			repositories: []place{{path: "/srv/common"}, {path: "/srv/own"}}, sources: []string{"/etc", "/home"}, archives: "web-*",
			passcommand: "cat /etc/borg.pw", keys: "/root/borg/.config/borg/keys", checks: standard, keep: []string{"5 daily", "4 weekly"},
		},
		"variables.yaml": {
			repositories: []place{{path: "/srv/borg"}}, sources: []string{"/home"}, archives: "web-*", passphrase: "se-cret", keys: keys, checks: standard,
		},
		"anchors.yaml": {
			repositories: []place{{path: "/srv/borg"}}, sources: []string{"/srv", "/opt"}, archives: "web-*", keys: keys, checks: standard,
			keep: []string{"9 daily", "6 monthly"},
		},
		"section.yaml": {
			repositories: []place{{path: "/r"}}, sources: []string{"/a"}, archives: "web-*", passcommand: "cat /etc/borg.pw",
			keys: "/root/borg/.config/borg/keys", checks: []check{{"data", 180 * day}, {"extract", 0}},
		},
		"flat.yaml": {
			repositories: []place{{"local", "/srv/borg"}, {"offsite", "ssh://u@h:2222/repo"}}, sources: []string{"/home"}, archives: "*-*", keys: keys,
			checks: []check{{"archives", 14 * day}}, keep: []string{"24 hourly"}, databases: []database{{"mariadb_databases", "app"}},
		},
	} {
		want.file = name
		if diff := cmp.Diff(want, parsed(t, name), all); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func load(text string) (config, error) {
	l := loader{home: "/root", read: func(name string) ([]byte, error) {
		if name != "/c.yaml" {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}}
	value, err := l.load("/c.yaml", 0)
	if err != nil {
		return config{}, err
	}
	return parse("/c.yaml", value, surroundings{home: "/root"})
}

func TestBrokenConfigurations(t *testing.T) {
	for _, c := range []struct {
		name, text string
		reason     probes.Reason
		want       string
	}{
		{"no YAML", "{", probes.Malformed, "/c.yaml: yaml: line 1"},
		{"a list", "[a]", probes.Malformed, "/c.yaml is no configuration of borgmatic"},
		{"nothing", "", probes.Malformed, "/c.yaml names no repository"},
		{"a repository without a path", "repositories: [{label: a}]", probes.Malformed, "a repository has no path"},
		{"a variable", "repositories: ['${PLACE}/x']", probes.Unsupported, "the variable PLACE is set in the environment of borgmatic"},
		{"an include that is missing", "a: 1\nb: !include x.yaml", probes.NotFound, "/c.yaml: line 2: file does not exist"},
		{"one that includes itself", "<<: !include c.yaml", probes.Malformed, "includes too many files"},
		{"aliases that grow", "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", probes.Malformed, "too large"},
	} {
		_, err := load(c.text)
		if err == nil || probes.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%s)", c.name, err, probes.ReasonOf(err))
		}
	}
}

func TestMergingOfLists(t *testing.T) {
	l := loader{read: func(name string) ([]byte, error) {
		return []byte(map[string]string{
			"/a.yaml": "<<: !include b.yaml\nsource_directories: !retain [/home]\nrepositories: [!omit /srv/b, '\\${KEPT}']\nconstants: {n: 5}\nkeep_daily: '{n}'",
			"/b.yaml": "source_directories: [/etc]\nrepositories: [/srv/a, /srv/b]",
		}[name]), nil
	}}
	value, err := l.load("/a.yaml", 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse("a", value, surroundings{})
	if diff := cmp.Diff([]string{"/home"}, c.sources); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if diff := cmp.Diff([]place{{path: "/srv/a"}, {path: "${KEPT}"}}, c.repositories, all); diff != "" {
		t.Error(diff)
	}
}

func TestGlob(t *testing.T) {
	about := surroundings{hostname: "we*b"}
	for _, c := range []struct{ format, name string }{
		{"{hostname}-{now:%Y-%m-%dT%H:%M:%S.%f}", "we*b-2026-01-01T00:00:00.123"},
		{"{{literal}}-[x]-{user}", "{literal}-[x]-root"},
	} {
		pattern := glob(c.format, about, literal)
		if match, err := doublestar.Match(pattern, c.name); err != nil || !match {
			t.Errorf("%s became %s, which does not match %s: %v", c.format, pattern, c.name, err)
		}
		if match, _ := doublestar.Match(pattern, "other-x-root"); match {
			t.Errorf("%s became %s, which matches others", c.format, pattern)
		}
	}
}

func TestFrequency(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "always": 0, "2 weeks": 14 * day, "1 month": 30 * day, "3 Days": 3 * day, "99999 years": 100 * 365 * day} {
		if got, err := frequency(text); got != want || err != nil {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"weekly", "x weeks", "2", "-1 days", "2 fortnights"} {
		if _, err := frequency(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestDump(t *testing.T) {
	for _, c := range []struct {
		d    database
		path string
		want bool
	}{
		{database{"postgresql_databases", "app"}, "root/.borgmatic/postgresql_databases/localhost/app", true},
		{database{"postgresql_databases", "app"}, "borgmatic/postgresql_databases/db1:5432/app/toc.dat", true},
		{database{"postgresql_databases", "app"}, "root/.borgmatic/postgresql_databases/localhost/apple", false},
		{database{"postgresql_databases", "all"}, "root/.borgmatic/postgresql_databases/localhost/users", true},
		{database{"mysql_databases", "app"}, "root/.borgmatic/postgresql_databases/localhost/app", false},
	} {
		if c.d.at(c.path) != c.want {
			t.Errorf("%s at %s: want %v", c.d, c.path, c.want)
		}
	}
}

func TestPasswordsOfCommands(t *testing.T) {
	files := memory{"/etc/pw": "secret\n"}
	for _, c := range []struct{ command, phrase, file, want string }{
		{command: "cat /etc/pw", want: "secret"},
		{command: `/usr/bin/cat "/etc/pw"`, want: "secret"},
		{phrase: "{credential file /etc/pw}", want: "secret"},
		{command: "pass show borg", file: "/etc/pw", want: "secret"},
		{phrase: "inline", want: "inline"},
		{command: "pass show borg"},
		{command: "cat /etc/pw; evil"},
		{command: "cat $(evil)"},
		{phrase: "{credential systemd borg}"},
		{command: "cat /etc/none"},
	} {
		got, err := config{passcommand: c.command, passphrase: c.phrase}.password(files, job.Options{PasswordFile: c.file})()
		if got != c.want || (err == nil) == (c.want == "") || err != nil && probes.ReasonOf(err) != probes.Auth {
			t.Errorf("%+v: got %q, %v", c, got, err)
		}
	}
}

// memory is a host with a few files.
type memory map[string]string

func (m memory) ReadFile(name string, _ int64) ([]byte, error) {
	if text, there := m[name]; there {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func (m memory) Stat(string) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (m memory) ReadDir(string) ([]fs.DirEntry, error) { return nil, fs.ErrNotExist }

// FuzzConfiguration: what is accepted has repositories, each with a path.
func FuzzConfiguration(f *testing.F) {
	for _, name := range []string{"sections", "flat", "anchors", "variables"} {
		data, err := os.ReadFile("testdata/configurations/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(text)
		if err != nil {
			return
		}
		if len(c.repositories) == 0 {
			t.Error("a configuration without a repository is accepted")
		}
		for _, r := range c.repositories {
			if r.path == "" {
				t.Error("a repository without a path is accepted")
			}
		}
		if !doublestar.ValidatePattern(c.archives) {
			t.Errorf("%q is no pattern", c.archives)
		}
	})
}
