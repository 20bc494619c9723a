package probes

// A Kind is the type under which a metric is exposed.
type Kind uint8

// The kinds of metric that a probe may declare.
const (
	Gauge Kind = iota
	Counter
)

// The labels with a meaning of their own.
const (
	LabelObject = "object" // stable identity, unique in its probe
	LabelMember = "member" // one part of an object
	LabelOwner  = "owner"  // from the configuration; dropped when empty
)

// ReservedLabels are those of problems and of scraping; no fact may use them,
// because a fact that carries one breaks the rule that sets it.
func ReservedLabels() []string {
	return []string{"probe", "check", "severity", "episode", "escalation", "instance", "job"}
}

// A Metric declares one family. Everything that a probe may emit is declared.
type Metric struct {
	Name   string   // hygiene_<probe>_<noun>_<base unit>
	Help   string   // one sentence with a full stop, naming the source
	Kind   Kind     //
	Labels []string // in the order in which Result.Add takes their values

	// Values lists the closed sets of label values, by label. A sample with
	// another value is refused; rules and dashboards are checked against them.
	Values map[string][]string
}

// A Sample is one value of a declared metric.
type Sample struct {
	Metric *Metric
	Value  float64
	Labels []string // values, in the order of Metric.Labels
}

// Label returns the value of the named label, empty when the metric has none.
func (s Sample) Label(name string) string {
	for i, label := range s.Metric.Labels {
		if label == name && i < len(s.Labels) {
			return s.Labels[i]
		}
	}
	return ""
}

// Object returns the object that the sample speaks of: the value of the label
// "object", or HostObject when its metric has no such label.
func (s Sample) Object() string {
	if object := s.Label(LabelObject); object != "" {
		return object
	}
	return HostObject
}
