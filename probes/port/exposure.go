package port

import (
	"net/netip"

	"hygiene_exporter/probes/internal/listeners"
)

// The classes of who can reach a listener. The set is closed and is a part of
// the metric contract.
const (
	loopback   = "loopback"    // processes of this host
	linkLocal  = "link_local"  // hosts on the same link
	private    = "private"     // networks that are not routed on the internet
	bridge     = "bridge"      // containers and virtual machines on a bridge of this host
	public     = "public"      // one address that everybody can reach
	wildcard   = "wildcard"    // every address, of IPv4 and of IPv6
	wildcard4  = "wildcard_v4" // every address of IPv4
	wildcard6  = "wildcard_v6" // every address of IPv6
	bound      = "device"      // every address of one interface
	published  = "published"   // a rule of the firewall leads from every address to a container
	everyone   = "everyone"    // unix: every user, by the mode of the path
	restricted = "restricted"  // unix: some users
	abstract   = "abstract"    // unix: every process in the network namespace
	hidden     = "hidden"      // unix: the path is not seen from here
)

// exposures lists the classes.
func exposures() []string {
	return []string{
		loopback, linkLocal, private, bridge, public, wildcard, wildcard4, wildcard6, bound, published,
		everyone, restricted, abstract, hidden,
	}
}

// open reports whether a class reaches beyond private networks, as far as the
// addresses tell.
func open(exposure string) bool {
	switch exposure {
	case public, wildcard, wildcard4, wildcard6, bound, published:
		return true
	}
	return false
}

// notRouted lists networks that the internet does not route, besides those of
// RFC 1918 and RFC 4193: shared address space of providers (RFC 6598),
// benchmarks (RFC 2544), protocol assignments (RFC 6890), and the site-local
// addresses that RFC 3879 deprecated.
func notRouted() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("fec0::/10"),
	}
}

// classify returns who can reach a socket of an internet protocol.
func classify(l listeners.Listener, in *interfaces) string {
	address := l.Address
	if !address.IsValid() || address.IsUnspecified() {
		return unspecified(l, in)
	}
	switch {
	case address.IsLoopback():
		return loopback
	case address.IsLinkLocalUnicast(), address.IsLinkLocalMulticast(), address.IsInterfaceLocalMulticast(),
		address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return linkLocal
	case in.onBridge(address):
		return bridge
	case address.IsPrivate(), address.IsMulticast() && localScope(address):
		return private
	}
	for _, prefix := range notRouted() {
		if prefix.Contains(address) {
			return private
		}
	}
	return public
}

func unspecified(l listeners.Listener, in *interfaces) string {
	if l.Device > 0 {
		switch device := in.devices[l.Device]; {
		case device.loopback:
			return loopback
		case device.bridge:
			return bridge
		}
		return bound
	}
	switch {
	case l.Address.Is4():
		return wildcard4
	case l.Exact && l.V6Only:
		return wildcard6
	}
	// The tables do not tell whether IPv4 is included. It is, by default.
	return wildcard
}

// localScope reports whether a multicast group is meant for an organisation:
// 239.0.0.0/8 of RFC 2365, and the scopes below global of RFC 4291.
func localScope(address netip.Addr) bool {
	if address.Is4() {
		return address.As4()[0] == 239
	}
	return address.As16()[1]&0x0f < 0x0e
}
