package web

import (
	"net/http"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// historyPage is what the template of the history shows.
type historyPage struct {
	Host string
	Now  time.Time
	Past []pastRow
}

type pastRow struct {
	ledger.Past
	Lasted time.Duration
}

func (o Options) history(w http.ResponseWriter, _ *http.Request) {
	p := historyPage{Host: o.Host, Now: o.Now()}
	for _, past := range o.History() {
		p.Past = append(p.Past, pastRow{past, past.Closed.Sub(past.Since)})
	}
	render(w, "history.html", p.Now, p)
}

func (o Options) apiHistory(w http.ResponseWriter, _ *http.Request) {
	past := o.History()
	if past == nil {
		past = []ledger.Past{}
	}
	writeJSON(w, map[string]any{"host": o.Host, "problems": past})
}
