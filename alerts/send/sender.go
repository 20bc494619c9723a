package send

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"hygiene_exporter/alerts/monitor"
)

// The manner of Prometheus: alerts are sent again each minute, they end by
// themselves when four of these times were missed, and an end is repeated for a
// quarter of an hour.
const (
	resendDelay    = time.Minute
	lifetime       = 4 * resendDelay
	repeatResolved = 15 * time.Minute
	retryDelay     = 5 * time.Second
	pollInterval   = time.Second
	batchSize      = 256
)

// Options is what a sender works on.
type Options struct {
	Config   Config
	From     From
	Problems func(ctx context.Context) []monitor.Problem
	Log      *slog.Logger
}

// A Sender keeps Alertmanagers told. Its methods are safe for concurrent use.
type Sender struct {
	options Options
	client  *http.Client

	mu      sync.Mutex
	alerts  map[string]Alert // by key; those that ended have an end
	targets []*target
}

// A target is one Alertmanager, and what it was told.
type target struct {
	url    string
	told   map[string]Alert // as it was last accepted
	at     map[string]time.Time
	retry  time.Time
	failed error
	since  time.Time // of the failure
	sent   uint64
	errors uint64
}

// New returns a sender that has sent nothing. An error means that a file of the
// configuration cannot be used.
func New(o Options) (*Sender, error) {
	client, err := o.Config.client()
	if err != nil {
		return nil, err
	}
	client.Timeout = time.Duration(o.Config.Timeout)
	s := &Sender{options: o, client: client, alerts: map[string]Alert{}}
	for _, url := range o.Config.URLs {
		s.targets = append(s.targets, &target{url: url, told: map[string]Alert{}, at: map[string]time.Time{}})
	}
	return s, nil
}

// Run sends until ctx is done. What is open then ends by itself, as with a
// Prometheus that stops.
func (s *Sender) Run(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		s.round(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// round looks at the problems and sends what is new, has ended or is due to be
// repeated, to all Alertmanagers at once.
func (s *Sender) round(ctx context.Context, now time.Time) {
	s.look(s.options.Problems(ctx), now)
	var sending sync.WaitGroup
	for _, t := range s.targets {
		if batch := s.due(t, now); len(batch) > 0 {
			sending.Go(func() { s.deliver(ctx, t, batch, now) })
		}
	}
	sending.Wait()
}

// look brings the alerts up to date.
func (s *Sender) look(problems []monitor.Problem, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	firing := map[string]bool{}
	told := func(a Alert) bool { known, ok := s.alerts[a.key()]; return ok && known.EndsAt.IsZero() }
	for _, alert := range s.options.From.Alerts(problems, now, told) {
		key := alert.key()
		firing[key] = true
		if known, ok := s.alerts[key]; ok && known.EndsAt.IsZero() {
			alert.StartsAt = known.StartsAt
		}
		s.alerts[key] = alert
	}
	for key, alert := range s.alerts {
		switch {
		case firing[key]:
		case alert.EndsAt.IsZero():
			alert.EndsAt = now
			s.alerts[key] = alert
		case now.Sub(alert.EndsAt) > repeatResolved:
			delete(s.alerts, key)
			for _, t := range s.targets {
				delete(t.told, key)
				delete(t.at, key)
			}
		}
	}
}

// due returns what an Alertmanager is to be told now.
func (s *Sender) due(t *target, now time.Time) []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(t.retry) {
		return nil
	}
	var batch []Alert
	for _, key := range slices.Sorted(maps.Keys(s.alerts)) {
		alert := s.alerts[key]
		known, told := t.told[key]
		changed := !told || known.EndsAt != alert.EndsAt || !maps.Equal(known.Annotations, alert.Annotations)
		if !told && !alert.EndsAt.IsZero() {
			continue // it never heard of it
		}
		if changed || now.Sub(t.at[key]) >= resendDelay {
			batch = append(batch, alert)
		}
	}
	return batch
}

// deliver sends alerts in parts. A part that is refused does not stop the
// others, and is tried again.
func (s *Sender) deliver(ctx context.Context, t *target, alerts []Alert, now time.Time) {
	var failure error
	for part := range slices.Chunk(alerts, batchSize) {
		err := s.post(ctx, t.url, part, now)
		s.mu.Lock()
		if err == nil {
			t.sent += uint64(len(part))
			for _, alert := range part {
				t.told[alert.key()], t.at[alert.key()] = alert, now
			}
		}
		s.mu.Unlock()
		failure = errors.Join(failure, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case failure == nil && t.failed != nil:
		s.options.Log.Info("alertmanager takes alerts again", "url", t.url)
		t.failed, t.retry = nil, time.Time{}
	case failure != nil:
		if t.failed == nil {
			t.since = now
			s.options.Log.Error("alertmanager does not take alerts; they are sent again", "url", t.url, "err", failure)
		}
		t.failed, t.retry = failure, now.Add(retryDelay)
		t.errors++
	}
}

// maxAnswer bounds what is read of the answer of an Alertmanager.
const maxAnswer = 1024

func (s *Sender) post(ctx context.Context, address string, alerts []Alert, now time.Time) error {
	sent := slices.Clone(alerts)
	for i := range sent {
		if sent[i].EndsAt.IsZero() {
			sent[i].EndsAt = now.Add(lifetime)
		}
	}
	body, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(address), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // only for the message
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %.200q", answer.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// A Status is how it goes with one Alertmanager.
type Status struct {
	URL          string
	Sent, Errors uint64
	Failed       error // why it does not take alerts now; nil if it does
	Since        time.Time
}

// Status returns how it goes with each Alertmanager.
func (s *Sender) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, 0, len(s.targets))
	for _, t := range s.targets {
		all = append(all, Status{URL: t.url, Sent: t.sent, Errors: t.errors, Failed: t.failed, Since: t.since})
	}
	return all
}
