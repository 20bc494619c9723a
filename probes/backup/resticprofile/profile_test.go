package resticprofile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

const known = "web"

func configured(name, content string) (*configuration, error) {
	all, err := decode(name, []byte(content), map[string]string{"Profile.Name": known, "Hostname": "h", "ConfigDir": "/etc"})
	if err != nil {
		return nil, err
	}
	return &configuration{file: name, all: all, second: text(all["version"]) == "2", budget: 100}, nil
}

// TestProfiles: what is inherited, mixed in and added is what the documentation
// of resticprofile shows.
func TestProfiles(t *testing.T) {
	for _, c := range []struct {
		name, file, text, profile string
		want                      map[string]any
	}{
		{
			name: "a parent, of which lists are merged place by place in the first version", file: "p.yaml", profile: "child",
			text: "version: \"1\"\nbase: {repository: local:/r, backup: {source: [/a, /b], exclude: [x]}}\nchild: {inherit: base, backup: {source: [/c]}}",
			want: map[string]any{"inherit": "base", "repository": "local:/r", "backup": map[string]any{"source": []any{"/c", "/b"}, "exclude": []any{"x"}}},
		},
		{
			name: "a parent, of which lists are replaced in the second version", file: "p.json", profile: "child",
			text: `{"version": "2", "profiles": {"base": {"backup": {"source": ["/a", "/b"], "tag": ["t"]}}, "child": {"inherit": "base", "backup": {"source": ["/c"]}}}}`,
			want: map[string]any{"inherit": "base", "backup": map[string]any{"source": []any{"/c"}, "tag": []any{"t"}}},
		},
		{
			name: "what is added to a list of the parent", file: "p.toml", profile: "child",
			text: "version = 2\n[profiles.default.backup]\nexclude = ['a', 'b']\n[profiles.child]\ninherit = 'default'\n[profiles.child.backup]\nexclude__APPEND = 'c'\nsource = '/s'",
			want: map[string]any{"inherit": "default", "backup": map[string]any{"exclude": []any{"a", "b", "c"}, "source": "/s"}},
		},
		{
			name: "what is put before a list of the parent", file: "p.yml", profile: "child",
			text: "version: 2\nprofiles:\n  a: {backup: {tag: [x]}}\n  child: {inherit: a, backup: {...tag: y}}",
			want: map[string]any{"inherit": "a", "backup": map[string]any{"tag": []any{"y", "x"}}},
		},
		{
			name: "mixins with variables", file: "p.yaml", profile: "b",
			text: "version: 2\nmixins:\n  keep: {default-vars: {LAST: 30}, retention: {keep-last: $LAST}}\n  at: {repository: 'local:/${WHERE}/r'}\nprofiles:\n  b: {use: [at, {name: keep, LAST: 60}, {name: at, vars: {WHERE: srv}}], password-file: key}",
			want: map[string]any{"password-file": "key", "repository": "local:/srv/r", "retention": map[string]any{"keep-last": "60"}},
		},
		{
			name: "a mixin within a section", file: "p.yaml", profile: "b",
			text: "version: 2\nmixins: {more: {exclude...: [y, z]}}\nprofiles:\n  b: {backup: {use: more, exclude: x}}",
			want: map[string]any{"backup": map[string]any{"exclude": []any{"x", "y", "z"}}},
		},
		{
			name: "templates that are understood", file: "p.conf", profile: "web",
			text: "[web]\nrepository = \"/srv/{{ .Profile.Name }}-{{.Hostname}}\"\npassword-file = \"{{ .ConfigDir }}/key\"",
			want: map[string]any{"repository": "/srv/web-h", "password-file": "/etc/key"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, err := configured(c.file, c.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := conf.profile(c.profile, 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBrokenConfigurations(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		reason           probes.Reason
		want             string
	}{
		{"no YAML", "p.yaml", "{", probes.Malformed, "p.yaml: yaml: line 1"},
		{"no TOML", "p.toml", "a =", probes.Malformed, "p.toml: toml: line 1"},
		{"another format", "p.hcl", "", probes.Unsupported, `files that end in ".hcl" are not understood`},
		{"a template", "p.yaml", "web: {repository: '/srv/{{ .Env.PLACE }}'}", probes.Unsupported, "uses templates"},
		{"no such profile", "p.yaml", "db: {}", probes.Malformed, `p.yaml has no profile "web"`},
		{"a group", "p.yaml", "groups: {web: [a, b]}", probes.Malformed, "web is a group: give the job a copy for each of its profiles, a, b"},
		{"a group of the second version", "p.yaml", "version: 2\ngroups: {web: {profiles: [a, b]}}", probes.Malformed, "web is a group"},
		{"a parent that is missing", "p.yaml", "web: {inherit: base}", probes.Malformed, `the profile web inherits: p.yaml has no profile "base"`},
		{"one that inherits from itself", "p.yaml", "web: {inherit: web}", probes.Malformed, "inherits from itself"},
		{"a mixin that is missing", "p.yaml", "version: 2\nprofiles: {web: {use: x}}", probes.Malformed, `has no mixin "x"`},
		{"a mixin that uses itself", "p.yaml", "version: 2\nmixins: {x: {use: x}}\nprofiles: {web: {use: x}}", probes.Malformed, "without an end"},
		{"mixins that grow", "p.yaml", "version: 2\nmixins: {x: {use: [y,y,y,y]}, y: {use: [z,z,z,z]}, z: {use: [q,q,q,q]}, q: {use: [r,r,r,r]}, r: {}}\nprofiles: {web: {use: x}}", probes.Malformed, "too many"},
	} {
		conf, err := configured(c.file, c.text)
		if err == nil {
			_, err = conf.profile(known, 0)
		}
		if err == nil || probes.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%s)", c.name, err, probes.ReasonOf(err))
		}
	}
}

func TestStatus(t *testing.T) {
	const status = `{"profiles": {"self": {"backup": {"success": true, "time": "2026-03-24T16:36:56.831077Z", "error": "", "files_new": 215},
"check": {"success": false, "time": "2026-03-24T15:23:40Z", "error": "exit status 1", "stderr": "locked"}}}}`
	got, err := parseStatus([]byte(status), "self")
	want := map[string]run{
		"backup": {Success: true, Time: time.Date(2026, 3, 24, 16, 36, 56, 831077000, time.UTC)},
		"check":  {Time: time.Date(2026, 3, 24, 15, 23, 40, 0, time.UTC), Error: "exit status 1"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := parseStatus([]byte("{"), "self"); err == nil {
		t.Error("half of a file is accepted")
	}
}

// FuzzProfile: nothing that is read panics or does not end, and what is accepted
// is a profile.
func FuzzProfile(f *testing.F) {
	f.Add("version: 2\nmixins: {x: {a...: $B, use: [{name: y, B: 1}]}, y: {}}\nprofiles: {web: {use: x, inherit: p}, p: {...a: [1]}}")
	f.Add("web: {inherit: base, backup: {source: [a]}}\nbase: {backup: {source: [b, c]}}")
	f.Add(`{"profiles": {"web": {"backup": {"success": true, "time": "2026-03-24T16:36:56.831077Z"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseStatus([]byte(text), known)
		for _, name := range []string{"p.yaml", "p.toml"} {
			conf, err := configured(name, text)
			if err != nil {
				continue
			}
			if profile, err := conf.profile(known, 0); err == nil && profile == nil {
				t.Error("no profile is accepted")
			}
		}
	})
}
