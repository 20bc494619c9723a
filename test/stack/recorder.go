package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Page is one alert of one notification, as a receiver gets it.
type Page struct {
	At          time.Time
	Receiver    string
	Status      string // firing or resolved
	Labels      map[string]string
	Annotations map[string]string
}

// String prints the page on one line.
func (p Page) String() string {
	what := p.Labels["alertname"]
	if tier := p.Labels["escalation"]; tier != "" {
		what += " tier " + tier
	}
	return fmt.Sprintf("%s %s %s to %s (episode %s)", p.At.Format("15:04:05.0"), what, p.Status, p.Receiver, p.Labels["episode"])
}

// A Match selects pages. An empty field matches all.
type Match struct{ Alert, Tier, Status, Episode, Receiver, Severity, Object string }

// Takes reports whether the page is one of those selected.
func (m Match) Takes(p Page) bool {
	for _, pair := range [][2]string{
		{m.Alert, p.Labels["alertname"]},
		{m.Tier, p.Labels["escalation"]},
		{m.Status, p.Status},
		{m.Episode, p.Labels["episode"]},
		{m.Receiver, p.Receiver},
		{m.Severity, p.Labels["severity"]},
		{m.Object, p.Labels["object"]},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}

// A Recorder is the webhook receiver of all pages. It is safe for concurrent use.
type Recorder struct {
	server *httptest.Server

	mu     sync.Mutex
	pages  []Page
	beats  int
	change chan struct{} // closed and replaced at each page
	print  func(Page)
}

// NewRecorder starts a receiver; print, when there is one, sees each page.
func NewRecorder(print func(Page)) *Recorder {
	r := &Recorder{change: make(chan struct{}), print: print}
	r.server = httptest.NewServer(r)
	return r
}

// URL is the webhook address of a receiver.
func (r *Recorder) URL() string { return r.server.URL }

// Close ends the receiver.
func (r *Recorder) Close() { r.server.Close() }

// ServeHTTP takes a notification of Alertmanager.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var payload struct {
		Receiver string
		Alerts   []Page
	}
	if err := json.NewDecoder(request.Body).Decode(&payload); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, page := range payload.Alerts {
		page.At, page.Receiver = time.Now(), payload.Receiver
		if page.Labels["kind"] == "watchdog" {
			r.beats++
			continue
		}
		r.pages = append(r.pages, page)
		if r.print != nil {
			r.print(page)
		}
	}
	close(r.change)
	r.change = make(chan struct{})
}

// Pages returns all pages so far that match.
func (r *Recorder) Pages(m Match) []Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.pages), func(p Page) bool { return !m.Takes(p) })
}

// Beats returns how often the watchdog was heard.
func (r *Recorder) Beats() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.beats
}

// Wait returns the first page that matches, now or later.
func (r *Recorder) Wait(ctx context.Context, m Match) (Page, error) {
	for {
		r.mu.Lock()
		change := r.change
		r.mu.Unlock()
		if found := r.Pages(m); len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return Page{}, fmt.Errorf("no page %+v: %w; there were\n%s", m, ctx.Err(), r)
		}
	}
}

// String lists all pages.
func (r *Recorder) String() string {
	var lines []string
	for _, page := range r.Pages(Match{}) {
		lines = append(lines, page.String())
	}
	return strings.Join(lines, "\n")
}
