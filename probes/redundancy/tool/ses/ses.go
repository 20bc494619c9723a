// Package ses reads what a SAS enclosure says of its power supplies, fans and
// controllers, of which the kernel tells nothing: the diagnostic pages of SES-3,
// as sg_ses prints them.
package ses

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// kinds are the elements that an enclosure has more than one of so that one may
// fail. How many it needs it does not say; it is taken to be built so that one of
// each may fail.
func kinds() map[byte]struct{ name, member string } {
	return map[byte]struct{ name, member string }{
		0x02: {"power", "power supply"}, 0x03: {"cooling", "fan"}, 0x07: {"controllers", "controller"},
	}
}

// states are the status codes of SES-3. An enclosure says of what works, and needs
// attention, that it is noncritical.
func states() []string {
	return []string{"unsupported", "OK", "critical", "noncritical", "unrecoverable", "not installed", "unknown", "not available", "access denied"}
}

// element is the head of the elements of one type.
type element struct {
	kind  byte
	count int
}

// Parse reads the configuration and the status, which are the pages 1 and 2 as
// "sg_ses --page=1 -rr" and "--page=2 -rr" print them.
func Parse(configuration, status []byte) ([]group.Group, error) {
	id, elements, err := parseConfiguration(configuration)
	if err != nil {
		return nil, err
	}
	body, err := page(2, status)
	if err != nil {
		return nil, err
	}
	if string(body[:4]) != string(configuration[4:8]) {
		return nil, probes.Because(probes.Unavailable, errors.New("the enclosure changed while it was asked"))
	}
	body = body[4:]
	groups := map[byte]*group.Group{}
	var order []byte
	for _, e := range elements {
		if len(body) < 4*(e.count+1) {
			return nil, malformed("the status ends before all elements were told")
		}
		all := body[4 : 4*(e.count+1)] // behind that of the elements together
		body = body[4*(e.count+1):]
		kind, wanted := kinds()[e.kind]
		if !wanted {
			continue
		}
		g := groups[e.kind]
		if g == nil {
			g = &group.Group{Kind: group.Enclosure, Name: id + "/" + kind.name, Known: true, Ordinary: true}
			groups[e.kind], order = g, append(order, e.kind)
		}
		for i := range e.count {
			add(g, kind.member+" "+strconv.Itoa(len(g.Members)), all[4*i])
		}
	}
	var list []group.Group
	for _, kind := range order {
		if g := groups[kind]; judge(g) {
			list = append(list, *g)
		}
	}
	return list, nil
}

// add takes in one element by the first byte of its status.
func add(g *group.Group, name string, status byte) {
	code := int(status & 0x0f)
	m := group.Member{ID: name, Name: name, State: "code " + strconv.Itoa(code)}
	if code < len(states()) {
		m.State = states()[code]
	} else {
		g.Unclear(group.Word("the status of "+name, m.State))
	}
	switch m.State {
	case "OK", "noncritical":
		m.Active = true
	case "critical", "unrecoverable":
	default:
		m.Spare = true // an empty place is none; what was in it before is remembered elsewhere
	}
	if status&0x40 != 0 {
		m.State += ", it predicts a failure"
	}
	g.Members = append(g.Members, m)
}

// judge fills in what survives, and reports whether there is anything.
func judge(g *group.Group) bool {
	g.Expected = g.Present()
	g.Design = min(1, max(0, g.Expected-1))
	g.Tolerated = g.Design - (g.Expected - g.Active())
	if g.Active() > 0 {
		g.Tolerated = max(0, g.Tolerated)
	}
	return g.Expected > 0 || g.Err != nil
}

func malformed(text string) error {
	return probes.Because(probes.Malformed, errors.New(text))
}

// page returns what a page holds behind its first four bytes, at least four bytes
// with its generation.
func page(number byte, data []byte) ([]byte, error) {
	if len(data) < 8 || data[0] != number {
		return nil, malformed(fmt.Sprintf("this is no page %d of an enclosure", number))
	}
	length := int(binary.BigEndian.Uint16(data[2:]))
	if length < 4 || len(data) < 4+length {
		return nil, malformed(fmt.Sprintf("page %d is shorter than it says", number))
	}
	return data[4 : 4+length], nil
}

// parseConfiguration returns the identity of the enclosure, as the kernel writes
// it, and the types of its elements in their order.
func parseConfiguration(data []byte) (id string, elements []element, err error) {
	body, err := page(1, data)
	if err != nil {
		return "", nil, err
	}
	body = body[4:]
	types := 0
	for part := range int(data[1]) + 1 { // the enclosure, and enclosures in it
		if len(body) < 12 || len(body) < int(body[3])+4 {
			return "", nil, malformed("the configuration ends within an enclosure")
		}
		if part == 0 {
			id = fmt.Sprintf("0x%x", body[4:12])
		}
		types += int(body[2])
		body = body[int(body[3])+4:]
	}
	if len(body) < 4*types {
		return "", nil, malformed("the configuration ends before all elements were told")
	}
	for i := range types {
		elements = append(elements, element{kind: body[4*i], count: int(body[4*i+1])})
	}
	return id, elements, nil
}
