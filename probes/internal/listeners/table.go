package listeners

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"strconv"

	"hygiene_exporter/probes"
)

// A table is a file below /proc/net.
type table struct {
	name  string
	parse func(line [][]byte) (l Listener, verdict verdict, err error)
}

// A verdict says what a line of a table means.
type verdict int

const (
	skip verdict = iota // no listener
	take                // a listener
	last                // neither this line nor any that follows is a listener
)

// tables lists where the listeners of a protocol stand. The kernel has no table
// of vsock sockets.
func tables() map[Protocol][]table {
	inet := func(state uint8, names ...string) (list []table) {
		for _, name := range names {
			list = append(list, table{name, func(line [][]byte) (Listener, verdict, error) { return inetLine(line, state) }})
		}
		return list
	}
	return map[Protocol][]table{
		TCP:     inet(stateListen, "tcp", "tcp6"),
		UDP:     inet(stateClose, "udp", "udp6"),
		UDPLite: inet(stateClose, "udplite", "udplite6"),
		Raw:     inet(stateClose, "raw", "raw6"),
		SCTP:    {{"sctp/eps", sctpLine}},
		Packet:  {{"packet", packetLine}},
		Unix:    {{"unix", unixLine}},
	}
}

// read lists by the tables.
func (v *View) read(protocol Protocol) ([]Listener, error) {
	if v.proc == "" { // no process lives there
		return nil, cmp.Or(v.closed, ErrBlind)
	}
	if len(tables()[protocol]) == 0 {
		return nil, v.without(protocol)
	}
	var (
		list    []Listener
		errs    []error
		missing int
	)
	for _, t := range tables()[protocol] {
		file, err := v.source.files.Open(v.proc + "/" + t.name)
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err == nil {
			var found []Listener
			found, err = t.scan(file)
			list = append(list, found...)
			file.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", v.proc, t.name, err))
		}
	}
	for i := range list {
		list[i].Protocol = protocol
	}
	if missing == len(tables()[protocol]) {
		return nil, v.absent()
	}
	return list, errors.Join(errs...)
}

// used reports whether there are any sockets of a protocol that is seldom used,
// by the count that the kernel keeps for each namespace. Its tables are cheap to
// fill and expensive to look through.
func (v *View) used(protocol Protocol) (known, some bool) {
	names := map[Protocol][]string{
		UDPLite: {"UDP-Lite", "UDPLITEv6"}, Raw: {"RAW", "RAWv6"}, SCTP: {"SCTP", "SCTPv6"},
	}[protocol]
	if v.counts == nil {
		v.counts = map[string]int{}
		if v.proc != "" { // else no process lives there
			if data, err := v.source.files.ReadFile(v.proc+"/protocols", 1<<20); err == nil {
				v.counts = protocolCounts(data)
			}
		}
	}
	for _, name := range names {
		count, has := v.counts[name]
		known, some = known || has, some || has && count != 0
	}
	return known, some
}

// protocolCounts reads how many sockets each protocol has from
// /proc/net/protocols. Where the kernel does not count, it prints -1.
func protocolCounts(data []byte) map[string]int {
	counts := map[string]int{}
	for line := range bytes.Lines(data) {
		f := bytes.Fields(line)
		if len(f) < 3 {
			continue
		}
		if count, err := strconv.Atoi(string(f[2])); err == nil {
			counts[string(f[0])] = count
		}
	}
	return counts
}

// absent returns what it means that no table of a protocol is there.
func (v *View) absent() error {
	if _, err := v.source.files.Stat(v.proc + "/protocols"); err != nil {
		return err // there is no process, or no procfs
	}
	return ErrAbsent
}

// without returns what it means that a protocol has no table at all.
func (v *View) without(protocol Protocol) error {
	known, err := v.source.files.ReadFile(v.proc+"/protocols", 1<<20)
	switch {
	case err != nil:
		return err
	case protocol == Vsock && !bytes.Contains(known, []byte("\nAF_VSOCK ")):
		return ErrAbsent
	}
	return ErrBlind
}

