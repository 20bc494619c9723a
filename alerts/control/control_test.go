package control_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/control"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
)

// service records what it is asked for.
type service struct{ asked []any }

func (s *service) Problems(context.Context) []monitor.Problem {
	return []monitor.Problem{{Problem: ledger.Problem{Key: ledger.Key{Object: "a"}, Since: time.Unix(1, 0).UTC()}, Action: "renew"}}
}

func (s *service) Ack(_ context.Context, selector string, lasts time.Duration, ack ledger.Ack) ([]monitor.Problem, error) {
	s.asked = append(s.asked, selector, lasts, ack)
	if selector == "none" {
		return nil, ledger.ErrNoProblem
	}
	return []monitor.Problem{{Problem: ledger.Problem{Ack: &ack}}}, nil
}

func (s *service) Unack(_ context.Context, selector, by string, uid uint32) ([]monitor.Problem, error) {
	s.asked = append(s.asked, selector, by, uid)
	return nil, nil
}

func (s *service) Test(_ context.Context, object, severity, owner string, lasts time.Duration) error {
	s.asked = append(s.asked, object, severity, owner, lasts)
	return nil
}

func (s *service) Baseline(context.Context) ([]control.Baseline, error) {
	return []control.Baseline{{Probe: "redundancy", Remembered: probes.Remembered{Object: "mdraid/md0", Expected: 2}}}, nil
}

func (s *service) Accept(_ context.Context, probe string, objects []string) ([]control.Baseline, error) {
	s.asked = append(s.asked, probe, objects)
	return nil, nil
}

func (s *service) Drills(context.Context) ([]drill.Standing, error) {
	return []drill.Standing{{Name: "failover", Kind: "attested"}}, nil
}

func (s *service) RecordDrill(_ context.Context, record drill.Record, uid uint32) (drill.Standing, error) {
	s.asked = append(s.asked, record, uid)
	return drill.Standing{Name: record.Drill}, nil
}

// serve serves a service on a socket and returns a client of it.
func serve(t *testing.T, s control.Service) control.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control.sock")
	listener, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, listener, s, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return control.Client{Path: path}
}

func TestChangesCarryTheUserWhomTheKernelNames(t *testing.T) {
	s := &service{}
	client := serve(t, s)
	uid := uint32(os.Getuid())
	taken, err := client.Ack(t.Context(), control.AckRequest{Selector: "a/b/c", By: "kim", Note: "on it", For: time.Hour})
	if err != nil || len(taken) != 1 || taken[0].Ack.By != "kim" {
		t.Errorf("ack: %+v, %v", taken, err)
	}
	if _, err := client.Unack(t.Context(), control.UnackRequest{Selector: "a/b/c", By: "kim"}); err != nil {
		t.Error(err)
	}
	if err := client.Test(t.Context(), control.TestRequest{Object: "x", Severity: "info", Owner: "web", For: time.Minute}); err != nil {
		t.Error(err)
	}
	if _, err := client.Accept(t.Context(), control.AcceptRequest{Probe: "redundancy", Objects: []string{"mdraid/md0"}}); err != nil {
		t.Error(err)
	}
	if all, err := client.Baseline(t.Context()); err != nil || len(all) != 1 || all[0].Object != "mdraid/md0" || all[0].Expected != 2 {
		t.Errorf("baseline: %+v, %v", all, err)
	}
	if all, err := client.Drills(t.Context()); err != nil || len(all) != 1 || all[0].Name != "failover" {
		t.Errorf("drills: %+v, %v", all, err)
	}
	if s, err := client.RecordDrill(t.Context(), drill.Record{Drill: "failover", By: "kim"}); err != nil || s.Name != "failover" {
		t.Errorf("record: %+v, %v", s, err)
	}
	want := []any{
		"a/b/c", time.Hour,
		ledger.Ack{By: "kim", Note: "on it", UID: uid},
		"a/b/c", "kim", uid,
		"x", "info", "web", time.Minute,
		"redundancy",
		[]string{"mdraid/md0"},
		drill.Record{Drill: "failover", By: "kim"},
		uid,
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("the service was asked (-want +got):\n%s", diff)
	}
}

func TestProblemsArriveWhole(t *testing.T) {
	s := &service{}
	got, err := serve(t, s).Problems(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Problems(t.Context()), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheErrorOfTheServiceIsThatOfTheClient(t *testing.T) {
	_, err := serve(t, &service{}).Ack(t.Context(), control.AckRequest{Selector: "none"})
	if err == nil || err.Error() != ledger.ErrNoProblem.Error() {
		t.Errorf("got %v", err)
	}
}

func TestGarbageIsRefusedAndServingGoesOn(t *testing.T) {
	s := &service{}
	client := serve(t, s)
	for _, garbage := range []string{
		"\x00\x01\x02\n\n",
		"POST /ack HTTP/1.1\r\nHost: agent\r\nContent-Length: 3\r\n\r\n{]}",
		"POST /ack HTTP/1.1\r\nHost: agent\r\nContent-Length: 15\r\n\r\n{\"unknown\": 1} ",
		"POST /ack HTTP/1.1\r\nHost: agent\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat(" ", 200000),
	} {
		var dialer net.Dialer
		conn, err := dialer.DialContext(t.Context(), "unix", client.Path)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.Write([]byte(garbage)) // the server may hang up in the middle
		answer := make([]byte, 4096)
		conn.Read(answer)
		conn.Close()
	}
	if len(s.asked) != 0 {
		t.Errorf("garbage reached the service: %v", s.asked)
	}
	if _, err := client.Problems(t.Context()); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

func TestOnlyOneAgentServesASocketAndALeftoverIsReplaced(t *testing.T) {
	client := serve(t, &service{})
	if _, err := control.Listen(t.Context(), client.Path); err == nil || !strings.Contains(err.Error(), "another agent serves") {
		t.Errorf("a second agent got: %v", err)
	}
	leftover := filepath.Join(filepath.Dir(client.Path), "left.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: leftover, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	listener, err := control.Listen(t.Context(), leftover)
	if err != nil {
		t.Fatalf("over a leftover: %v", err)
	}
	defer listener.Close()
	if info, err := os.Stat(leftover); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v, want 0660", info.Mode(), err)
	}
}

func TestWithoutAnAgentTheErrorSaysWhatToLookAt(t *testing.T) {
	_, err := control.Client{Path: filepath.Join(t.TempDir(), "none.sock")}.Problems(t.Context())
	if err == nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "same --state.dir") {
		t.Errorf("got %v", err)
	}
}
