package port

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/firewall"
)

// firewallSource stands for the ruleset among what is looked at.
const firewallSource listeners.Protocol = "firewall"

// unverifiable is the verdict where the ruleset cannot be read.
const unverifiable = "unverifiable"

func firewallVerdicts() []string {
	return []string{string(firewall.Accepted), string(firewall.Dropped), string(firewall.Depends), unverifiable}
}

// A wall is what was last known of the firewall of the host.
type wall struct {
	ruleset  *firewall.Ruleset
	err      error
	read     time.Time
	verdicts map[firewall.Packet]firewall.Verdict

	outer     []netip.Addr // of the host, for which published ports were looked for
	published []firewall.Published
	partial   error // why some may be missing
	leads     []*object
}

// published reads the ruleset, if it was not read just before, and returns the
// ports that it leads to containers.
func (r *run) published(ctx context.Context, spaces []*space) []*object {
	w := &r.wall
	if now := r.now; w.read.IsZero() || now.Sub(w.read) >= refresh {
		w.read = now
		ruleset, addresses, err := r.readWall(ctx, spaces)
		if w.err = err; err == nil {
			w.update(ruleset, addresses, spaces)
		}
	}
	if w.err != nil {
		r.scan.failed[place{"", firewallSource}] = w.err
		if errors.Is(w.err, firewall.ErrOther) {
			r.scan.failed[place{"", firewallSource}] = nil // told by the verdict
		}
	}
	// Each run judges anew.
	list := make([]*object, 0, len(w.leads))
	for _, o := range w.leads {
		again := *o
		list = append(list, &again)
	}
	return list
}

// errHuge says that not all published ports are known.
var errHuge = probes.Because(probes.TooLarge, errors.New("the ruleset of the firewall is too large to follow all its published ports"))

// update takes over what was read. Following every port is expensive, and is
// done only if something has changed.
func (w *wall) update(ruleset *firewall.Ruleset, in *interfaces, spaces []*space) {
	addresses := outer(in)
	if !ruleset.Same(w.ruleset) {
		w.ruleset, w.verdicts, w.outer = ruleset, map[firewall.Packet]firewall.Verdict{}, nil
	}
	if w.outer == nil || !slices.Equal(w.outer, addresses) {
		w.outer = addresses
		var complete bool
		if w.published, complete = ruleset.Published(addresses); !complete {
			w.partial = errHuge
		} else {
			w.partial = nil
		}
	}
	if w.err == nil {
		w.err = w.partial
	}
	w.leads = leads(w.published, in, addresses, spaces)
}

func (r *run) readWall(ctx context.Context, spaces []*space) (*firewall.Ruleset, *interfaces, error) {
	i := slices.IndexFunc(spaces, func(s *space) bool { return s.name == "" })
	if i < 0 {
		return nil, nil, errors.New("the network of the host was not found")
	}
	view := r.source.In(spaces[i].Namespace)
	defer view.Close()
	if err := view.Entered(); err != nil {
		return nil, nil, err
	}
	ruleset, err := firewall.Read(ctx, r.host.Netlink, r.host.Files, view.Namespace())
	if errors.Is(err, firewall.ErrAbsent) {
		ruleset, err = &firewall.Ruleset{}, nil // nothing is dropped
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("the ruleset of the firewall cannot be read without CAP_NET_ADMIN: %w", err)
	case err != nil:
		return nil, nil, fmt.Errorf("the ruleset of the firewall cannot be read: %w", err)
	}
	addresses, err := readInterfaces(ctx, r.host.Netlink, view.Namespace())
	return ruleset, addresses, err
}

const (
	tcpNumber = 6
	udpNumber = 17
)

// through returns what the firewall does with connections to an object; empty if
// that is no question.
func (r *run) through(o *object) string {
	if !r.config.Firewall || o.namespace != "" || o.exposure == loopback || o.protocol != listeners.TCP && o.protocol != listeners.UDP {
		return ""
	}
	if r.wall.err != nil && r.wall.partial == nil || r.wall.ruleset == nil {
		return unverifiable
	}
	if o.leads != nil {
		return string(r.wall.ruleset.Forward(o.packet(o.leads.Target.Addr(), o.leads.Target.Port())))
	}
	if o.ephemeral {
		return "" // of many ports
	}
	return string(r.input(o))
}

func (o *object) packet(destination netip.Addr, port uint16) firewall.Packet {
	p := firewall.Packet{Protocol: tcpNumber, IPv6: destination.Is6(), Destination: destination, Port: port}
	if o.protocol == listeners.UDP {
		p.Protocol = udpNumber
	}
	return p
}

// input returns the verdict of the rules for the host: of all addresses and
// families of an object, if it is the same.
func (r *run) input(o *object) firewall.Verdict {
	var sum firewall.Verdict
	for _, s := range o.sockets {
		for _, p := range o.packets(s) {
			verdict, known := r.wall.verdicts[p]
			if !known {
				verdict = r.wall.ruleset.Input(p)
				r.wall.verdicts[p] = verdict
			}
			switch {
			case sum == "":
				sum = verdict
			case sum != verdict:
				return firewall.Depends
			}
		}
	}
	return sum
}

// packets returns the packets that reach a socket, one for each family.
func (o *object) packets(s *socket) []firewall.Packet {
	port := uint16(s.Port)
	if !s.Address.IsUnspecified() {
		return []firewall.Packet{o.packet(s.Address, port)}
	}
	p := o.packet(netip.Addr{}, port)
	six := p
	six.IPv6 = true
	switch {
	case s.Address.Is4():
		return []firewall.Packet{p}
	case s.Exact && s.V6Only:
		return []firewall.Packet{six}
	}
	return []firewall.Packet{p, six}
}

// firewallFindings returns where the firewall is not what it seems.
func (r *run) firewallFindings(o *object, through string) []string {
	switch {
	case through == "" || through == unverifiable:
	case o.leads != nil:
		if through != string(firewall.Dropped) && r.input(o) == firewall.Dropped {
			return []string{bypassesInput}
		}
	case through == string(firewall.Dropped) && o.verdict.policy == policyRequired:
		return []string{requiredDropped}
	}
	return nil
}

// explainFirewall says what the firewall does, in words.
func (p *probe) explainFirewall(o *object) string {
	r := &run{probe: p}
	through := r.through(o)
	if through == "" {
		return ""
	}
	text := through
	if p.wall.err != nil {
		text += ": " + p.wall.err.Error()
	}
	if o.leads != nil {
		text = fmt.Sprintf("leads to %s, %s on the way", o.leads.Target, through)
		if through != unverifiable {
			text += fmt.Sprintf("; the rules for the host itself say %s", r.input(o))
		}
	}
	return text
}
