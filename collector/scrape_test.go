package collector

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"

	"hygiene_exporter/probes"
)

func TestScrapeDoesNotWaitForAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		stuck := &script{run: func(context.Context) (probes.Result, error) { <-release; return probes.Result{}, nil }}
		c := start(t, Options{}, testEntry("stuck", stuck), testEntry("other", sees("other", "a")))
		h := c.Handler()
		for range 100 {
			pass(17 * time.Second)
			begin := time.Now()
			body := bodyOf(t, scrape(h, http.MethodGet))
			if took := time.Since(begin); took != 0 {
				t.Fatalf("the scrape waited %s", took)
			}
			if !strings.Contains(body, fmt.Sprintf("hygiene_agent_time_seconds %s\n", strconv.FormatFloat(probes.Seconds(begin), 'g', -1, 64))) {
				t.Fatal("the clock is not that of the scrape")
			}
			if !strings.Contains(body, "hygiene_other_newest_timestamp_seconds{") {
				t.Fatal("the other probe has no facts")
			}
		}
	})
}

func TestNewFactsAreEncodedBeforeAScrapeAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value := 0.0
		moving := &script{run: func(context.Context) (probes.Result, error) {
			var r probes.Result
			value++
			r.Add(newest, value, "a", "")
			return r, nil
		}}
		c := start(t, Options{}, testEntry("test", moving))
		ready := func() bool {
			s := c.published.Load().exposed["test"].segment
			return s.bodies[expfmt.NegotiateAccept(http.Header{"Accept": {acceptText}}, accepted()...)] != nil
		}
		pass(90 * time.Second)
		if ready() {
			t.Error("facts are encoded that nobody asked for")
		}
		scrape(c.Handler(), http.MethodGet, "Accept", acceptText, "Accept-Encoding", "gzip")
		pass(time.Minute)
		if !ready() {
			t.Error("the next facts are not ready for the one who scrapes")
		}
		pass(10 * time.Minute)
		if ready() {
			t.Error("facts are encoded for somebody who went away")
		}
	})
}

func TestConcurrentScrapesWhileEverythingMoves(t *testing.T) {
	version := uint64(1)
	moving := &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		now := float64(time.Now().UnixNano())
		for i := range 200 {
			r.Add(newest, now, fmt.Sprintf("object%03d", i), "")
		}
		return r, nil
	}}
	entries := []Entry{testEntry("test", moving), testEntry("other", sees("other", "a"))}
	c := New(Options{Log: slog.New(slog.DiscardHandler), SeriesLimit: 150})
	c.Replace(entries)
	h := c.Handler(problems(&version))
	var scrapes, runs sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	runs.Go(func() { c.Run(ctx) })
	runs.Go(func() {
		for ctx.Err() == nil {
			c.RunOnce(ctx)
			c.Replace(entries)
		}
	})
	for i := range 4 {
		scrapes.Go(func() {
			for range 50 {
				accept := []string{acceptText, acceptOpenMetrics, acceptProtobuf}[i%3]
				response := scrape(h, http.MethodGet, "Accept", accept, "Accept-Encoding", "gzip")
				parse(t, response.Header, bodyOf(t, response))
				_, _ = c.Snapshot().Evidence("test", "object001")
			}
		})
	}
	scrapes.Wait()
	cancel()
	runs.Wait()
}

func TestManySeries(t *testing.T) {
	c := manySeries(t, 80_000)
	body := bodyOf(t, scrape(c.Handler(), http.MethodGet, "Accept-Encoding", "gzip"))
	if got := strings.Count(body, "\nhygiene_test_newest_timestamp_seconds{"); got != 80_000 {
		t.Errorf("%d series are shown", got)
	}
	limited := manySeries(t, 80_000)
	limited.options.SeriesLimit = 1000
	limited.Replace([]Entry{testEntry("test", sees("test", "new"))})
	if got := len(limited.published.Load().exposed["test"].samples); got != 1000 {
		t.Errorf("of 80,000 series %d are shown, want 1,000", got)
	}
	if body := bodyOf(t, scrape(limited.Handler(), http.MethodGet)); !strings.Contains(body, "\nhygiene_series_truncated{name=\"test\"} 1\n") {
		t.Error("it is not said that series are left out")
	}
}

// manySeries returns a collector that knows and shows so many series.
func manySeries(t testing.TB, n int) *Collector {
	t.Helper()
	probe := &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		for i := range n {
			r.Add(newest, 1.7e9+float64(i), fmt.Sprintf("/etc/ssl/private/service-%06d.example.org/fullchain.pem", i), "platform")
		}
		return r, nil
	}}
	c := New(Options{Log: slog.New(slog.DiscardHandler), SeriesLimit: n})
	c.Replace([]Entry{testEntry("test", probe)})
	c.RunOnce(t.Context())
	return c
}