// scan reads a table. A line that is none is an error, and hides no other.
func (t table) scan(r io.Reader) ([]Listener, error) {
	var (
		list  []Listener
		wrong error
		lines = bufio.NewScanner(r)
	)
	lines.Buffer(make([]byte, 0, 16<<10), 1<<20)
	for first := true; lines.Scan(); first = false {
		if first || len(lines.Bytes()) == 0 {
			continue // names of columns
		}
		l, verdict, err := t.parse(bytes.Fields(lines.Bytes()))
		if err != nil && wrong == nil {
			wrong = probes.Because(probes.Malformed, fmt.Errorf("line %.120q: %w", lines.Bytes(), err))
		}
		if verdict == last {
			break
		}
		if verdict == take && err == nil {
			list = append(list, l)
		}
	}
	return list, errors.Join(wrong, lines.Err())
}

var errColumns = errors.New("has too few columns")

// inetLine reads a line of the tables that net/ipv4/tcp_ipv4.c and its
// relatives print.
func inetLine(f [][]byte, state uint8) (l Listener, v verdict, err error) {
	if len(f) < 10 {
		return l, skip, errColumns
	}
	is, err := strconv.ParseUint(string(f[3]), 16, 8)
	if err != nil {
		return l, skip, err
	}
	if uint8(is) != state {
		const established, timeWait = 1, 6
		// The kernel prints the listening sockets of TCP first; old ones print
		// half-open connections among them.
		if state == stateListen && (is == established || is == timeWait) {
			return l, last, nil
		}
		return l, skip, nil
	}
	address, port, _ := bytes.Cut(f[1], []byte(":"))
	if l.Address, err = hexAddress(address); err != nil {
		return l, skip, err
	}
	number, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return l, skip, err
	}
	l.Port = uint32(number)
	return l, take, l.owner(f[7], f[9])
}

// hexAddress reads an address that is printed as words in the byte order of the
// host.
func hexAddress(text []byte) (netip.Addr, error) {
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.Addr{}, fmt.Errorf("%.40q is no address", text)
	}
	for word := raw; len(word) >= 4; word = word[4:] {
		native.PutUint32(word, uint32(word[0])<<24|uint32(word[1])<<16|uint32(word[2])<<8|uint32(word[3]))
	}
	address, _ := netip.AddrFromSlice(raw)
	return address.Unmap(), nil
}

// owner reads the columns of the user and of the inode.
func (l *Listener) owner(uid, inode []byte) error {
	user, err := strconv.ParseUint(string(uid), 10, 32)
	if err != nil {
		return err
	}
	l.UID, l.HasUID = uint32(user), true
	l.Inode, err = strconv.ParseUint(string(inode), 10, 64)
	return err
}

// sctpLine reads a line of /proc/net/sctp/eps.
func sctpLine(f [][]byte) (l Listener, v verdict, err error) {
	if len(f) < 8 {
		return l, skip, errColumns
	}
	state, err := strconv.Atoi(string(f[3]))
	if err != nil || state != stateListen {
		return l, skip, err
	}
	port, err := strconv.ParseUint(string(f[5]), 10, 16)
	if err != nil {
		return l, skip, err
	}
	l.Port, l.Address = uint32(port), netip.IPv6Unspecified()
	if len(f) > 8 {
		// One of several addresses may have an asterisk.
		if l.Address, err = netip.ParseAddr(string(bytes.TrimPrefix(f[8], []byte("*")))); err != nil {
			return l, skip, err
		}
		l.Address = l.Address.Unmap()
	}
	return l, take, l.owner(f[6], f[7])
}

// packetLine reads a line of /proc/net/packet.
func packetLine(f [][]byte) (l Listener, v verdict, err error) {
	if len(f) < 9 {
		return l, skip, errColumns
	}
	kind, err := strconv.ParseUint(string(f[3]), 16, 16)
	if err != nil {
		return l, skip, err
	}
	device, err := strconv.ParseUint(string(f[4]), 10, 32)
	if err != nil {
		return l, skip, err
	}
	l.Port, l.Device = uint32(kind), uint32(device)
	return l, take, l.owner(f[7], f[8])
}

// unixLine reads a line of /proc/net/unix.
func unixLine(f [][]byte) (l Listener, v verdict, err error) {
	if len(f) < 7 {
		return l, skip, errColumns
	}
	flags, err := strconv.ParseUint(string(f[3]), 16, 32)
	if err != nil {
		return l, skip, err
	}
	const accepts = 1 << 16 // SO_ACCEPTCON
	if flags&accepts == 0 {
		return l, skip, nil
	}
	l.Path = string(bytes.Join(f[7:], []byte(" ")))
	l.Inode, err = strconv.ParseUint(string(f[6]), 10, 64)
	return l, take, err
}
