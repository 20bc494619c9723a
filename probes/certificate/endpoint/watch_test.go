package endpoint_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hygiene_exporter/probes/certificate/endpoint"
)

func TestAWatchInspectsInTheBackground(t *testing.T) {
	p := newPKI(t)
	synctest.Test(t, func(t *testing.T) {
		quick, slow := inMemory(overTLS(p.healthy(t))), inMemory(silent)
		w := endpoint.Watch{Pool: endpoint.Pool{Concurrency: 1, Inspector: endpoint.Inspector{Now: now, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "slow:1" {
				return slow(ctx, network, address)
			}
			return quick(ctx, network, address)
		}}}}
		targets := []endpoint.Target{
			{Name: "slow", Address: "slow:1", Timeout: time.Minute},
			{Name: "quick", Address: "quick:1", ServerName: "server.test", Roots: p.roots},
		}
		expect := func(name string, known bool) {
			t.Helper()
			if _, got := w.Last(name); got != known {
				t.Errorf("%s is known: %v", name, got)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.Wait(ctx) // there is nothing to wait for
		begin := time.Now()
		w.Begin(ctx, targets)
		w.Begin(ctx, targets) // while a round is under way, none begins
		cancel()              // a round does not end with the one who began it
		w.Wait(ctx)
		if time.Since(begin) > 0 {
			t.Errorf("waited %s", time.Since(begin))
		}
		w.Wait(t.Context())
		expect("slow", true)
		expect("quick", true)
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("took %s", took)
		}
		w.Forget(func(name string) bool { return name == "slow" })
		expect("quick", false)
		w.Begin(t.Context(), targets)
		synctest.Wait()
		expect("quick", true) // what was not seen for longest comes first
		w.Wait(t.Context())
	})
}

// What a round has no time for keeps what it had, and comes first in the next.
func TestARoundIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled atomic.Int32
		w := endpoint.Watch{Pool: endpoint.Pool{Concurrency: 1, Inspector: endpoint.Inspector{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialled.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}}}}
		targets := []endpoint.Target{
			{Name: "a", Address: "a:1", Timeout: 10 * time.Minute},
			{Name: "b", Address: "b:1", Timeout: 10 * time.Minute},
			{Name: "c", Address: "c:1", Timeout: 10 * time.Minute},
		}
		w.Begin(t.Context(), targets)
		w.Wait(t.Context())
		if _, known := w.Last("c"); known || dialled.Load() != 2 {
			t.Errorf("c is known: %t after %d", known, dialled.Load())
		}
		w.Begin(t.Context(), targets)
		time.Sleep(time.Minute)
		if _, known := w.Last("c"); known {
			t.Error("c needs no time")
		}
		w.Wait(t.Context())
		if _, known := w.Last("c"); !known {
			t.Error("c never comes")
		}
	})
}

func TestHowAPortLooks(t *testing.T) {
	dial := func(err error) endpoint.Dial {
		return func(ctx context.Context, _, _ string) (net.Conn, error) {
			if err == context.DeadlineExceeded { //nolint:errorlint
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, &net.OpError{Op: "dial", Err: err}
			}
			client, server := net.Pipe()
			server.Close()
			return client, nil
		}
	}
	for _, row := range []struct {
		name   string
		err    error
		want   endpoint.Reach
		closed bool
	}{
		{"somebody accepts", nil, endpoint.ReachOpen, false},
		{"nobody listens", syscall.ECONNREFUSED, endpoint.ReachRefused, true},
		{"nothing answers", context.DeadlineExceeded, endpoint.ReachFiltered, true},
		{"the kernel gives up", syscall.ETIMEDOUT, endpoint.ReachFiltered, true},
		{"a firewall answers", syscall.EHOSTUNREACH, endpoint.ReachFiltered, true},
		{"there is no route, which proves nothing", syscall.ENETUNREACH, endpoint.ReachUnanswered, false},
		{"our own firewall says no, which proves nothing", syscall.EPERM, endpoint.ReachUnanswered, false},
		{"the name does not exist, which proves nothing", &net.DNSError{IsNotFound: true}, endpoint.ReachUnanswered, false},
		{"the resolver does not answer, which proves nothing", &net.DNSError{IsTimeout: true}, endpoint.ReachUnanswered, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := endpoint.Knock(t.Context(), dial(row.err), endpoint.Target{Address: "server.test:1"})
				if got != row.want || got.Closed() != row.closed || (err == nil) != (row.want == endpoint.ReachOpen) {
					t.Errorf("%s, closed %t, %v", got, got.Closed(), err)
				}
			})
		})
	}
}
