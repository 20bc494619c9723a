package endpoint

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// A protocol is how a server is brought to begin TLS, and how it is left in
// peace afterwards.
type protocol struct {
	name string
	// begin holds the dialogue up to the word of the server that TLS may begin.
	begin func(*conversation) error
	// end takes leave within TLS, so that the server logs no lost connection;
	// nil if there is no polite word.
	end func(*conversation) error
}

// protocols lists every dialogue.
func protocols() []protocol {
	return []protocol{
		{"smtp", smtp("EHLO"), say("QUIT\r\n")},
		{"submission", smtp("EHLO"), say("QUIT\r\n")},
		{"lmtp", smtp("LHLO"), say("QUIT\r\n")},
		{"imap", imap, say("a2 LOGOUT\r\n")},
		{"pop3", pop3, say("QUIT\r\n")},
		{"sieve", sieve, say("LOGOUT\r\n")},
		{"ftp", ftp, say("QUIT\r\n")},
		{"ldap", ldap, say(ldapUnbind)},
		{"postgres", postgres, nil},
		{"mysql", mysql, mysqlEnd},
		{"xmpp-client", xmpp("jabber:client"), nil},
		{"xmpp-server", xmpp("jabber:server"), nil},
		{"nntp", nntp, say("QUIT\r\n")},
	}
}

// Protocols lists the names that Target.StartTLS may have.
func Protocols() (names []string) {
	for _, p := range protocols() {
		names = append(names, p.name)
	}
	return names
}

func protocolOf(name string) (protocol, bool) {
	for _, p := range protocols() {
		if p.name == name {
			return p, true
		}
	}
	return protocol{}, false
}

// startTLS holds the dialogue of the target, if it has one.
func startTLS(conn net.Conn, t Target) error {
	if t.StartTLS == "" {
		return nil
	}
	p, known := protocolOf(t.StartTLS)
	if !known {
		return probes.Because(probes.Unsupported, fmt.Errorf("%.40q is no protocol that is known here", t.StartTLS))
	}
	c := newConversation(conn, t.ServerName)
	c.local = conn.LocalAddr()
	return c.hold(p.begin)
}

// courtesy is how long taking leave may take.
const courtesy = time.Second

// farewell ends a session as its protocol wants it. What comes of it is of no
// interest: everything is known.
func farewell(session *tls.Conn, t Target) {
	if p, known := protocolOf(t.StartTLS); known && p.end != nil {
		_ = session.SetDeadline(time.Now().Add(courtesy))
		_ = p.end(newConversation(session, t.ServerName))
	}
	_ = session.Close()
}

// say makes a farewell of fixed words.
func say(words string) func(*conversation) error {
	return func(c *conversation) error { return c.send(words) }
}

// What a server may say before TLS begins.
const (
	maxSpoken = 64 << 10
	maxLine   = 8 << 10
	maxLines  = 500
)

// A conversation is a dialogue with a server, who may say a bounded number of
// bytes and lines.
type conversation struct {
	in    *bufio.Reader
	out   io.Writer
	name  string   // of the server
	local net.Addr // our own; nil if not known
	lines int
}

func newConversation(peer io.ReadWriter, name string) *conversation {
	spoken := &bounded{from: peer, left: maxSpoken}
	return &conversation{in: bufio.NewReaderSize(spoken, maxLine), out: peer, name: name, lines: maxLines}
}

var (
	errTalkative  = probes.Because(probes.TooLarge, errors.New("the server says more than any server has to say before TLS"))
	errForward    = probes.Because(probes.Malformed, errors.New("the server went on in clear text after it had agreed to begin TLS"))
	errBareReturn = probes.Because(probes.Malformed, errors.New("a line without its end"))
)

// hold holds a dialogue. Nothing may follow the server's agreement but TLS, and
// in TLS the client speaks first: what has come already was injected.
func (c *conversation) hold(dialogue func(*conversation) error) error {
	if err := dialogue(c); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the server ended the connection before TLS: %w", io.ErrUnexpectedEOF)
		}
		return err
	}
	if c.in.Buffered() > 0 {
		return errForward
	}
	return nil
}

// line reads one line, without its end.
func (c *conversation) line() (string, error) {
	if c.lines--; c.lines < 0 {
		return "", errTalkative
	}
	text, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errTalkative
	case errors.Is(err, io.EOF) && len(text) > 0:
		return "", errBareReturn
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// bytes reads exactly n bytes.
func (c *conversation) bytes(n int) ([]byte, error) {
	if n < 0 || n > maxSpoken {
		return nil, errTalkative
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(c.in, data); err != nil {
		return nil, err
	}
	return data, nil
}

func (c *conversation) send(text string) error {
	_, err := io.WriteString(c.out, text)
	return err
}

// refused is the answer of a server that does not begin TLS.
func refused(reason probes.Reason, answer string) error {
	return probes.Because(reason, fmt.Errorf("the server does not begin TLS: %.120q", answer))
}

// strange is an answer that does not belong to the protocol.
func strange(answer string) error {
	return probes.Because(probes.Malformed, fmt.Errorf("not an answer of this protocol: %.80q", answer))
}

// A bounded reader ends in an error, not as if the other side had ended.
type bounded struct {
	from io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTalkative
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
