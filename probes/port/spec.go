// Package port looks at the sockets on which a host can be reached: what
// listens, for whom, who opened it, and whether somebody meant it to. It
// promises that a restart, another process or another address is no change, that
// what could not be seen is said to be so, and that looking costs next to
// nothing, so that it can be done every few seconds.
package port

import (
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
)

var (
	listenerCount = &probes.Metric{
		Name:   "hygiene_port_listeners",
		Help:   "Listening sockets by protocol and by who can reach them, from sock_diag or /proc/net, in all network namespaces.",
		Labels: []string{"protocol", "exposure"},
		Values: map[string][]string{"protocol": protocolNames(), "exposure": exposures()},
	}
	listenerInfo = &probes.Metric{
		Name:   "hygiene_port_listener_info",
		Help:   "What listens, and what the policy says of it; always 1. Restricted, abstract and hidden unix sockets are only counted, unless the policy has a rule for unix.",
		Labels: []string{probes.LabelObject, "address", "process", "user", "executable", "policy", probes.LabelOwner},
		Values: map[string][]string{"policy": append([]string{policyNone, policyAllowed, policyRequired, policyIgnored, policyUndecided}, violations()...)},
	}
	firstSeen = &probes.Metric{
		Name:   "hygiene_port_first_seen_timestamp_seconds",
		Help:   "When the listener was first seen, over restarts of the agent.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	violation = &probes.Metric{
		Name:   "hygiene_port_policy_violation_since_timestamp_seconds",
		Help:   "Since when the listener has violated the policy in this way, from the first run that saw it; it is there while it does.",
		Labels: []string{probes.LabelObject, "exposure", "policy", probes.LabelOwner},
		Values: map[string][]string{"exposure": exposures(), "policy": violations()},
	}
	requiredMissing = &probes.Metric{
		Name:   "hygiene_port_required_missing_since_timestamp_seconds",
		Help:   "Since when nothing has listened that fits a rule with expect: required, from the first run that saw it missing.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	exceptionExpiry = &probes.Metric{
		Name:   "hygiene_port_exception_expiry_timestamp_seconds",
		Help:   "When the rule that permits the listener ceases to, from until: in the policy.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	finding = &probes.Metric{
		Name:   "hygiene_port_finding",
		Help:   "Something that is to be known about the listener and its program, 1 while it is so; what could not be seen is no finding.",
		Labels: []string{probes.LabelObject, "finding", probes.LabelOwner},
		Values: map[string][]string{"finding": findings()},
	}
	firewallVerdict = &probes.Metric{
		Name:   "hygiene_port_firewall",
		Help:   "What the ruleset of nftables does with new connections to the listener, 1 for the verdict; depends means by source, interface or what else cannot be told from the port.",
		Labels: []string{probes.LabelObject, "verdict", probes.LabelOwner},
		Values: map[string][]string{"verdict": firewallVerdicts()},
	}
	changes = &probes.Metric{
		Name:   "hygiene_port_changes_total",
		Help:   "Listeners that were opened, closed, or opened anew under the same name, as seen from run to run.",
		Kind:   probes.Counter,
		Labels: []string{"event"},
		Values: map[string][]string{"event": {"opened", "closed", "rebound"}},
	}
	namespaceCount = &probes.Metric{
		Name:   "hygiene_port_namespaces",
		Help:   "Network namespaces that were inspected, or skipped because they could be neither entered nor read.",
		Labels: []string{"state"},
		Values: map[string][]string{"state": {"inspected", "skipped"}},
	}
	attribution = &probes.Metric{
		Name:   "hygiene_port_attribution",
		Help:   "Listening sockets by how it is known to whom they belong: by their cgroup, by the process that holds them, or not at all.",
		Labels: []string{"how"},
		Values: map[string][]string{"how": {"cgroup", "process", "none"}},
	}
	protocolInspected = &probes.Metric{
		Name:   "hygiene_port_protocol_inspected",
		Help:   "Whether the sockets of a protocol that the kernel has could be listed in the namespace of the host.",
		Labels: []string{"protocol"},
		Values: map[string][]string{"protocol": protocolNames()},
	}
)

func protocolNames() []string {
	var names []string
	for _, protocol := range listeners.Protocols() {
		names = append(names, string(protocol))
	}
	return names
}

// Spec describes the probe.
func Spec() probes.Spec {
	return probes.Spec{
		Name:    "port",
		Summary: "Open ports: what listens, who opened it, who can reach it, and whether it was meant to.",
		Metrics: []*probes.Metric{
			listenerCount, listenerInfo, firstSeen, violation, requiredMissing, exceptionExpiry, finding, firewallVerdict,
			changes, namespaceCount, attribution, protocolInspected,
		},
		Config: func() probes.Config { return defaultConfig() },
	}
}
