package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"hygiene_exporter/alerts/escalation"
)

// Interval is that of scrapes and of evaluations.
const Interval = 30 * time.Second

// Targets are what agents expose, by the address that is scraped. One that does
// not answer is nil.
type Targets map[string][]*dto.MetricFamily

// A Prometheus scrapes agents and evaluates the escalation rules.
type Prometheus struct {
	Skew time.Duration // how far its clock is ahead

	head   *tsdb.Head
	engine *promql.Engine
	rules  string // the file
	send   func(alerts ...*notifier.Alert)

	groups  []*rules.Group // nil while it is down
	cancel  context.CancelFunc
	scraped map[string]labels.Labels // by the last scrape
}

// NewPrometheus returns one that is not started. Its data are in dir.
func NewPrometheus(dir string, send func(...*notifier.Alert)) (*Prometheus, error) {
	text, err := escalation.Rules(escalation.Options{Owners: []string{"sre", "web"}})
	if err != nil {
		return nil, err
	}
	p := &Prometheus{rules: filepath.Join(dir, "rules.yml"), send: send}
	if err := os.WriteFile(p.rules, text, 0o600); err != nil {
		return nil, err
	}
	options := tsdb.DefaultHeadOptions()
	options.ChunkRange = 24 * time.Hour.Milliseconds()
	options.ChunkDirRoot = dir
	if p.head, err = tsdb.NewHead(nil, quiet(), nil, nil, options, nil); err != nil {
		return nil, err
	}
	if err := p.head.Init(math.MinInt64); err != nil {
		return nil, err
	}
	p.engine = promql.NewEngine(promql.EngineOpts{Logger: quiet(), MaxSamples: 1 << 20, Timeout: time.Minute})
	return p, nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Start starts it, or starts it again: what it keeps in memory alone is lost.
func (p *Prometheus) Start(ctx context.Context) error {
	ctx, p.cancel = context.WithCancel(ctx)
	manager := rules.NewManager(&rules.ManagerOptions{
		NameValidationScheme: model.LegacyValidation,
		ExternalURL:          &url.URL{Scheme: "http", Host: "prometheus"},
		QueryFunc:            rules.EngineQueryFunc(p.engine, p),
		NotifyFunc:           p.notify,
		Context:              ctx, Appendable: p, Queryable: p, Logger: quiet(),
		OutageTolerance: time.Hour, ForGracePeriod: 10 * time.Minute, ResendDelay: time.Minute,
	})
	groups, errs := manager.LoadGroups(Interval, labels.EmptyLabels(), "http://prometheus", nil, false, p.rules)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.groups = nil
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		p.groups = append(p.groups, groups[name])
	}
	for _, g := range p.groups {
		g.RestoreForState(p.now())
	}
	return nil
}

// Kill ends it at once.
func (p *Prometheus) Kill() {
	p.cancel()
	p.groups = nil
	p.scraped = nil
}

// Close frees its data.
func (p *Prometheus) Close() error {
	if p.cancel != nil {
		p.cancel()
	}
	return p.head.Close()
}

// now is what its clock says.
func (p *Prometheus) now() time.Time { return time.Now().Add(p.Skew) }

// Tick scrapes and evaluates.
func (p *Prometheus) Tick(ctx context.Context, targets Targets) error {
	if p.groups == nil {
		return nil
	}
	if err := p.scrape(ctx, targets); err != nil {
		return err
	}
	for _, g := range p.groups {
		g.Eval(ctx, p.now())
		for _, rule := range g.Rules() {
			if err := rule.LastError(); err != nil {
				return fmt.Errorf("%s: %w", rule.Name(), err)
			}
		}
	}
	return nil
}

// scrape stores what the targets say, as Prometheus does: what was there and is
// not there any more is marked stale.
func (p *Prometheus) scrape(ctx context.Context, targets Targets) error {
	now := p.now().UnixMilli()
	app := p.head.Appender(ctx)
	seen := map[string]labels.Labels{}
	var errs []error
	add := func(l labels.Labels, v float64) {
		_, err := app.Append(0, l, now, v)
		errs = append(errs, err)
	}
	for instance, exposition := range targets {
		target := labels.FromStrings("job", escalation.DefaultJob, "instance", instance)
		each(target, exposition, func(l labels.Labels, v float64) {
			seen[l.String()] = l
			add(l, v)
		})
		up := 0.0
		if exposition != nil {
			up = 1
		}
		add(labels.NewBuilder(target).Set(model.MetricNameLabel, "up").Labels(), up)
	}
	for key, l := range p.scraped {
		if _, still := seen[key]; !still {
			add(l, math.Float64frombits(value.StaleNaN))
		}
	}
	p.scraped = seen
	return errors.Join(errors.Join(errs...), app.Commit())
}

// each calls for each sample of an exposition but those of histograms, which no
// rule reads.
func each(target labels.Labels, exposition []*dto.MetricFamily, do func(labels.Labels, float64)) {
	for _, family := range exposition {
		for _, m := range family.Metric {
			var v float64
			switch {
			case m.Gauge != nil:
				v = m.Gauge.GetValue()
			case m.Counter != nil:
				v = m.Counter.GetValue()
			default:
				continue
			}
			b := labels.NewBuilder(target)
			b.Set(model.MetricNameLabel, family.GetName())
			for _, pair := range m.Label {
				b.Set(pair.GetName(), pair.GetValue())
			}
			do(b.Labels(), v)
		}
	}
}

// notify hands alerts over as Prometheus does.
func (p *Prometheus) notify(_ context.Context, _ string, alerts ...*rules.Alert) {
	var all []*notifier.Alert
	for _, a := range alerts {
		one := &notifier.Alert{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.FiredAt, EndsAt: a.ValidUntil}
		if !a.ResolvedAt.IsZero() {
			one.EndsAt = a.ResolvedAt
		}
		all = append(all, one)
	}
	if len(all) > 0 {
		p.send(all...)
	}
}

// Querier reads the head, in which everything is.
func (p *Prometheus) Querier(mint, maxt int64) (storage.Querier, error) {
	return tsdb.NewBlockQuerier(tsdb.NewRangeHead(p.head, mint, maxt), mint, maxt)
}

// Appender writes to the head.
func (p *Prometheus) Appender(ctx context.Context) storage.Appender { return p.head.Appender(ctx) }

var _ io.Closer = (*Prometheus)(nil)
