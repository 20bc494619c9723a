package firewall

import (
	"cmp"
	"slices"
)

// A Verdict is what becomes of a packet.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Dropped  Verdict = "dropped"
	Depends  Verdict = "depends" // on what a port alone does not tell
)

// Hooks of linux/netfilter.h.
const (
	hookPrerouting = 0
	hookInput      = 1
	hookForward    = 2
)

// outcomes is a set of what may become of a packet in a chain.
type outcomes uint8

const (
	accept outcomes = 1 << iota
	drop
	goOn // to the rule behind the one that jumped here, or to the policy
)

// Input says what becomes of a packet for this host.
func (r *Ruleset) Input(p Packet) Verdict { return r.verdict(p, hookPrerouting, hookInput) }

// Forward says what becomes of a packet that is passed on to a container.
func (r *Ruleset) Forward(p Packet) Verdict { return r.verdict(p, hookForward) }

func (r *Ruleset) verdict(p Packet, hooks ...uint32) Verdict {
	sum := accept
	for _, hook := range hooks {
		for _, c := range r.bases(p, hook, "filter") {
			e := evaluation{ruleset: r, packet: p}
			result := e.chain(c, 0)
			if result&goOn != 0 {
				result |= policy(c.policy)
			}
			sum |= result & drop
			if result&accept == 0 {
				sum &^= accept
				return verdictOf(sum)
			}
		}
	}
	if r.early() {
		sum |= drop
	}
	return verdictOf(sum)
}

func policy(number uint32) outcomes {
	if number == 1 {
		return accept
	}
	return drop
}

func verdictOf(sum outcomes) Verdict {
	switch sum {
	case accept:
		return Accepted
	case drop:
		return Dropped
	}
	return Depends
}

// early reports whether rules look at packets before all hooks that are read.
func (r *Ruleset) early() bool {
	for key, c := range r.chains {
		if key.family == familyNetdev && c.base && (len(c.rules) > 0 || c.policy != 1) {
			return true
		}
	}
	return false
}

// bases returns the base chains of a hook, in the order in which the kernel
// calls them.
func (r *Ruleset) bases(p Packet, hook uint32, kind string) []*chain {
	own := uint8(familyIPv4)
	if p.IPv6 {
		own = familyIPv6
	}
	var list []*chain
	for key, c := range r.chains {
		if c.base && c.hook == hook && c.kind == kind && (key.family == own || key.family == familyInet) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *chain) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.key.table, b.key.table), cmp.Compare(a.key.name, b.key.name))
	})
	return list
}

// An evaluation follows one packet.
type evaluation struct {
	ruleset *Ruleset
	packet  Packet
	// nat is called for each rule that may lead the packet elsewhere.
	nat   func(e expression, regs registers)
	rules int // that were followed
	regs  registers
}

// empty returns registers without values. One set is enough: a rule that jumps
// elsewhere has no use for its own any more.
func (e *evaluation) empty() registers {
	if e.regs == nil {
		e.regs = registers{}
	}
	clear(e.regs)
	return e.regs
}

const (
	maxDepth = 16     // as in the kernel
	maxRules = 20_000 // that are followed for one packet
)

func (e *evaluation) chain(c *chain, depth int) outcomes {
	if c == nil || depth > maxDepth {
		return accept | drop | goOn
	}
	var sum outcomes
	for _, rule := range c.rules {
		if e.rules++; e.rules > maxRules {
			return accept | drop | goOn
		}
		applies, result := e.rule(c.key, rule, depth)
		if applies == isFalse {
			continue
		}
		sum |= result & (accept | drop)
		if applies == isTrue && result&goOn == 0 {
			if result == 0 { // it returns
				return sum | goOn
			}
			return sum
		}
		if applies == either && result == 0 {
			sum |= goOn
		}
	}
	return sum | goOn
}

// rule follows one rule. The result is what it may do if it applies: nothing,
// which is goOn; or return, which is none of the outcomes.
func (e *evaluation) rule(in chainKey, rule []expression, depth int) (truth, outcomes) {
	regs := e.empty()
	applies := isTrue
	for _, x := range rule {
		switch x.name {
		case "meta", "payload", "ct":
			if _, loads := x.data[1]; loads {
				regs.set(x.data.number(1), e.packet.load(x))
			}
		case "bitwise":
			regs.set(x.data.number(2), regs.at(x.data.number(1)).bitwise(x))
		case "immediate":
			if x.data.number(1) == 0 {
				return applies, e.code(in, x.parts[2].nested(2), depth)
			}
			regs.set(x.data.number(1), value{bytes: x.constant(2)})
		case "reject":
			return applies, drop
		case "queue":
			return applies, accept | drop
		case "nat":
			if e.nat != nil && applies != isFalse {
				e.nat(x, regs)
			}
			return applies, accept
		case "masq", "redir", "tproxy":
			return applies, accept
		case "counter", "log", "notrack", "objref", "dup", "last":
		case "target":
			result, ends := e.target(x, regs, applies)
			if ends {
				return applies, result
			}
		case "lookup":
			is, result, ends := e.lookup(in, x, regs, depth)
			applies = applies.and(is)
			if ends && applies != isFalse {
				return applies, result
			}
		default:
			applies = applies.and(e.condition(x, regs))
		}
		if applies == isFalse {
			return isFalse, 0
		}
	}
	return applies, goOn
}

// code returns what the verdict of a rule may do.
func (e *evaluation) code(in chainKey, a attributes, depth int) outcomes {
	const toDrop, toAccept, toJump, toGoto, toReturn = 0, 1, -3, -4, -5
	target := e.ruleset.chains[chainKey{in.family, in.table, a.text(2)}]
	switch int32(a.number(1)) {
	case toDrop:
		return drop
	case toAccept:
		return accept
	case toJump:
		return e.chain(target, depth+1)
	case toGoto:
		result := e.chain(target, depth+1)
		if result == goOn {
			return 0 // it does not come back here
		}
		if result&goOn != 0 {
			return accept | drop | goOn
		}
		return result
	case toReturn:
		return 0
	}
	return goOn
}

// condition returns whether the expression lets the packet pass on.
func (e *evaluation) condition(x expression, regs registers) truth {
	switch x.name {
	case "cmp":
		return regs.at(x.data.number(1)).compare(x.data.number(2), x.constant(3))
	case "range":
		v := regs.at(x.data.number(1))
		within := v.compare(opMoreEq, x.constant(3)).and(v.compare(opLessEq, x.constant(4)))
		if x.data.number(2) == opNotEqual {
			return within.not()
		}
		return within
	case "match":
		return e.packet.match(x.data)
	}
	return either // limits, quotas, and what is newer than this program
}

// lookup looks up a register in a set or a map. A map of verdicts ends the rule.
func (e *evaluation) lookup(in chainKey, x expression, regs registers, depth int) (is truth, result outcomes, ends bool) {
	s := e.ruleset.sets[setKey{in.family, in.table, x.data.text(1)}]
	is, found := s.find(regs.at(x.data.number(2)))
	if _, maps := x.data[3]; maps {
		to := x.data.number(3)
		switch {
		case to == 0 && found != nil:
			return is, e.code(in, found.verdict, depth), true
		case to == 0:
			return is, accept | drop | goOn, true
		case found != nil:
			regs.set(to, value{bytes: found.data})
		default:
			regs.set(to, value{})
		}
		return is, goOn, false
	}
	if x.data.number(5)&1 != 0 {
		is = is.not()
	}
	return is, goOn, false
}
