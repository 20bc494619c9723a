package virtual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// retention is that of Alertmanager.
const retention = 120 * time.Hour

// peerTimeout is how long each member of a cluster waits for those before it.
const peerTimeout = 15 * time.Second

// An Alertmanager is a member of a cluster.
type Alertmanager struct {
	position int
	config   *config.Config
	told     func(Notice)
	peers    func(*Alertmanager, func(*Alertmanager)) // calls for each other member that is up

	starts   int
	log      *nflog.Log // nil while it is down
	disk     disk
	alerts   *mem.Alerts
	silences *silence.Silences
	stop     func()
}

// disk is what a member finds again when it starts.
type disk struct{ log, silences []byte }

// A Notice is one alert of one notification.
type Notice struct {
	At       time.Time
	Receiver string
	Resolved bool
	Labels   model.LabelSet
}

// A Cluster is several Alertmanagers that tell each other what they sent.
type Cluster struct {
	Members []*Alertmanager
	// Network says when alerts that are sent to a member reach it, which may be
	// several times; nil: once, and soon.
	Network func() []time.Duration

	mu      sync.Mutex
	notices []Notice
}

// NewCluster starts n members with the same configuration.
func NewCluster(text []byte, n int) (*Cluster, error) {
	c := &Cluster{}
	for i := range n {
		parsed, err := config.Load(string(text))
		if err != nil {
			return nil, err
		}
		c.Members = append(c.Members, &Alertmanager{position: i, config: parsed, told: c.tell, peers: c.others})
	}
	for _, m := range c.Members {
		if err := m.Start(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Cluster) tell(n Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notices = append(c.notices, n)
}

// Notices returns everything that receivers were told.
func (c *Cluster) Notices() []Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notices
}

func (c *Cluster) others(self *Alertmanager, do func(*Alertmanager)) {
	for _, m := range c.Members {
		if m != self && m.log != nil {
			do(m)
		}
	}
}

// Send gives alerts to all members, as Prometheus does. Each gets them a little
// later than the one before: no two programs do anything at the same instant.
func (c *Cluster) Send(alerts ...*notifier.Alert) {
	for _, m := range c.Members {
		delays := []time.Duration{0}
		if c.Network != nil {
			delays = c.Network()
		}
		for _, delay := range delays {
			time.AfterFunc(delay+time.Duration(1+m.position)*latency, func() {
				if m.log != nil {
					m.take(alerts)
				}
			})
		}
	}
}

// Silence makes a silence with a member that is up, as a person does.
func (c *Cluster) Silence(matching model.LabelSet, lasts time.Duration) error {
	set := &silencepb.MatcherSet{}
	for name, v := range matching {
		set.Matchers = append(set.Matchers, &silencepb.Matcher{Name: string(name), Pattern: string(v)})
	}
	now := time.Now()
	for _, m := range c.Members {
		if m.log == nil {
			continue
		}
		return m.silences.Set(context.Background(), &silencepb.Silence{
			MatcherSets: []*silencepb.MatcherSet{set}, CreatedBy: "kim",
			StartsAt: timestamppb.New(now), EndsAt: timestamppb.New(now.Add(lasts)),
		})
	}
	return errors.New("no Alertmanager is up")
}

// latency is that of the network between the programs.
const latency = 37 * time.Millisecond

// Close ends all members.
func (c *Cluster) Close() {
	for _, m := range c.Members {
		m.Kill()
	}
}

// take is what the interface of Alertmanager does with alerts that are posted.
func (a *Alertmanager) take(posted []*notifier.Alert) {
	now := time.Now()
	var all []*alert.Alert
	for _, p := range posted {
		one := &alert.Alert{UpdatedAt: now, Alert: model.Alert{
			Labels: labelSet(p.Labels), Annotations: labelSet(p.Annotations), StartsAt: p.StartsAt, EndsAt: p.EndsAt,
		}}
		if one.StartsAt.IsZero() {
			one.StartsAt = now
		}
		all = append(all, one)
	}
	if err := a.alerts.Put(context.Background(), all...); err != nil {
		panic(err) // the provider takes every alert that is valid
	}
}

func labelSet(l labels.Labels) model.LabelSet {
	set := model.LabelSet{}
	l.Range(func(l labels.Label) { set[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return set
}

// Start starts a member. It remembers what it sent, and no alert.
func (a *Alertmanager) Start() (err error) {
	registry := prometheus.NewRegistry()
	recorder := eventrecorder.NopRecorder()
	options := nflog.Options{Retention: retention, Logger: quiet(), Metrics: registry}
	silences := silence.Options{Retention: retention, Logger: quiet(), Metrics: registry}
	if a.disk.log != nil {
		options.SnapshotReader = bytes.NewReader(a.disk.log)
		silences.SnapshotReader = bytes.NewReader(a.disk.silences)
	}
	log, err := nflog.New(options)
	if err != nil {
		return err
	}
	if a.silences, err = silence.New(silences); err != nil {
		return err
	}
	meet(a, log, func(other *Alertmanager) shared { return other.log })
	meet(a, a.silences, func(other *Alertmanager) shared { return other.silences })
	tmpl, err := template.New()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	if a.alerts, err = mem.NewAlerts(ctx, 30*time.Minute, 0, nil, quiet(), recorder, registry, featurecontrol.NoopFlags{}); err != nil {
		cancel()
		return err
	}
	wait := func() time.Duration { return time.Duration(a.position) * peerTimeout }
	groups := marker.NewGroupMarker()
	inhibitor := inhibit.NewInhibitor(a.alerts, a.config.InhibitRules, quiet(), recorder)
	pipeline := notify.NewPipelineBuilder(registry, featurecontrol.NoopFlags{}, recorder).New(
		a.receivers(), wait, inhibitor, silence.NewSilencer(a.silences, quiet(), recorder),
		timeinterval.NewIntervener(nil), groups, log, nil)
	dispatcher := dispatch.NewDispatcher(a.alerts, dispatch.NewRoute(a.config.Route, nil), pipeline, groups,
		func(d time.Duration) time.Duration { return max(d, notify.MinTimeout) + wait() }, 30*time.Second, nil, quiet(), recorder,
		dispatch.NewDispatcherMetrics(false, registry, featurecontrol.NoopFlags{}), tmpl)
	go inhibitor.Run()
	inhibitor.WaitForLoading()
	// --dispatch.start-delay, as its documentation recommends
	go dispatcher.Run(time.Now().Add(time.Minute + time.Duration(a.starts)*latency/3))
	a.starts++
	dispatcher.WaitForLoading()
	a.log = log
	a.stop = func() {
		dispatcher.Stop()
		inhibitor.Stop()
		a.alerts.Close()
		cancel()
	}
	return nil
}

// shared is what all members of a cluster know.
type shared interface {
	MarshalBinary() ([]byte, error)
	Merge(b []byte) error
	SetBroadcast(f func([]byte))
}

// meet joins what a member knows with what the others do: with all of it now, and
// with each change soon. What cannot be merged is sent twice, as Alertmanager
// promises.
func meet(a *Alertmanager, own shared, of func(*Alertmanager) shared) {
	a.peers(a, func(other *Alertmanager) {
		if state, err := of(other).MarshalBinary(); err == nil {
			_ = own.Merge(state)
		}
	})
	own.SetBroadcast(func(b []byte) {
		b = bytes.Clone(b)
		a.peers(a, func(other *Alertmanager) {
			peer := of(other) // gossip does not wait, and what changed is locked now
			time.AfterFunc(latency, func() { _ = peer.Merge(b) })
		})
	})
}

// Kill ends a member at once. What it logged is on disk.
func (a *Alertmanager) Kill() {
	if a.log == nil {
		return
	}
	a.stop()
	a.disk = disk{log: snapshot(a.log), silences: snapshot(a.silences)}
	a.log = nil
}

func snapshot(of interface {
	Snapshot(io.Writer) (int64, error)
}) []byte {
	var b bytes.Buffer
	if _, err := of.Snapshot(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// receivers are all of the configuration, each of which only remembers.
func (a *Alertmanager) receivers() map[string][]notify.Integration {
	all := map[string][]notify.Integration{}
	for _, r := range a.config.Receivers {
		resolved := sends(len(r.WebhookConfigs) == 0 || r.WebhookConfigs[0].SendResolved())
		all[r.Name] = []notify.Integration{notify.NewIntegration(receiver{r.Name, a.told}, resolved, "webhook", 0, r.Name)}
	}
	return all
}

type sends bool

func (s sends) SendResolved() bool { return bool(s) }

type receiver struct {
	name string
	told func(Notice)
}

func (r receiver) Notify(_ context.Context, alerts ...*alert.Alert) (bool, error) {
	now := time.Now()
	for _, a := range alerts {
		r.told(Notice{At: now, Receiver: r.name, Resolved: a.Resolved(), Labels: a.Labels})
	}
	return false, nil
}

// String prints a notice on one line.
func (n Notice) String() string {
	status := "firing"
	if n.Resolved {
		status = "resolved"
	}
	return fmt.Sprintf("%s %s: %s %s tier %s, episode %s", n.At.Format("15:04:05"), n.Receiver, n.Labels["alertname"], status, n.Labels["escalation"], n.Labels["episode"])
}
