package aptconf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		text, key, want string
	}{
		"a value":                              {`APT::Default-Release "stable";`, "APT::Default-Release", "stable"},
		"a value in a block":                   {"APT {\n Periodic {\n  Enable \"1\";\n };\n};", "apt::periodic::enable", "1"},
		"a block on one line":                  {`APT { Get { Yes "true"; }; };`, "APT::Get::Yes", "true"},
		"a value without quotes":               {`A::B yes;`, "A::B", "yes"},
		"a value over lines":                   {"A::B\n  \"x\"\n;", "A::B", "x"},
		"the last value counts":                {`A "1"; a "2";`, "A", "2"},
		"a comment at the end of a line":       {`A "1"; // B "2";`, "B", ""},
		"a comment with a hash":                {"# A \"1\";\nB \"2\"; # C", "B", "2"},
		"a comment in the middle":              {`A /* x; */ "1"; /* B "2"; */`, "A", "1"},
		"a comment over lines":                 {"/* A \"1\";\n B */ C \"3\";", "C", "3"},
		"slashes in quotes are no comment":     {`A "http://x/*y*/#z";`, "A", "http://x/*y*/#z"},
		"a semicolon in quotes ends nothing":   {`A "x;y{z}";`, "A", "x;y{z}"},
		"what is cleared is gone":              {"A::B \"1\";\n#clear A;", "A::B", ""},
		"a name below another with a value":    {`A "1"; A::B "2";`, "A::B", "2"},
		"a block with a value of its own":      {`A "1" { B "2"; };`, "A::B", "2"},
		"a directive for tools is passed over": {"#x-apt-configure-index \"/x\";\nA \"1\";", "A", "1"},
	} {
		tree := New()
		if err := tree.Read(c.text, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := tree.Find(c.key, ""); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestListsTruthsAndFiles(t *testing.T) {
	tree := New()
	err := tree.Read(`
		APT::Architectures { "amd64"; "i386"; };
		APT::Architectures:: "arm64";
		Plain "a,b c";
		Yes "on"; No "0"; Odd "maybe";
		Dir::State "/srv/state"; Dir::Etc::sourceparts "/dev/null"; Dir::Log "logs";
	`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"amd64", "i386", "arm64"}, tree.List("APT::Architectures")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, tree.List("Plain")); diff != "" {
		t.Error(diff)
	}
	if !tree.Bool("Yes", false) || tree.Bool("No", true) || !tree.Bool("Odd", true) || tree.Bool("Missing", false) {
		t.Error("truths are wrong")
	}
	for name, want := range map[string]string{
		"Dir::State::lists": "/srv/state/lists", "Dir::State::status": "/var/lib/dpkg/status",
		"Dir::Etc::sourceparts": "/dev/null", "Dir::Etc::parts": "/etc/apt/apt.conf.d", "Dir::Log::History": "/logs/history.log",
	} {
		if got := tree.File(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	tree.Set("Dir", "/chroot")
	if got := tree.File("Dir::Etc::main"); got != "/chroot/etc/apt/apt.conf" {
		t.Error(got)
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"A \"1\";\n{ B; };": "line 2: a block begins without a name",
		"A \"1\"":           `"A \"1\"" at the end of the file is not closed`,
		"A \"1\" x;":        `line 1: "x" stands behind a value`,
		"#odd x;":           "", // a comment
		"#clearly \"x\";":   "line 1: unknown directive #clearly",
	} {
		err := New().Read(text, nil)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != want {
			t.Errorf("%q: %q, want %q", text, said, want)
		}
	}
}

func TestIncludedFiles(t *testing.T) {
	var asked []string
	err := New().Read("#include \"/etc/x\";\n#include \"/etc/y/\";", func(path string) error {
		asked = append(asked, path)
		return nil
	})
	if diff := cmp.Diff([]string{"/etc/x", "/etc/y/"}, asked); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Whatever the text, reading it ends, and what it sets can be found.
func FuzzRead(f *testing.F) {
	f.Add("A { B \"1\"; \"2\"; };\n#clear A;\n/* x */ // y\n")
	f.Fuzz(func(t *testing.T, text string) {
		tree := New()
		if tree.Read(text, nil) == nil && tree.Read("Probe::It \"yes\";", nil) == nil && !strings.Contains(text, "Probe") && tree.Find("probe::it", "") != "yes" {
			t.Errorf("%q hides what follows", text)
		}
	})
}
