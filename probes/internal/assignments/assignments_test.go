package assignments_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/assignments"
)

func TestParse(t *testing.T) {
	got := assignments.Parse([]byte("# a comment\n; another\n\nID=debian\n  NAME=\"Debian \\\"GNU\\\" \\$x\"\r\nexport KEY='a$b \\c'\nEMPTY=\nID=last\nno assignment\n=x\n1A=x\nA B=x\nURL=https://a/?b=c#d\nHALF=\"a\nQUOTE=\"\n"))
	want := map[string]string{
		"ID": "last", "NAME": `Debian "GNU" $x`, "KEY": `a$b \c`, "EMPTY": "", "URL": "https://a/?b=c#d", "HALF": `"a`, "QUOTE": `"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAsTheShell: what the shell makes of a file is what we make of it.
func TestAsTheShell(t *testing.T) {
	const text = `A=plain
export B='single $HOME \n "x"'
C="double \" \\ \$ and 'x'"
D=
E=a/b+c==
# F=no
`
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "set -a\n"+text+"for n in A B C D E; do eval \"printf '%s\\n' \\\"\\$$n\\\"\"; done").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	values := assignments.Parse([]byte(text))
	for _, name := range []string{"A", "B", "C", "D", "E"} {
		ours = append(ours, values[name])
	}
	if theirs := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(ours, theirs) {
		t.Errorf("the shell reads %q, and we read %q", theirs, ours)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("A='b'\nexport C=\"\\\"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, value := range assignments.Parse(text) {
			if name == "" || strings.Contains(value, "\n") {
				t.Errorf("%q=%q", name, value)
			}
		}
	})
}
