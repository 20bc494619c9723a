package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"hygiene_exporter/alerts/escalation"
	"hygiene_exporter/alerts/send"
	"hygiene_exporter/config"
	"hygiene_exporter/probes"
)

// newSender makes what tells Alertmanager; nil where the configuration names
// none.
func (a *agent) newSender(c *config.Config) (*send.Sender, error) {
	if len(c.Alertmanager.URLs) == 0 {
		return nil, nil
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	sender, err := send.New(send.Options{
		Config: c.Alertmanager,
		From: send.From{
			Job: c.Alertmanager.Job, Instance: cmp.Or(c.Alertmanager.Instance, name),
			Links: escalation.Links(c.Links), Maintenance: a.monitor.Maintenance,
		},
		Problems: a.monitor.Problems, Log: a.log,
	})
	return sender, probes.At("alertmanager", err)
}

// An outbox runs one sender at a time; a reload can replace it.
type outbox struct {
	mu      sync.Mutex
	sender  *send.Sender
	changed chan struct{} // made by run
}

func (o *outbox) replace(sender *send.Sender) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sender = sender
	if o.changed != nil {
		close(o.changed)
		o.changed = make(chan struct{})
	}
}

// run sends until ctx is done.
func (o *outbox) run(ctx context.Context) {
	for ctx.Err() == nil {
		o.mu.Lock()
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		sender, changed := o.sender, o.changed
		o.mu.Unlock()
		current, stop := context.WithCancel(ctx)
		var sending sync.WaitGroup
		if sender != nil {
			sending.Go(func() { sender.Run(current) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		stop()
		sending.Wait()
	}
}

func (o *outbox) status() []send.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sender == nil {
		return nil
	}
	return o.sender.Status()
}

// notices says which Alertmanagers cannot be told.
func (o *outbox) notices() []string {
	var notices []string
	for _, s := range o.status() {
		if s.Failed != nil {
			notices = append(notices, fmt.Sprintf("Alertmanager %s has not taken alerts since %s: %v", s.URL, s.Since.Format(time.RFC3339), s.Failed))
		}
	}
	return notices
}
