package port

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/process"
)

// meanings says in words who can reach a listener.
func meanings() map[string]string {
	return map[string]string{
		loopback: "processes of this host", linkLocal: "hosts on the same link", private: "hosts in private networks",
		bridge: "containers and virtual machines on a bridge of this host", public: "everybody, at one address",
		wildcard: "everybody, at every address of IPv4 and IPv6", wildcard4: "everybody, at every address of IPv4",
		wildcard6: "everybody, at every address of IPv6", bound: "everybody who reaches this interface",
		published: "everybody; the firewall leads them to a container", everyone: "every user of this host, by the mode of the path",
		restricted: "some users of this host, by the mode of the path", abstract: "every process in the network namespace",
		hidden: "unknown; the path is not seen from here",
	}
}

// Explain describes a listener as the last run saw it, or what a rule demands.
func (p *probe) Explain(_ context.Context, object string) (string, error) {
	var b strings.Builder
	o := p.objects[object]
	if o == nil {
		return p.explainRequired(object), nil
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("reached by", "%s", meanings()[o.exposure])
	if o.namespace != "" {
		line("namespace", "%s", o.namespace)
	}
	if unit := o.workload.String(); unit != "" {
		line("belongs to", "%s", unit)
	}
	if seen, known := p.memory.Object(object); known {
		line("first seen", "%s", seen.First.Local().Format("2006-01-02 15:04:05 MST"))
		if seen.Detail.Policy != "" {
			line(seen.Detail.Policy, "since %s", time.Unix(seen.Detail.Since, 0).Format("2006-01-02 15:04:05 MST"))
		}
	}
	line("policy", "%s", p.reason(o.verdict))
	if text := p.explainFirewall(o); text != "" {
		line("firewall", "%s", text)
	}
	r := &run{probe: p}
	for _, name := range slices.Concat(o.findings(), r.firewallFindings(o, r.through(o))) {
		line("finding", "%s", name)
	}
	p.explainSockets(&b, o)
	return b.String(), nil
}

// reason says what follows from the policy.
func (p *probe) reason(v verdict) string {
	rule := func() string { return fmt.Sprintf("rule %d (%s)", v.rule, p.config.Policy[v.rule].summary()) }
	switch v.policy {
	case policyNone:
		return "there is none for it"
	case policyAllowed, policyRequired:
		return v.policy + " by " + rule()
	case policyForbidden:
		return "forbidden by " + rule()
	case policyExpired:
		return "no longer permitted by " + rule()
	case policyIgnored:
		return "no rule fits; left by a client, and ignored"
	case policyUndecided:
		return fmt.Sprintf("cannot be told: %s asks for its %s, which cannot be seen", rule(), v.unknown)
	case policyDangerous:
		return "no rule fits, and it must never be open to everybody: " + v.danger
	}
	return "no rule fits: unexpected"
}

// summary writes a rule on one line.
func (r Rule) summary() string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+": "+value)
		}
	}
	var ports []string
	for _, p := range r.Ports {
		ports = append(ports, p.String())
	}
	add("protocol", r.Protocol)
	add("ports", strings.Join(ports, " "))
	add("path", r.Path)
	add("exposure", r.Exposure)
	add("namespace", r.Namespace)
	add("unit", r.Unit)
	add("container", r.Container)
	add("user", r.User)
	add("executable", r.Executable)
	add("expect", r.Expect)
	add("until", r.Until)
	add("reason", r.Reason)
	add("owner", r.Owner)
	return strings.Join(parts, ", ")
}

// explainedSockets bounds how many sockets of an object are told one by one.
const explainedSockets = 10

func (p *probe) explainSockets(b *strings.Builder, o *object) {
	holders := map[int]bool{}
	for i, s := range o.sockets {
		if i == explainedSockets {
			fmt.Fprintf(b, "\n%d further sockets\n", len(o.sockets)-i)
			break
		}
		fmt.Fprintf(b, "\n%s\n", p.socketLine(s))
		if o.leads != nil {
			continue // no process needs to hold it
		}
		if s.state != process.Found {
			fmt.Fprintf(b, "  process      %s\n", unseen(s))
			continue
		}
		if holders[s.process.PID] {
			fmt.Fprintf(b, "  process      %d, see above\n", s.process.PID)
			continue
		}
		holders[s.process.PID] = true
		p.explainProcess(b, s)
	}
}

func (p *probe) socketLine(s *socket) string {
	text := string(s.Protocol) + " " + s.address()
	if s.device != "" {
		text += " on " + s.device
	}
	if s.Address.IsUnspecified() && s.Address.Is6() && s.Exact && s.V6Only {
		text += ", IPv6 only"
	}
	if s.HasUID {
		text += ", opened by " + s.user
	}
	if s.Protocol == listeners.Packet && s.Promiscuous {
		text += ", promiscuous"
	}
	if !s.Exact {
		text += ", as /proc/net shows it"
	}
	return text
}

// unseen says why no process is known.
func unseen(s *socket) string {
	switch s.state {
	case process.Nobody:
		return "none holds it; it may belong to the kernel, or to a process outside of this view"
	case process.Hidden:
		return "cannot be seen; that needs CAP_SYS_PTRACE"
	}
	if s.process.Name != "" {
		return s.process.Name + ", by its cgroup"
	}
	return "not looked for yet"
}

func (p *probe) explainProcess(b *strings.Builder, s *socket) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("process", "%d %s, run by %s", s.process.PID, s.process.Name, p.users.name(s.process.UID))
	if text := process.Line(p.host.Files, s.process.PID); text != "" {
		line("command", "%s", printable(text))
	}
	if s.process.Executable != "" {
		line("program", "%s", s.process.Executable)
	}
	switch {
	case s.process.Replaced:
		line("", "another file has taken its place since the start")
	case s.process.Deleted:
		line("", "the file was removed since the start")
	}
	switch {
	case s.workload.Container != "":
	case s.origin.Package != "":
		line("package", "%s", s.origin.Package)
	case s.origin.Known:
		line("package", "none owns it")
	default:
		line("package", "unknown")
	}
	var tree []string
	for _, parent := range process.Parents(p.host.Files, s.process.PID) {
		tree = append(tree, fmt.Sprintf("%s(%d)", parent.Name, parent.PID))
	}
	line("started by", "%s", strings.Join(tree, " → "))
}

// explainRequired describes what a rule demands and nothing provides.
func (p *probe) explainRequired(object string) string {
	i := -1
	for n, rule := range p.config.Policy {
		if rule.Expect == required && (i < 0 && rule.object() == object || rule.numbered(n) == object) {
			i = n
		}
	}
	if i < 0 {
		return "The last run saw nothing of this name.\n"
	}
	text := fmt.Sprintf("Rule %d of the policy demands it: %s.\n", i, p.config.Policy[i].summary())
	if seen, known := p.memory.Object(object); known && seen.Detail.Policy == missing {
		text += fmt.Sprintf("Nothing fits since %s.\n", time.Unix(seen.Detail.Since, 0).Format("2006-01-02 15:04:05 MST"))
	}
	return text
}

// printable keeps what a program calls itself from playing with the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
