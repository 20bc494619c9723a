// Package firewall reads the ruleset of nftables and says what it does with new
// connections from outside: accepts them, drops them, or either, depending on
// what a port alone does not tell. It asks the kernel by netlink, which needs
// CAP_NET_ADMIN, changes nothing, and never loads a module: without nftables in
// the kernel there is no answer.
//
// Rules that iptables-nft writes are a part of the ruleset. Those of
// iptables-legacy are not, and neither are programs of BPF.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// ErrOther says that another firewall is in force, which cannot be read.
var ErrOther = probes.Because(probes.Unsupported, errors.New("rules of iptables-legacy are in force, and are not read"))

// ErrAbsent says that the kernel has no nftables, so that it drops nothing.
var ErrAbsent = errors.New("the kernel has no nftables")

// A Ruleset is what nftables does in one network namespace.
type Ruleset struct {
	chains map[chainKey]*chain
	sets   map[setKey]*set
	sum    uint64 // of all rules, without what traffic changes
}

// Same reports whether two rulesets do the same with every packet.
func (r *Ruleset) Same(other *Ruleset) bool { return other != nil && r.sum == other.sum }

type chainKey struct {
	family      uint8
	table, name string
}

// A chain is a list of rules. Base chains hang on a hook of the network stack.
type chain struct {
	key      chainKey
	base     bool
	hook     uint32
	priority int32
	kind     string // filter, nat or route
	policy   uint32 // of a base chain: 0 drops, 1 accepts
	rules    [][]expression
}

// An expression is one step of a rule: struct nft_expr in words.
type expression struct {
	name  string
	data  attributes
	parts map[uint16]attributes // attributes within attributes, read once
}

// constant returns a value that stands in the rule.
func (x expression) constant(kind uint16) []byte { return x.parts[kind][1] }

type setKey struct {
	family      uint8
	table, name string
}

// A set holds values, ranges of values, or prefixes.
type set struct {
	interval bool // elements are the beginnings and ends of ranges
	elements []element
	partial  bool // it has elements that were not understood
}

type element struct {
	key   []byte
	end   []byte // of a range that is written in one element
	isEnd bool

	data    []byte     // of a map of values
	verdict attributes // of a map of verdicts
}

// Messages and families of linux/netfilter/nf_tables.h and linux/netfilter.h.
const (
	subsystem  = 10 << 8
	getChain   = subsystem | 4
	getRule    = subsystem | 7
	getSet     = subsystem | 10
	getElement = subsystem | 13

	familyInet   = 1
	familyIPv4   = 2
	familyNetdev = 5
	familyIPv6   = 10
)

// Read asks the kernel for the ruleset of a namespace, nil for the agent's own.
// The file system is asked whether another firewall is in force there.
func Read(ctx context.Context, netlink probes.Netlink, files *rootfs.FS, namespace *os.File) (*Ruleset, error) {
	if namespace == nil {
		if err := other(files); err != nil {
			return nil, err
		}
	}
	r := &reader{ctx: ctx, netlink: netlink, namespace: namespace, sum: fnv.New64a(), Ruleset: &Ruleset{chains: map[chainKey]*chain{}, sets: map[setKey]*set{}}}
	for _, ask := range []struct {
		kind uint16
		each func(family uint8, a attributes)
	}{{getChain, r.chain}, {getRule, r.rule}, {getSet, r.set}} {
		if err := r.dump(ask.kind, nil, ask.each); err != nil {
			return nil, err
		}
	}
	for _, key := range r.order {
		payload := slices.Concat(text(1, key.table), text(2, key.name))
		err := r.dumpFamily(getElement, key.family, payload, func(_ uint8, a attributes) { r.elements(key, a) })
		if err != nil {
			return nil, err
		}
	}
	r.Ruleset.sum = r.sum.Sum64()
	return r.Ruleset, nil
}

// other looks for the tables of iptables-legacy.
func other(files *rootfs.FS) error {
	for _, name := range []string{"ip_tables_names", "ip6_tables_names"} {
		data, err := files.ReadFile("/proc/net/"+name, 4096)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("whether iptables-legacy is in force is not known: %w", err)
		case len(strings.TrimSpace(string(data))) > 0:
			return ErrOther
		}
	}
	return nil
}

