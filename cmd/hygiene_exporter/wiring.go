package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/collector"
	"hygiene_exporter/config"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/all"
	"hygiene_exporter/probes/certificate"
	"hygiene_exporter/probes/host"
)

// entries builds the probes of a configuration on a host.
func entries(c *config.Config, h *host.Hosts) ([]collector.Entry, error) {
	var (
		list []collector.Entry
		errs []error
	)
	for _, spec := range all.Specs() {
		section := c.Probes[spec.Name]
		entry := collector.Entry{Spec: spec, Settings: *section.Common()}
		if entry.Settings.Enabled {
			probe, err := section.New(h.For(spec.Name))
			if err != nil {
				errs = append(errs, probes.At("probes."+spec.Name, err))
				continue
			}
			entry.Probe = probe
		}
		list = append(list, entry)
	}
	return list, errors.Join(errs...)
}

// remote builds what answers questions about targets elsewhere; nil when the
// configuration allows none.
func remote(c *config.Config, h *host.Hosts) *certificate.Remote {
	name := certificate.Spec().Name
	section, ok := c.Probes[name].(*certificate.Config)
	if !ok {
		return nil
	}
	return section.Remote(h.For(name))
}

// monitorConfig builds the rules and the policy of a configuration.
func monitorConfig(c *config.Config) (monitor.Config, error) {
	rules, err := loadRules(c)
	if err != nil {
		return monitor.Config{}, err
	}
	p, err := policy.New(c.Escalation, c.Overrides, c.Maintenance)
	if err != nil {
		return monitor.Config{}, err
	}
	return monitor.Config{
		Rules:    rules,
		Policy:   p,
		Interval: time.Duration(c.Alerts.EvaluationInterval),
		PerCheck: c.Limits.ProblemsPerCheck,
	}, nil
}

// loadRules loads the embedded detection rules and those of the site, without
// the disabled ones. An agent that leaves evaluation to the central Prometheus
// has none.
func loadRules(c *config.Config) (*detect.Rules, error) {
	files, err := alerts.Rules()
	if err != nil {
		return nil, err
	}
	for i, pattern := range c.Alerts.Rules {
		names, err := filepath.Glob(pattern)
		if err == nil && len(names) == 0 && !hasMeta(pattern) {
			err = fmt.Errorf("there is no file %s", pattern)
		}
		if err != nil {
			return nil, probes.At(fmt.Sprintf("alerts.rules[%d]", i), err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, probes.At(fmt.Sprintf("alerts.rules[%d]", i), err)
			}
			files = append(files, detect.File{Name: name, Data: data})
		}
	}
	rules, err := detect.Load(files, metrics())
	if err != nil {
		return nil, err
	}
	disable := c.Alerts.Disable
	if !c.Alerts.Evaluate {
		disable = nil
		for _, rule := range rules.Rules() {
			disable = append(disable, rule.Alert)
		}
	}
	rules, err = rules.Disable(disable)
	return rules, probes.At("alerts.disable", err)
}

// hasMeta reports whether a path is a pattern, which may match nothing.
func hasMeta(pattern string) bool {
	for _, c := range pattern {
		if c == '*' || c == '?' || c == '[' {
			return true
		}
	}
	return false
}

// dryHost opens this host for a command that looks once and leaves no trace:
// nothing that probes remember is read or written.
func (e *environment) dryHost(c *config.Config, work probes.Work) (*host.Hosts, error) {
	return e.hosts(c, "", work, slog.New(slog.DiscardHandler))
}
