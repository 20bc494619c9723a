package web

import (
	"math"
	"net/http"
	"sort"
	"strings"
	"time"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// A report is what one probe knows, as the API returns it.
type report struct {
	Probe   string  `json:"probe"`
	Outcome string  `json:"outcome"`
	Facts   []fact  `json:"facts"`
	Faults  []fault `json:"faults"`
}

type fact struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  any               `json:"value"` // a number; a string where JSON has no number for it
}

type fault struct {
	Object string    `json:"object"`
	Reason string    `json:"reason"`
	Error  string    `json:"error"`
	Since  time.Time `json:"since"`
}

// apiFacts returns all facts, beyond the series budget of /metrics too, or
// those of one probe and of one object.
func (o Options) apiFacts(w http.ResponseWriter, r *http.Request) {
	snapshot := o.Snapshot()
	probe, object := r.URL.Query().Get("probe"), r.URL.Query().Get("object")
	reports := []report{}
	for _, name := range probeNames(snapshot) {
		if probe == "" || probe == name {
			reports = append(reports, describe(snapshot.Reports[name], object))
		}
	}
	if probe != "" && len(reports) == 0 {
		plain(w, http.StatusNotFound, "there is no probe of this name; there are "+strings.Join(probeNames(snapshot), ", "))
		return
	}
	writeJSON(w, map[string]any{"host": o.Host, "at": snapshot.At, "probes": reports})
}

func describe(from *collector.Report, object string) report {
	to := report{Probe: from.Probe, Outcome: from.Outcome.String(), Facts: []fact{}, Faults: []fault{}}
	for _, sample := range from.Samples {
		if object != "" && sample.Object() != object {
			continue
		}
		labels := map[string]string{}
		for i, name := range sample.Metric.Labels {
			labels[name] = sample.Labels[i]
		}
		to.Facts = append(to.Facts, fact{Name: sample.Metric.Name, Labels: labels, Value: number(sample.Value)})
	}
	for _, f := range from.Faults {
		if object == "" || f.Object == object {
			to.Faults = append(to.Faults, fault{Object: f.Object, Reason: string(f.Reason), Error: f.Err.Error(), Since: f.Since})
		}
	}
	return to
}

func number(value float64) any {
	switch {
	case math.IsInf(value, 1):
		return "+Inf"
	case math.IsInf(value, -1):
		return "-Inf"
	}
	return value
}

// probeNames lists the probes of a snapshot, the agent itself last.
func probeNames(s *collector.Snapshot) []string {
	var names []string
	for name := range s.Reports {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if agent := names[i] == collector.AgentProbe; agent != (names[j] == collector.AgentProbe) {
			return !agent
		}
		return names[i] < names[j]
	})
	return names
}

// A deadline is an instant ahead at which something about an object is due.
type deadline struct {
	At     time.Time
	Probe  string
	Object string
	What   string // such as "renewal overdue"
	Help   string
}

// deadlines returns the next instants, at most limit, the earliest first, one
// for each object: what is due next is what there is to do.
func deadlines(s *collector.Snapshot, now time.Time, limit int) []deadline {
	earliest := map[[2]string]deadline{}
	for _, name := range probeNames(s) {
		for _, sample := range s.Reports[name].Samples {
			what, ok := deadlineName(name, sample.Metric)
			at := time.UnixMilli(int64(sample.Value * 1000))
			key := [2]string{name, sample.Object()}
			if known, seen := earliest[key]; !ok || !at.After(now) || seen && !at.Before(known.At) {
				continue
			}
			earliest[key] = deadline{At: at, Probe: name, Object: sample.Object(), What: what, Help: sample.Metric.Help}
		}
	}
	var list []deadline
	for _, d := range earliest {
		list = append(list, d)
	}
	sort.Slice(list, func(i, j int) bool {
		if !list[i].At.Equal(list[j].At) {
			return list[i].At.Before(list[j].At)
		}
		return list[i].Object < list[j].Object
	})
	return list[:min(limit, len(list))]
}

// deadlineName tells a deadline from other instants by the naming rules of the
// metric contract, and puts it into words.
func deadlineName(probe string, m *probes.Metric) (string, bool) {
	if probe == collector.AgentProbe {
		return "", false
	}
	name, ok := strings.CutSuffix(m.Name, "_timestamp_seconds")
	name = strings.TrimPrefix(name, "hygiene_"+probe+"_")
	for _, suffix := range []string{"due", "overdue", "critical", "deadline", "expiry", "not_after", "next_update"} {
		if ok && (name == suffix || strings.HasSuffix(name, "_"+suffix)) {
			if suffix == "not_after" {
				return "expires", true
			}
			return strings.ReplaceAll(name, "_", " "), true
		}
	}
	return "", false
}
