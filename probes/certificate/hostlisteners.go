package certificate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/internal/listeners"
)

// The states of listeners besides those of what is served.
const (
	unreachable = "unreachable" // it cannot be asked
	noTLS       = "no_tls"      // it answers, and not with TLS
	skipped     = "skipped"     // its port is not one that is inspected
)

// ownServers is what a probe knows of the listeners of its host.
type ownServers struct {
	config *Config
	source *listeners.Source
	watch  endpoint.Watch
}

func newOwnServers(c *Config, host probes.Host) *ownServers {
	return &ownServers{config: c, source: listeners.New(host.Files, host.Netlink), watch: endpoint.Watch{Pool: endpoint.Pool{
		Inspector:   endpoint.Inspector{Dial: host.Dial},
		Concurrency: 4,
		Spacing:     10 * time.Millisecond,
	}}}
}

// listenersObject is the object of finding listeners at all.
const listenersObject = "listeners"

// listeners finds the TLS listeners of the host, and compares what they serve
// with the files.
func (s *scan) listeners(ctx context.Context) {
	if !s.config.Listeners.Enabled {
		return
	}
	view := s.own.source.Own()
	defer view.Close()
	found, err := view.List(ctx, listeners.TCP)
	remembered := s.rememberedListeners(listenerPrefix)
	switch {
	case err == nil, errors.Is(err, listeners.ErrAbsent):
	case errors.Is(err, fs.ErrNotExist) && len(remembered) == 0:
		return // a file system that does not run has no listeners
	default:
		s.fault(listenersObject, err)
		for _, object := range remembered {
			known, _ := s.memory.Object(object)
			s.recallListener(object, known.Detail, fmt.Errorf("nobody knows whether it is still there: %w", err))
		}
		return
	}
	s.result.Observe(listenersObject)
	timeout := min(time.Duration(s.config.Handshakes.Timeout), 5*time.Second)
	chosen, others := s.config.Listeners.choose(found, timeout)
	d := s.inventory.disk()
	s.inspect(ctx, chosen, d)
	counts := map[string]int{skipped: others}
	keep := map[string]bool{}
	for _, l := range chosen {
		counts[s.listener(l, d)]++
		keep[l.object()] = true
		for _, name := range d.names {
			keep[l.named(name).Name] = true
		}
	}
	s.own.watch.Forget(func(name string) bool { return keep[name] })
	for _, state := range listenerCounts.Values["state"] {
		s.result.Add(listenerCounts, float64(counts[state]), state)
	}
}

// inspect inspects the listeners whose time has come: first without a name, and
// those that speak TLS for each name that the files know.
func (s *scan) inspect(ctx context.Context, chosen []listener, d disk) {
	var targets []endpoint.Target
	for _, l := range chosen {
		if s.dueListener(l.object(), d) {
			targets = append(targets, l.target)
		}
	}
	s.own.watch.Begin(ctx, targets)
	s.wait(ctx, &s.own.watch)
	targets = nil
	for _, l := range chosen {
		last, known := s.own.watch.Last(l.object())
		if !known || leafOf(last) == nil && !strings.HasPrefix(l.target.StartTLS, "xmpp") {
			continue
		}
		for _, name := range d.names {
			if t := l.named(name); s.dueListener(t.Name, d) {
				targets = append(targets, t)
			}
		}
	}
	s.own.watch.Begin(ctx, targets)
	s.wait(ctx, &s.own.watch)
}

// named is the target of a listener that is asked for a name.
func (l listener) named(name string) endpoint.Target {
	t := l.target
	t.Name, t.ServerName = t.Name+"/"+name, name
	return t
}

// dueListener reports whether a listener must be inspected: when its time has
// come, or when it seems to serve what was replaced.
func (s *scan) dueListener(object string, d disk) bool {
	last, known := s.own.watch.Last(object)
	if !known || s.now.Sub(last.At) >= time.Duration(s.config.Listeners.Interval)-time.Duration(s.config.Interval)/2 {
		return true
	}
	if c := leafOf(last); c != nil {
		state, _ := d.judge(c.Certificate)
		return state == outdated
	}
	remembered, known := s.memory.Object(object)
	return known && remembered.Removed.IsZero() // it served TLS before
}

