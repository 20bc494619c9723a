package port

import (
	"errors"
	"fmt"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
)

// missing is the violation of a rule that demands a listener.
const missing = "missing"

// requirements looks for what must be there.
func (r *run) requirements(objects []*object) {
	for i, rule := range r.config.Policy {
		if rule.Expect != required || rule.expired(r.now) {
			continue
		}
		name := rule.object()
		found, hidden := r.satisfied(i, objects)
		if o := r.objects[name]; r.seen[name] && (o == nil || o.verdict.rule != i) {
			name = rule.numbered(i) // another listener or rule has the name already
		}
		switch {
		case found && r.seen[name]: // the listener has facts of its own
		case found:
			r.note(name, detail{Protocol: listeners.Protocol(rule.Protocol), Required: true}, true)
			r.result.Observe(name)
		case hidden != nil:
			r.result.Fault(name, hidden)
		default:
			d := detail{Policy: missing, Protocol: listeners.Protocol(rule.Protocol), Required: true}
			if r.note(name, d, true) {
				object, _ := r.memory.Object(name)
				r.result.Add(requiredMissing, float64(object.Detail.Since), name, rule.Owner)
			}
		}
		r.seen[name] = true
	}
}

// numbered returns the name of a rule that shares its own with another one.
func (r Rule) numbered(i int) string { return fmt.Sprintf("%s#%d", r.object(), i) }

// satisfied reports whether a listener fits a rule, or why that cannot be told.
func (r *run) satisfied(i int, objects []*object) (found bool, hidden error) {
	rule := r.config.Policy[i]
	for _, o := range objects {
		switch fits, what, pending := rule.fits(o); fits {
		case yes:
			return true, nil
		case unknown:
			hidden = undecided(verdict{rule: i, unknown: what, pending: pending})
		}
	}
	for at, err := range r.scan.failed {
		if string(at.protocol) == rule.Protocol && rule.fitsNamespace(at.namespace) && hidden == nil {
			hidden = err
			if err == nil {
				hidden = probes.Because(probes.PermissionDenied, errors.New("the namespace could not be inspected"))
			}
		}
	}
	return false, hidden
}
