package escalation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// watchdogBeat is the longest time between two signals of the watchdog that a
// dead man's switch can be set to without leaving people blind for long.
const watchdogBeat = 5 * time.Minute

// CheckAlertmanager reports every way in which an Alertmanager with this
// configuration would fail to tell people of problems: tiers that reach nobody,
// groups that hide a new episode, routes that forget, and inhibitions that mute
// too much or too little. It reads only what matters here, so that the file may
// be written by anybody and for any version.
func CheckAlertmanager(data []byte) error {
	config, err := parseRemote(data)
	if err != nil {
		return err
	}
	c := checker{config: config, said: map[string]bool{}, receives: map[string]bool{}}
	for _, receiver := range config.Receivers {
		if called, ok := receiver["name"].(string); ok {
			c.receives[called] = len(receiver) > 1
		}
	}
	c.ladders()
	c.companions()
	c.requiredMutes()
	c.forbiddenMutes()
	return errors.Join(c.errs...)
}

type checker struct {
	config   *remoteConfig
	receives map[string]bool // receivers by name, and whether they send anything
	said     map[string]bool
	errs     []error
}

// complain notes a mistake once.
func (c *checker) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !c.said[text] {
		c.said[text] = true
		c.errs = append(c.errs, errors.New(text))
	}
}

type labels = map[string]string

// with returns a copy with other values; an empty value takes a label away.
func with(base labels, pairs ...string) labels {
	out := maps.Clone(base)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(out, pairs[i])
			continue
		}
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// problem returns the labels of a problem as the escalation rules alert on it.
func problem(severity, tier string) labels {
	return labels{
		"alertname": "HygieneCertificateProblem", "job": DefaultJob, "instance": "host1:10981",
		"probe": "certificate", "check": "renewal", "object": "/etc/ssl/a.pem",
		"episode": "aaaaaaaa", "severity": severity, "escalation": tier,
	}
}

func tierNames() []string { return []string{"1", "2", "3"} }

// owners returns those whom the routes name, one that no route names, and none.
func (c *checker) owners() []string {
	found := []string{"", "an-owner-without-a-route"}
	var walk func(*route)
	walk = func(r *route) {
		for _, m := range r.all {
			if m.label == "owner" && m.expr == nil && !m.not {
				found = append(found, m.value)
			}
		}
		for _, child := range r.Routes {
			walk(child)
		}
	}
	walk(c.config.Route)
	slices.Sort(found)
	return slices.Compact(found)
}

// ladders checks that each tier of each owner reaches somebody, always.
func (c *checker) ladders() {
	for _, who := range c.owners() {
		for _, severity := range []string{critical, warning} {
			for _, tier := range tierNames() {
				c.ladder(fmt.Sprintf("tier %s of a %s problem of owner %q", tier, severity, who),
					with(problem(severity, tier), "owner", who))
			}
		}
	}
}

func (c *checker) ladder(what string, alert labels) {
	for _, r := range c.routed(what, alert) {
		if !groupedBy(r, "episode") {
			c.complain("%s: the route to %q does not group by episode, so that a problem that returns is not told again", what, r.Receiver)
		}
		if !groupedBy(r, "escalation") && !groupedBy(r, "alertname") {
			c.complain("%s: the route to %q groups too coarsely", what, r.Receiver)
		}
		if len(r.Mute)+len(r.Active) > 0 {
			c.complain("%s: the route to %q has time intervals and forgets what happens outside of them; the calendar is already in the deadlines", what, r.Receiver)
		}
	}
}

// routed returns the routes of an alert, and complains when nobody gets it.
func (c *checker) routed(what string, alert labels) []*route {
	found := c.config.Route.find(alert)
	reached := false
	for _, r := range found {
		sends, exists := c.receives[r.Receiver]
		if !exists {
			c.complain("%s: there is no receiver %q", what, r.Receiver)
		}
		reached = reached || sends
	}
	if !reached {
		c.complain("%s reaches nobody", what)
	}
	return found
}

func groupedBy(r *route, label string) bool {
	return slices.Contains(r.GroupBy, label) || slices.Contains(r.GroupBy, "...")
}

