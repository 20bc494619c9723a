package endpoint

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
)

// smtp is the dialogue of SMTP and submission (RFC 3207), and with another verb
// that of LMTP (RFC 2033).
func smtp(verb string) func(*conversation) error {
	return func(c *conversation) error {
		if _, err := c.expect(220); err != nil {
			return err
		}
		if err := c.send(verb + " " + c.self() + "\r\n"); err != nil {
			return err
		}
		hello, err := c.expect(250)
		if err != nil {
			return err
		}
		if !hello.has("STARTTLS") {
			return refused(probes.Unsupported, "it does not offer STARTTLS")
		}
		if err := c.send("STARTTLS\r\n"); err != nil {
			return err
		}
		_, err = c.expect(220)
		return err
	}
}

// self names this host as one without a name does, RFC 5321 §4.1.3.
func (c *conversation) self() string {
	tcp, ok := c.local.(*net.TCPAddr)
	if !ok {
		return "localhost"
	}
	address, _ := netip.AddrFromSlice(tcp.IP)
	if address = address.Unmap(); address.Is6() {
		return "[IPv6:" + address.WithZone("").String() + "]"
	}
	return "[" + address.String() + "]"
}

// imap is the dialogue of IMAP, RFC 9051 §6.2.1.
func imap(c *conversation) error {
	greeting, err := c.line()
	switch {
	case err != nil:
		return err
	case hasWord(greeting, "* BYE"):
		return refused(probes.Unavailable, greeting)
	case hasWord(greeting, "* PREAUTH"): // STARTTLS is for the state before authentication only
		return refused(probes.Unsupported, greeting)
	case !hasWord(greeting, "* OK"):
		return strange(greeting)
	}
	if err := c.send("a1 STARTTLS\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.line()
		switch {
		case err != nil:
			return err
		case hasWord(line, "* BYE"):
			return refused(probes.Unavailable, line)
		case strings.HasPrefix(line, "* "):
			// It may report at any time what nobody asked for.
		case hasWord(line, "a1 OK"):
			return nil
		case hasWord(line, "a1 NO"), hasWord(line, "a1 BAD"):
			return refused(probes.Unsupported, line)
		default:
			return strange(line)
		}
	}
}

// pop3 is the dialogue of POP3, RFC 2595 §4.
func pop3(c *conversation) error {
	if err := c.affirmed(probes.Unavailable); err != nil {
		return err
	}
	if err := c.send("STLS\r\n"); err != nil {
		return err
	}
	return c.affirmed(probes.Unsupported)
}

// affirmed reads +OK, RFC 1939 §3. Another status means this reason.
func (c *conversation) affirmed(otherwise probes.Reason) error {
	line, err := c.line()
	switch {
	case err != nil:
		return err
	case hasWord(line, "+OK"):
		return nil
	case hasWord(line, "-ERR"):
		return refused(otherwise, line)
	}
	return strange(line)
}

// sieve is the dialogue of ManageSieve, RFC 5804 §2.2. The greeting of the server
// is a list of what it can do.
func sieve(c *conversation) error {
	offered := false
	for {
		line, err := c.literal()
		if err != nil {
			return err
		}
		if done, err := sieveStatus(line, probes.Unavailable); err != nil {
			return err
		} else if done {
			break
		}
		if !strings.HasPrefix(line, `"`) {
			return strange(line)
		}
		offered = offered || hasWord(line, `"STARTTLS"`)
	}
	if !offered {
		return refused(probes.Unsupported, "it does not offer STARTTLS")
	}
	if err := c.send("STARTTLS\r\n"); err != nil {
		return err
	}
	line, err := c.literal()
	if err != nil {
		return err
	}
	done, err := sieveStatus(line, probes.Unsupported)
	if err == nil && !done {
		return strange(line)
	}
	return err
}

// sieveStatus reports whether a line ends an answer of ManageSieve. A NO means
// this reason.
func sieveStatus(line string, otherwise probes.Reason) (done bool, err error) {
	switch {
	case hasWord(line, "OK"):
		return true, nil
	case hasWord(line, "NO"):
		return false, refused(otherwise, line)
	case hasWord(line, "BYE"):
		return false, refused(probes.Unavailable, line)
	}
	return false, nil
}

// literal reads a line with the literals in it: strings that are announced by
// their length, such as {5}, and may hold the end of a line (RFC 5804 §1.2).
func (c *conversation) literal() (string, error) {
	line, err := c.line()
	if err != nil {
		return "", err
	}
	for range maxLines {
		start, size := announced(line)
		if start < 0 {
			return line, nil
		}
		text, err := c.bytes(size)
		if err != nil {
			return "", err
		}
		rest, err := c.line()
		if err != nil {
			return "", err
		}
		line = line[:start] + strconv.Quote(string(text)) + rest
	}
	return "", errTalkative
}

// announced returns where the announcement of a literal begins and the size of
// the literal; below 0 when the line ends in none.
func announced(line string) (start, size int) {
	start = strings.LastIndexByte(line, '{')
	digits, closed := strings.CutSuffix(line[start+1:], "}")
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, "+"), 10, 31)
	if start < 0 || !closed || err != nil {
		return -1, 0
	}
	return start, int(n)
}

// hasWord reports whether a line begins with these words, in either case, and
// nothing else is grown onto them.
func hasWord(line, words string) bool {
	if len(line) < len(words) || !strings.EqualFold(line[:len(words)], words) {
		return false
	}
	return len(line) == len(words) || line[len(words)] == ' '
}