type reader struct {
	*Ruleset
	ctx       context.Context //nolint:containedctx // of one reading
	netlink   probes.Netlink
	namespace *os.File
	order     []setKey
	sum       hash.Hash64
}

func (r *reader) dump(kind uint16, payload []byte, each func(uint8, attributes)) error {
	return r.dumpFamily(kind, unix.AF_UNSPEC, payload, each)
}

func (r *reader) dumpFamily(kind uint16, family uint8, payload []byte, each func(uint8, attributes)) error {
	request := probes.NetlinkRequest{
		Protocol: unix.NETLINK_NETFILTER, Type: kind, Namespace: r.namespace,
		Payload: append([]byte{family, 0, 0, 0}, payload...), // struct nfgenmsg
	}
	err := r.netlink.Dump(r.ctx, request, func(m probes.NetlinkMessage) error {
		if len(m.Payload) < 4 {
			return probes.Because(probes.Malformed, fmt.Errorf("%d bytes are no message of nftables", len(m.Payload)))
		}
		each(m.Payload[0], parse(m.Payload[4:]))
		return nil
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return ErrAbsent // the kernel does not know the subsystem
	}
	return err
}

func (r *reader) chain(family uint8, a attributes) {
	c := &chain{key: chainKey{family, a.text(1), a.text(3)}, kind: a.text(7), policy: 1}
	if hook := a.nested(4); hook != nil {
		c.base, c.hook, c.priority = true, hook.number(1), int32(hook.number(2))
	}
	if _, has := a[5]; has {
		c.policy = a.number(5)
	}
	r.chains[c.key] = c
	fmt.Fprintf(r.sum, "%v %t %d %d %s %d\n", c.key, c.base, c.hook, c.priority, c.kind, c.policy)
}

func (r *reader) rule(family uint8, a attributes) {
	c := r.chains[chainKey{family, a.text(1), a.text(2)}]
	if c == nil {
		return // the chain was made after we asked for chains
	}
	var rule []expression
	for _, item := range list(a[4]) {
		e := parse(item)
		rule = append(rule, newExpression(e.text(1), e.nested(2)))
		if !counts(e.text(1)) {
			r.sum.Write(item)
		}
	}
	fmt.Fprintf(r.sum, "%v\n", c.key)
	c.rules = append(c.rules, rule)
}

func newExpression(name string, data attributes) expression {
	x := expression{name: name, data: data}
	switch name {
	case "cmp", "range", "bitwise", "immediate":
		x.parts = map[uint16]attributes{}
		for kind := range data {
			if kind >= 2 && kind <= 5 {
				x.parts[kind] = data.nested(kind)
			}
		}
	}
	return x
}

// counts reports whether an expression holds what traffic changes.
func counts(name string) bool {
	return name == "counter" || name == "quota" || name == "limit" || name == "last" || name == "connlimit"
}

func (r *reader) set(family uint8, a attributes) {
	const isInterval = 0x4
	key := setKey{family, a.text(1), a.text(2)}
	flags := a.number(3)
	r.sets[key] = &set{interval: flags&isInterval != 0}
	r.order = append(r.order, key)
}

// elements reads a part of the elements of a set.
func (r *reader) elements(key setKey, a attributes) {
	s := r.sets[key]
	for _, item := range list(a[3]) {
		r.sum.Write(item)
		e := parse(item)
		const isEnd, catchAll = 0x1, 0x2
		flags := e.number(3)
		if flags&catchAll != 0 || e.nested(1) == nil {
			s.partial = true
			continue
		}
		one := element{key: e.nested(1)[1], isEnd: flags&isEnd != 0}
		if end := e.nested(10); end != nil {
			one.end = end[1]
		}
		if data := e.nested(2); data != nil {
			one.data, one.verdict = data[1], data.nested(2)
		}
		s.elements = append(s.elements, one)
	}
}

// A Packet is the first of a new connection from outside.
type Packet struct {
	Protocol    uint8 // 6 for TCP, 17 for UDP
	IPv6        bool
	Destination netip.Addr // the zero Addr stands for any of the host
	Port        uint16
}