// listener adds the facts of one listener, and returns its state.
func (s *scan) listener(l listener, d disk) string {
	state := s.serves(l, "", d)
	if state == unreachable {
		// What it served for names is as little known as the rest.
		for _, object := range s.rememberedListeners(l.object() + "/") {
			remembered, _ := s.memory.Object(object)
			s.recallListener(object, remembered.Detail, errAsWhole)
		}
		return state
	}
	own := leafOf(s.lastOf(l.object()))
	for _, name := range d.names {
		object := l.named(name).Name
		c := leafOf(s.lastOf(object))
		switch {
		case c == nil && !s.knows(object):
			// It does not answer to this name, or was not asked yet.
		case c != nil && (!carries(c, name) || own != nil && own.Fingerprint == c.Fingerprint):
			// It shows what it shows everybody.
		default:
			state = worse(state, s.serves(l, name, d))
		}
	}
	return state
}

var errAsWhole = probes.Because(probes.Unavailable, errors.New("the listener cannot be asked"))

func (s *scan) lastOf(object string) endpoint.Sighting {
	last, _ := s.own.watch.Last(object)
	return last
}

// rememberedListeners lists the listeners that are remembered, by the beginning
// of their objects.
func (s *scan) rememberedListeners(prefix string) (objects []string) {
	for _, object := range s.memory.Present() {
		if strings.HasPrefix(object, prefix) {
			objects = append(objects, object)
		}
	}
	return objects
}

// worse returns the state that says more of a listener.
func worse(a, b string) string {
	for _, state := range []string{string(outdated), unreachable, string(unmonitored), string(matched)} {
		if a == state || b == state {
			return state
		}
	}
	return a
}

// serves adds the facts of what a listener serves for a name, or for none.
func (s *scan) serves(l listener, name string, d disk) string {
	object := l.object()
	if name != "" {
		object = l.named(name).Name
	}
	remembered, known := s.memory.Object(object)
	known = known && remembered.Removed.IsZero()
	last, inspected := s.own.watch.Last(object)
	c := leafOf(last)
	if !inspected || c == nil {
		err := errNotInspected
		if inspected {
			err = failureOf(last.Target, &last.Servers[0])
		}
		if known {
			s.recallListener(object, remembered.Detail, err)
			return unreachable
		}
		s.seen[object] = true
		if inspected && answered(last.Servers[0].Failure) {
			return noTLS
		}
		return unreachable
	}
	s.seen[object] = true
	state, file := d.judge(c.Certificate)
	at := place{}
	switch state {
	case matched:
		s.result.Add(servedOutdated, 0, file.part.object, l.label(name), file.part.policy.owner)
	case outdated:
		s.result.Add(servedOutdated, 1, file.part.object, l.label(name), file.part.policy.owner)
		at.Outdated = file.part.object
	}
	if state != matched {
		at.Shown = s.showListener(object, last)
	}
	unmonitoredNow := 0.0
	if state == unmonitored {
		unmonitoredNow = 1
	}
	s.result.Add(listenerUnmonitored, unmonitoredNow, object, "")
	s.memory.Saw(object, at, s.now)
	return string(state)
}

// label is the value of the label listener.
func (l listener) label(name string) string {
	if name == "" {
		return l.name
	}
	return l.name + "/" + name
}

// answered reports whether a server was there and spoke something else.
func answered(f *endpoint.Failure) bool {
	return f != nil && f.Stage != endpoint.Connect && f.Stage != endpoint.DNS && f.Reason != probes.Timeout
}

// showListener adds the dates of what is served and in no file.
func (s *scan) showListener(object string, last endpoint.Sighting) string {
	e := Endpoint{Client: Client{DatesOnly: true}}
	now := e.describe(object, last.Report)
	s.result.Samples = append(s.result.Samples, now.Samples...)
	s.sum.join(now.verdicts)
	return now.dates.String()
}

// recallListener adds what is remembered of a listener that cannot be asked.
func (s *scan) recallListener(object string, remembered place, err error) {
	s.fault(object, err)
	(&Endpoint{}).recall(&s.result, object, parseDates(remembered.Shown))
	if file := remembered.Outdated; file != "" {
		s.result.Add(servedOutdated, 1, file, strings.TrimPrefix(object, listenerPrefix), s.sourceOf(file).Owner)
	}
}
