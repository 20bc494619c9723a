package apt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// flat prints sources in short lines.
func flatSources(s *sources) []string {
	var lines []string
	for _, one := range s.list {
		line := one.uri + " " + one.suite
		for _, c := range one.components {
			line += " " + c.name + "[" + strings.Join(c.architectures, ",") + "]"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestSources(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []string
		err        string
	}{
		"a line": {
			"a.list", "deb http://a.example/debian stable main contrib # comment\n# deb http://x y z\ndeb-src http://a.example/debian stable main\n",
			[]string{"http://a.example/debian/ stable main[amd64,i386] contrib[amd64,i386]"},
			"",
		},
		"options, with and without spaces": {
			"a.list", "deb [arch=amd64 signed-by=/x] http://a s m\ndeb [ arch-=i386 trusted=yes ] http://b s m\ndeb [arch+=arm64] http://c s m\n",
			[]string{"http://a/ s m[amd64]", "http://b/ s m[amd64]", "http://c/ s m[amd64,i386,arm64]"},
			"",
		},
		"a flat repository": {"a.list", "deb http://a/x ./\ndeb file:/srv/repo /\n", []string{"http://a/x/ ./ [amd64,i386]", "file:/srv/repo/ / [amd64,i386]"}, ""},
		"a disc with spaces in its name": {
			"a.list", "deb cdrom:[Debian 12 _Bookworm_ - amd64]/ bookworm main\n",
			[]string{"cdrom:[Debian 12 _Bookworm_ - amd64]/ bookworm main[amd64,i386]"},
			"",
		},
		"the architecture in a suite": {"a.list", "deb http://a/$(ARCH) x/$(ARCH)/\n", []string{"http://a/amd64/ x/amd64/ [amd64,i386]"}, ""},
		"stanzas": {
			"a.sources", "Types: deb deb-src\nURIs: http://a http://b/\nSuites: s s-updates\nComponents: main\nArchitectures: amd64\n\nEnabled: no\nTypes: deb\nURIs: http://c\nSuites: s\nComponents: main\n\n# comment\nTypes: deb-src\nURIs: http://d\nSuites: s\nComponents: main\n",
			[]string{"http://a/ s main[amd64]", "http://a/ s-updates main[amd64]", "http://b/ s main[amd64]", "http://b/ s-updates main[amd64]"},
			"",
		},
		"a key inside": {
			"a.sources", "Types: deb\nURIs: http://a\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n",
			[]string{"http://a/ s main[amd64,i386]"},
			"",
		},
		"the same suite from two entries": {"a.list", "deb http://a s main\ndeb http://a/ s contrib\n", []string{"http://a/ s main[amd64,i386] contrib[amd64,i386]"}, ""},
		"a bad line does not hide others": {
			"a.list", "deb http://a\ndeb http://b s main\nrpm http://c s main\n",
			[]string{"http://b/ s main[amd64,i386]"},
			"line 1: an address or a suite is missing\nline 3: \"rpm\" is no type of source",
		},
		"a password is not shown in errors": {"a.list", "deb nothing s main\ndeb [x http://u:p@a s\n", nil, "line 1: \"nothing/\" is no address\nline 2: the options are not closed"},
		"an entry without an address":       {"a.sources", "Types: deb\nSuites: s\nComponents: main\n", nil, "entry 1: an address or a suite is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sources{native: "amd64", foreign: []string{"i386"}}
			err := s.readFile(c.file, []byte(c.text))
			said := ""
			if err != nil {
				said = err.Error()
			}
			if diff := cmp.Diff(c.want, flatSources(s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.err, "nothing/", "nothing"), said); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// The names are those that apt-get indextargets prints.
func TestNamesOfStoredFiles(t *testing.T) {
	for uri, want := range map[string]string{
		"http://deb.example.org/debian/dists/bookworm/InRelease":  "deb.example.org_debian_dists_bookworm_InRelease",
		"https://user:p%40ss@a.example:8443/x/dists/s/InRelease":  "a.example:8443_x_dists_s_InRelease",
		"file:/srv/my_repo/./Packages":                            "_srv_my%5frepo_._Packages",
		"file:///srv/repo/Packages":                               "_srv_repo_Packages",
		"mirror+file:/etc/apt/mirrors/m.list/dists/s/InRelease":   "_etc_apt_mirrors_m.list_dists_s_InRelease",
		"http://ppa.launchpad.net/~x/y+z/dists/a~b/main/Packages": "ppa.launchpad.net_%7ex_y+z_dists_a%7eb_main_Packages",
	} {
		if got := storedName(uri); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

// A file is found under the name that each version of apt gives it.
func TestFilesAreFoundUnderTheirNamesOfThen(t *testing.T) {
	s := &source{uri: "http://a/", suite: "x+y"}
	for _, name := range []string{"a_dists_x%252by_Release", "a_dists_x+y_Release.lz4"} {
		l := &lists{dir: "/l", files: map[string]bool{name: true}}
		if got := l.locate(s, "Release"); got != "/l/"+name {
			t.Errorf("%s: found %q", name, got)
		}
	}
}

func TestObjectsOfSources(t *testing.T) {
	for _, c := range []struct{ uri, suite, want string }{
		{"http://deb.example.org/debian/", "bookworm", "deb.example.org/debian/bookworm"},
		{"https://user:secret@a.example:8443/x/", "s", "a.example:8443/x/s"},
		{"file:///srv/repo/", "./", "srv/repo/."},
		{"http://a/", "/", "a"},
	} {
		if got := (source{uri: c.uri, suite: c.suite}).object(); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.uri, c.suite, got, c.want)
		}
	}
}

// Whatever the file, reading it ends, and no credentials get into an object.
func FuzzSources(f *testing.F) {
	f.Add("a.list", "deb [arch=amd64] http://user:secret@a s main\n")
	f.Add("a.sources", "Types: deb\nURIs: http://user:secret@a\nSuites: s\nComponents: main\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		s := &sources{native: "amd64"}
		_ = s.readFile(name, []byte(text))
		for _, one := range s.list {
			storedName(one.base())
			if strings.Contains(text, "//user:secret@") && strings.Contains(one.uri, "//user:secret@") && strings.Contains(one.object(), "secret") && strings.Count(text, "secret") == 1 {
				t.Errorf("%q shows its password", one.object())
			}
		}
	})
}
