package port

import (
	"net/netip"
	"slices"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/firewall"
	"hygiene_exporter/probes/port/process"
	"hygiene_exporter/probes/port/workload"
)

// maxAddresses bounds for how many addresses of the host it is looked where they
// lead.
const maxAddresses = 16

// outer returns the addresses at which the host can be reached from outside.
func outer(in *interfaces) []netip.Addr {
	addresses := []netip.Addr{}
	for address := range in.addresses {
		if !address.IsLoopback() && !address.IsLinkLocalUnicast() && !in.onBridge(address) {
			addresses = append(addresses, address)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses[:min(len(addresses), maxAddresses)]
}

// leads makes objects of published ports. A port that is led elsewhere at every
// address of the host is published; at some of them it has their class.
func leads(published []firewall.Published, in *interfaces, addresses []netip.Addr, spaces []*space) []*object {
	var v4, v6 int
	for _, address := range addresses {
		if address.Is4() {
			v4++
		} else {
			v6++
		}
	}
	type key struct {
		protocol uint8
		port     uint16
		six      bool
	}
	hits := map[key][]firewall.Published{}
	for _, p := range published {
		k := key{p.Protocol, p.Port, p.Destination.Is6()}
		hits[k] = append(hits[k], p)
	}
	byName := map[string]*object{}
	for k, list := range hits {
		everywhere := !k.six && len(list) == v4 || k.six && len(list) == v6
		for _, p := range list {
			o := leadOf(p, in, spaces, everywhere)
			if known := byName[o.name]; known != nil {
				known.sockets = append(known.sockets, o.sockets...)
			} else {
				byName[o.name] = o
			}
		}
	}
	var objects []*object
	for _, o := range byName {
		slices.SortFunc(o.sockets, func(a, b *socket) int { return a.Address.Compare(b.Address) })
		objects = append(objects, o)
	}
	return objects
}

// leadOf makes an object of one published port, which belongs to the namespace
// that has the address where it leads.
func leadOf(p firewall.Published, in *interfaces, spaces []*space, everywhere bool) *object {
	protocol := listeners.TCP
	if p.Protocol == udpNumber {
		protocol = listeners.UDP
	}
	s := &socket{
		Listener: listeners.Listener{Protocol: protocol, Address: p.Destination, Port: uint32(p.Port), Exact: true},
		outside:  true, exposure: published, placed: true, state: process.Nobody,
	}
	if !everywhere {
		s.exposure = classify(s.Listener, in)
	}
	for _, space := range spaces {
		if space.in == nil || space.name == "" {
			continue
		}
		if _, has := space.in.addresses[p.Target.Addr()]; has {
			s.workload = workload.Workload{Container: space.name}
		}
	}
	o := objectOf(s, false)
	if p.Port == 0 {
		o.port = "all"
	}
	o.sockets, o.leads = []*socket{s}, &p
	o.name = o.in(s.exposure)
	return o
}
