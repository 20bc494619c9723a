package walg

import (
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

const described = `{"LSN":33554472,"FinishLSN":33554688,"PgVersion":150000,"UncompressedSize":100,"CompressedSize":10,"Spec":null,"Version":2,"FinishTime":"2026-01-01T00:00:00Z"}`

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, as, text, want string }{
		{"a full backup", "base_000000010000000000000002", described, "good"},
		{"an increment", "base_000000010000000000000002_D_000000010000000000000001", strings.Replace(described, `"PgV`, `"DeltaFrom":"base_000000010000000000000001","PgV`, 1), "good"},
		{"of another place in the log", "base_000000010000000000000009", described, "bad damaged"},
		{"that ends before it begins", "base_000000010000000000000002", strings.Replace(described, "33554688", "1", 1), "bad damaged"},
		{"cut", "base_000000010000000000000002", described[:50], "bad truncated"},
		{"empty", "base_000000010000000000000002", "", "bad truncated"},
		{"something else", "base_000000010000000000000002", "x", "bad damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := backup{name: c.as}
			err := b.parse([]byte(c.text))
			if got := answer(err); got != c.want {
				t.Fatalf("got %q, want %q: %v", got, c.want, err)
			}
			if err == nil && (b.last != "000000010000000000000002" || !b.Finished.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) {
				t.Errorf("%+v", b)
			}
		})
	}
}

func TestChains(t *testing.T) {
	backups := []backup{{name: "c", From: "b"}, {name: "b", From: "a"}, {name: "a"}, {name: "lost", From: "gone"}, {name: "round", From: "round"}}
	for name, want := range map[string]string{"c": "good", "a": "good", "lost": "bad incomplete", "round": "bad incomplete", "none": "unknown not_found"} {
		chain, err := chainOf(backups, name)
		if got := answer(err); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if name == "c" && len(chain) != 3 {
			t.Errorf("the chain has %d backups", len(chain))
		}
	}
}

// FuzzParse: what is no flaw tells which log it needs.
func FuzzParse(f *testing.F) {
	f.Add([]byte(described))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := backup{name: "base_000000010000000000000002"}
		if err := b.parse(text); err == nil && (b.last < b.first || b.segment == 0) {
			t.Errorf("%+v", b)
		}
		m := metadata{}
		_ = m.parse("x", text)
	})
}
