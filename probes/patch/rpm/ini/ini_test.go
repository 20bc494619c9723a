package ini_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/rpm/ini"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := ini.Parse(strings.NewReader("ignored = before\n[main]\n# comment\na = b # no comment\n;c=d\nlist=x,\n  y\n\n  not continued\n[ two ]\nnothing\nkey=\n"))
	want := []ini.Section{
		{Name: "main", Values: map[string]string{"a": "b # no comment", "list": "x,\ny"}},
		{Name: "two", Values: map[string]string{"key": ""}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// Whatever a file holds, every section has a name of its own line, and reading
// ends.
func FuzzParse(f *testing.F) {
	f.Add("[main]\na=b\n c\n;x\n[")
	f.Fuzz(func(t *testing.T, file string) {
		sections, _ := ini.Parse(strings.NewReader(file))
		for _, s := range sections {
			if !strings.Contains(file, s.Name) || s.Values == nil {
				t.Errorf("%+v", s)
			}
		}
	})
}
