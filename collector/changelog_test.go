package collector

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// record returns a change log and what it wrote, without times.
func record() (*changeLog, *bytes.Buffer) {
	var out bytes.Buffer
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return newChangeLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))), &out
}

func TestOnlyChangesAreLogged(t *testing.T) {
	h := newHistory()
	log, out := record()
	for _, step := range []struct {
		run  string
		want string
	}{
		{"a=1", ""},
		{"a=1 b!auth", "level=WARN msg=\"object cannot be inspected\" object=b reason=auth err=auth\n"},
		{"a=2 b!auth", ""},
		{"error", "level=WARN msg=\"probe failed\" err=broken\n"},
		{"error", ""},
		{"b!locked", "level=INFO msg=\"probe works again\"\nlevel=WARN msg=\"object cannot be inspected\" object=b reason=locked err=locked\n"},
		{"b=1", "level=INFO msg=\"object is no longer at fault\" object=b reason=locked\n"},
		{"none", "level=INFO msg=\"probe is not applicable to this host\"\n"},
		{"none", ""},
		{"a=1", ""},
	} {
		out.Reset()
		before := h.report
		h.run(step.run)
		log.report(before, h.report)
		if diff := cmp.Diff(step.want, out.String()); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", step.run, diff)
		}
	}
	out.Reset()
	failed := &Report{Outcome: Failed, Err: errors.New("another")}
	log.report(&Report{Outcome: Failed, Err: errors.New("one")}, failed)
	log.panicked("ouch", []byte("the stack"))
	want := "level=WARN msg=\"probe failed\" err=another\nlevel=ERROR msg=\"probe panicked\" panic=ouch stack=\"the stack\"\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("another failure and a panic (-want +got):\n%s", diff)
	}
}

func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := record()
		quiet := &Report{Outcome: Succeeded}
		noisy := &Report{Outcome: Succeeded}
		for i := range 1000 {
			noisy.Faults = append(noisy.Faults, Fault{
				Fault: probes.Fault{Object: fmt.Sprintf("%04d", i), Reason: probes.Auth, Err: errors.New("no")},
				Since: time.Now(),
			})
		}
		for range 10 {
			log.report(quiet, noisy)
			log.report(noisy, quiet)
		}
		if lines := strings.Count(out.String(), "\n"); lines != linesPerMinute {
			t.Errorf("%d lines in one minute, want %d", lines, linesPerMinute)
		}
		out.Reset()
		time.Sleep(time.Minute)
		log.report(quiet, &Report{Outcome: NotApplicable})
		want := fmt.Sprintf("level=WARN msg=\"log lines were left out\" lines=%d\nlevel=INFO msg=\"probe is not applicable to this host\"\n", 20*1000-linesPerMinute)
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("in the next minute (-want +got):\n%s", diff)
		}
	})
}
