package restore

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

func TestParseListing(t *testing.T) {
	const restic = `{"time":"2026-01-01T00:00:00Z","struct_type":"snapshot"}
{"name":"a","type":"file","size":5,"struct_type":"node"}
{"name":"d","type":"dir","struct_type":"node"}
{"name":"l","type":"symlink","struct_type":"node"}
`
	for _, c := range []struct {
		name, text string
		want       Listing
		reason     probes.Reason
	}{
		{name: "files, links and what does not count", text: restic, want: Listing{Files: 1, Links: 1, Bytes: 5}},
		{name: "behind a line of progress", text: "scanning...\n" + restic, want: Listing{Files: 1, Links: 1, Bytes: 5}},
		{name: "nothing"},
		{name: "a size that cannot be", text: `{"type":"file","size":-5}`, want: Listing{Files: 1}},
		{name: "half of a line", text: restic[:20], reason: probes.Malformed},
		{name: "a line without an end", text: "{" + strings.Repeat(" ", maxLine), reason: probes.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseListing(iotest.HalfReader(strings.NewReader(c.text)), "file", "symlink")
			if c.reason != "" && probes.ReasonOf(err) != c.reason || c.reason == "" && err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" && err == nil {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzListing: no count is negative, whatever is read.
func FuzzListing(f *testing.F) {
	f.Add(`{"type":"file","size":5}`)
	f.Fuzz(func(t *testing.T, text string) {
		if l, _ := ParseListing(strings.NewReader(text), "file", "symlink"); l.Files < 0 || l.Links < 0 || l.Files == 0 && l.Bytes != 0 {
			t.Errorf("%+v", l)
		}
	})
}
