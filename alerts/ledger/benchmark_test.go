package ledger_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// crowd returns a ledger with this many open problems, and a round that
// confirms them all.
func crowd(b *testing.B, problems int) (*ledger.Ledger, ledger.Round) {
	b.Helper()
	l, err := ledger.Open(ledger.Options{State: file{filepath.Join(b.TempDir(), "ledger.json")}, Deadlines: ladder(0, time.Hour, 2*time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	round := ledger.Round{
		At:        time.Now(),
		Evaluated: func(ledger.Key) bool { return true },
		Evidence:  func(ledger.Key) (ledger.Evidence, uint64) { return ledger.Observed, 1 },
	}
	for i := range problems {
		round.Findings = append(round.Findings, ledger.Finding{
			Key:   ledger.Key{Probe: "certificate", Check: "expired", Object: "/etc/ssl/private/" + strconv.Itoa(i) + ".pem", Severity: "critical"},
			Owner: "web", Rule: "HygieneCertificateExpired", Summary: "certificate has expired",
		})
	}
	if opened := len(l.Observe(round)); opened != problems {
		b.Fatalf("%d of %d opened", opened, problems)
	}
	return l, round
}

func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, round := crowd(b, n)
			for b.Loop() {
				l.Observe(round)
			}
		})
	}
}

func BenchmarkProblems(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, _ := crowd(b, n)
			for b.Loop() {
				l.Problems()
			}
		})
	}
}

// BenchmarkSave writes without fsync: what the ledger itself costs.
func BenchmarkSave(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, _ := crowd(b, n)
			ack := ledger.Ack{By: "kim", At: time.Now(), Expires: time.Now().Add(time.Hour)}
			for b.Loop() {
				if _, err := l.Ack("certificate/expired//etc/ssl/private/0.pem", ack); err != nil {
					b.Fatal(err)
				}
				if err := l.Save(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