// companions checks the alerts that are no tier of a problem.
func (c *checker) companions() {
	ack := with(problem(critical, ""), "alertname", "HygieneProblemAcknowledged", "kind", "ack")
	c.routed("the alert for an acknowledged problem", ack)
	c.routed("a mass problem", massProblem("1"))
	for _, tier := range tierNames() {
		c.routed("tier "+tier+" of a host that is down", hostDown(tier))
	}
	watchdog := labels{"alertname": "HygieneWatchdog", "kind": "watchdog", "severity": "none"}
	for _, r := range c.routed("the watchdog", watchdog) {
		beat, err := r.beat()
		if err != nil {
			c.complain("the watchdog: %v", err)
		} else if beat > watchdogBeat {
			c.complain("the watchdog: the route to %q sends only every %s; a dead man's switch needs a signal every %s", r.Receiver, beat, watchdogBeat)
		}
	}
}

func massProblem(tier string) labels {
	mass := with(problem(critical, tier), "alertname", "HygieneMassProblem", "kind", "mass")
	for _, label := range []string{"job", "instance", "object", "episode"} {
		delete(mass, label)
	}
	return mass
}

func hostDown(tier string) labels {
	return labels{
		"alertname": "HygieneHostDown", "job": DefaultJob, "instance": "host1:10981",
		"probe": "agent", "check": "host_down", "severity": critical, "escalation": tier,
	}
}

// muted returns the number of the first rule by which source mutes target, or -1.
func (c *checker) muted(source, target labels) int {
	return slices.IndexFunc(c.config.Inhibit, func(i inhibition) bool { return i.mutes(source, target) })
}

// A pair is a source and a target of an inhibition, and what it means.
type pair struct {
	source, target labels
	means          string
}

func (c *checker) requiredMutes() {
	ack := with(problem(critical, ""), "alertname", "HygieneProblemAcknowledged", "kind", "ack")
	for _, one := range []pair{
		{ack, problem(critical, "1"), "an acknowledgement does not mute tier 1 of its episode"},
		{problem(critical, "1"), with(problem(warning, "1"), "episode", "bbbbbbbb"), "a critical problem does not mute the warning of the same object and check"},
		{massProblem("1"), problem(critical, "1"), "a mass problem does not mute the single problems of its tier"},
		{hostDown("1"), problem(warning, "1"), "a host that is down does not mute its warnings"},
	} {
		if c.muted(one.source, one.target) < 0 {
			c.complain("inhibit_rules: %s", one.means)
		}
	}
}

func (c *checker) forbiddenMutes() {
	ack := with(problem(critical, ""), "alertname", "HygieneProblemAcknowledged", "kind", "ack")
	elsewhere := with(problem(critical, "1"), "instance", "host2:10981", "episode", "cccccccc")
	forbidden := []pair{
		{ack, with(problem(critical, "1"), "episode", "bbbbbbbb"), "an acknowledgement mutes another episode"},
		{ack, elsewhere, "an acknowledgement mutes another host"},
		{problem(critical, "1"), with(problem(warning, "1"), "object", "/etc/ssl/b.pem", "episode", "bbbbbbbb"), "a critical problem mutes the warning of another object"},
		{problem(critical, "1"), elsewhere, "a problem mutes that of another host"},
		{massProblem("1"), with(problem(critical, "1"), "check", "expired"), "a mass problem mutes another check"},
	}
	for _, tier := range tierNames() {
		forbidden = append(forbidden, pair{hostDown("1"), problem(critical, tier), "a host that is down mutes critical problems, also for the Prometheus that reaches it"})
		for _, other := range tierNames() {
			if tier == other {
				continue
			}
			forbidden = append(forbidden,
				pair{problem(critical, tier), problem(critical, other), strings.Join([]string{"tier", tier, "mutes tier", other, "of the same problem, so that somebody is never told"}, " ")},
				pair{massProblem(tier), problem(critical, other), strings.Join([]string{"tier", tier, "of a mass problem mutes tier", other, "of its problems"}, " ")},
			)
		}
	}
	for _, one := range forbidden {
		if n := c.muted(one.source, one.target); n >= 0 {
			c.complain("inhibit_rules[%d]: %s", n, one.means)
		}
	}
}
