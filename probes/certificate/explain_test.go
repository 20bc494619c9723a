package certificate

import (
	"strings"
	"testing"
)

func TestExplainTellsTheWholeStory(t *testing.T) {
	r := newRig(t, "/s")
	r.write("/t/real.pem", append(text(t, "www", "ca1"), []byte("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")...))
	r.link("/t/real.pem", "/s/a.pem")
	r.run()
	got, err := r.probe.Explain(t.Context(), "/s/a.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The path leads to /t/real.pem.\n", `named by the source "test" and holds 2 certificates (PEM).`,
		"\nleaf\n", "subject      www\n", "valid until  2026-04-01 00:00:00 UTC, ",
		"overdue      2026-03-09 12:00:00 UTC, ", "critical     2026-03-23 00:00:00 UTC, ",
		"\nchain1\n", "subject      ca1\n", "Unreadable: certificate on line ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	if !strings.HasSuffix(got, "\n") {
		t.Error("it does not end with a line")
	}
	if got, err := r.probe.Explain(t.Context(), "/none"); err != nil || got != "Nothing was read here in the last run.\n" {
		t.Errorf("of an unknown object: %q, %v", got, err)
	}
}
