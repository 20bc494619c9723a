package endpoint

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// A peer is a server that takes turns with its client, without time.
type peer struct {
	steps []string // what it says, and what it expects to hear, by turns
	heard string
}

// Read implements io.Reader.
func (p *peer) Read(b []byte) (int, error) {
	if len(p.steps) == 0 || p.steps[0] == "" {
		return 0, io.EOF
	}
	n := copy(b, p.steps[0])
	p.steps[0] = p.steps[0][n:]
	return n, nil
}

// Write implements io.Writer.
func (p *peer) Write(b []byte) (int, error) {
	p.heard += string(b)
	if len(p.steps) > 1 && p.heard == p.steps[1] {
		p.steps, p.heard = p.steps[2:], ""
	}
	return len(b), nil
}

const (
	xmppOpen = "<?xml version='1.0'?><stream:stream to='server.test' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	xmppHead = "<?xml version='1.0'?><stream:stream id='1' from='server.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	xmppAsk  = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	xmppYes  = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
	ldapYes  = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
	// A greeting of MariaDB: version, thread, salt, and capabilities with SSL.
	mysqlHello   = "\x26\x00\x00\x00\x0a10.11.19\x00\x01\x00\x00\x0012345678\x00\xfe\xff\x2d\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x00"
	mysqlRequest = "\x20\x00\x00\x01\x00\x8a\x00\x00\xff\xff\xff\x00\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	pgRequest    = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
)

// good holds a dialogue of each protocol that ends in TLS.
func good() map[string][]string {
	mail := func(verb string) []string {
		return []string{"220-mail\r\n220 ready\r\n", verb + " localhost\r\n", "250-mail\r\n250-SIZE 1\r\n250-starttls\r\n250 DSN\r\n", "STARTTLS\r\n", "220 go\r\n"}
	}
	server := func(s string) string { return strings.ReplaceAll(s, "jabber:client", "jabber:server") }
	return map[string][]string{
		"smtp":        mail("EHLO"),
		"submission":  mail("EHLO"),
		"lmtp":        mail("LHLO"),
		"imap":        {"* OK [CAPABILITY IMAP4rev1] ready\r\n", "a1 STARTTLS\r\n", "* OK still here\r\na1 OK go\r\n"},
		"pop3":        {"+OK ready <1@x>\r\n", "STLS\r\n", "+OK\r\n"},
		"sieve":       {"\"IMPLEMENTATION\" {7+}\r\nx\r\nOK y\r\n\"STARTTLS\"\r\nOK {2}\r\nhi\r\n", "STARTTLS\r\n", "ok \"go\"\r\n"},
		"ftp":         {"220-hello\r\n all is text\r\n220-even this\r\n220 ready\r\n", "AUTH TLS\r\n", "234 go\r\n"},
		"ldap":        {"", ldapStartTLS, ldapYes},
		"postgres":    {"", pgRequest, "S"},
		"mysql":       {mysqlHello, mysqlRequest, ""},
		"xmpp-client": {"", xmppOpen, xmppHead + xmppYes, xmppAsk, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
		"xmpp-server": {"", server(xmppOpen), server(xmppHead) + xmppYes, xmppAsk, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"},
		"nntp":        {"201 no posting\r\n", "STARTTLS\r\n", "382 go\r\n"},
	}
}

func talk(name string, steps []string) error {
	p, _ := protocolOf(name)
	return newConversation(&peer{steps: append([]string(nil), steps...)}, "server.test").hold(p.begin)
}

func TestEveryProtocolHasADialogueThatEndsInTLS(t *testing.T) {
	dialogues := good()
	for _, name := range Protocols() {
		if err := talk(name, dialogues[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(dialogues) != len(Protocols()) {
		t.Errorf("%d dialogues for %d protocols", len(dialogues), len(Protocols()))
	}
}

// What comes behind the server's agreement in clear text was put there by
// somebody else (CVE-2011-0411 and its kind).
func TestAServerThatGoesOnInClearTextIsRefused(t *testing.T) {
	for name, steps := range good() {
		if name == "mysql" { // its client speaks last
			continue
		}
		steps[len(steps)-1] += "220 injected\r\n"
		if err := talk(name, steps); !errors.Is(err, errForward) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every dialogue that is broken off ends as a lost connection, wherever that is.
func TestAServerThatEndsEarlyIsLost(t *testing.T) {
	for name, steps := range good() {
		for n := 0; n < len(steps); n += 2 {
			for cut := range len(steps[n]) {
				short := append(append([]string(nil), steps[:n]...), steps[n][:cut])
				switch reason := reasonOf(talk(name, short)); reason {
				case probes.Network, probes.Malformed:
				default:
					t.Errorf("%s after %q: %s", name, short[n], reason)
				}
			}
		}
	}
}

func TestServersThatDoNotBeginTLS(t *testing.T) {
	imapAsk := func(answer string) []string { return []string{"* OK\r\n", "a1 STARTTLS\r\n", answer} }
	mail := func(rest ...string) []string { return append([]string{"220 mail\r\n", "EHLO localhost\r\n"}, rest...) }
	xmppAfter := func(answer string) []string { return []string{"", xmppOpen, answer} }
	for _, row := range []struct {
		name, protocol string
		steps          []string
		want           probes.Reason
	}{
		{"SMTP without the extension", "smtp", mail("250-mail\r\n250 NOSTARTTLS\r\n"), probes.Unsupported},
		{"SMTP that offers it and refuses", "smtp", mail("250 STARTTLS\r\n", "STARTTLS\r\n", "502 no\r\n"), probes.Unsupported},
		{"SMTP that offers it and has no certificate at the moment", "smtp", mail("250 STARTTLS\r\n", "STARTTLS\r\n", "454 not now\r\n"), probes.Unavailable},
		{"SMTP that wants nobody to connect", "smtp", []string{"554 no\r\n"}, probes.Unsupported},
		{"SMTP with too many clients", "smtp", []string{"421 busy\r\n"}, probes.Unavailable},
		{"SMTP whose numbers change within a reply", "smtp", []string{"220-a\r\n250 b\r\n"}, probes.Malformed},
		{"SMTP with another kind of success", "smtp", []string{"250 hello\r\n"}, probes.Malformed},
		{"SMTP that is SSH", "smtp", []string{"SSH-2.0-OpenSSH_9.2\r\n"}, probes.Malformed},
		{"LMTP where SMTP speaks", "lmtp", []string{"220 mail\r\n", "LHLO localhost\r\n", "502 what\r\n"}, probes.Unsupported},
		{"IMAP that refuses", "imap", imapAsk("a1 NO not here\r\n"), probes.Unsupported},
		{"IMAP that does not know it", "imap", imapAsk("a1 BAD what\r\n"), probes.Unsupported},
		{"IMAP that goes away", "imap", imapAsk("* BYE\r\n"), probes.Unavailable},
		{"IMAP with the tag of another command", "imap", imapAsk("a2 OK\r\n"), probes.Malformed},
		{"IMAP whose word has grown", "imap", imapAsk("a1 OKAY\r\n"), probes.Malformed},
		{"IMAP that is logged in from the start", "imap", []string{"* PREAUTH hi\r\n"}, probes.Unsupported},
		{"IMAP with too many clients", "imap", []string{"* BYE busy\r\n"}, probes.Unavailable},
		{"IMAP that is POP3", "imap", []string{"+OK ready\r\n"}, probes.Malformed},
		{"POP3 that refuses", "pop3", []string{"+OK\r\n", "STLS\r\n", "-ERR no\r\n"}, probes.Unsupported},
		{"POP3 with too many clients", "pop3", []string{"-ERR busy\r\n"}, probes.Unavailable},
		{"POP3 that is IMAP", "pop3", []string{"* OK\r\n"}, probes.Malformed},
		{"Sieve without the extension", "sieve", []string{"\"SIEVE\" \"x STARTTLS\"\r\nOK\r\n"}, probes.Unsupported},
		{"Sieve that hides the extension in a literal", "sieve", []string{"\"SIEVE\" {12}\r\n\"STARTTLS\"\r\n\r\nOK\r\n"}, probes.Unsupported},
		{"Sieve that refuses", "sieve", []string{"\"STARTTLS\"\r\nOK\r\n", "STARTTLS\r\n", "NO (TRYLATER) \"x\"\r\n"}, probes.Unsupported},
		{"Sieve that goes away", "sieve", []string{"BYE \"busy\"\r\n"}, probes.Unavailable},
		{"Sieve that announces a huge literal", "sieve", []string{"\"A\" {2147483647}\r\n"}, probes.TooLarge},
		{"FTP that does not know it", "ftp", []string{"220 x\r\n", "AUTH TLS\r\n", "500 what\r\n"}, probes.Unsupported},
		{"FTP that wants a login first", "ftp", []string{"220 x\r\n", "AUTH TLS\r\n", "530 no\r\n"}, probes.Unsupported},
		{"FTP that is not ready yet", "ftp", []string{"120 in 5 minutes\r\n"}, probes.Unavailable},
		{"FTP with too many clients", "ftp", []string{"421 busy\r\n"}, probes.Unavailable},
		{"LDAP that does not know it", "ldap", []string{"", ldapStartTLS, "\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x02\x04\x00\x04\x02no"}, probes.Unsupported},
		{"LDAP that is busy", "ldap", []string{"", ldapStartTLS, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x33\x04\x00\x04\x00"}, probes.Unavailable},
		{"LDAP that disconnects", "ldap", []string{"", ldapStartTLS, "\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00"}, probes.Unavailable},
		{"LDAP with the answer to another request", "ldap", []string{"", ldapStartTLS, "\x30\x0c\x02\x01\x07\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, probes.Malformed},
		{"LDAP with another answer", "ldap", []string{"", ldapStartTLS, "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"}, probes.Malformed},
		{"LDAP with a huge answer", "ldap", []string{"", ldapStartTLS, "\x30\x84\x7f\xff\xff\xff"}, probes.TooLarge},
		{"LDAP with an open length", "ldap", []string{"", ldapStartTLS, "\x30\x80\x02"}, probes.Malformed},
		{"LDAP with lengths as Active Directory writes them", "ldap", []string{"", ldapStartTLS, "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}, ""},
		{"PostgreSQL without TLS", "postgres", []string{"", pgRequest, "N"}, probes.Unsupported},
		{"PostgreSQL with too many clients", "postgres", []string{"", pgRequest, "EFATAL"}, probes.Unavailable},
		{"PostgreSQL that is HTTP", "postgres", []string{"", pgRequest, "HTTP/1.1 400"}, probes.Malformed},
		{"MySQL without TLS", "mysql", []string{strings.Replace(mysqlHello, "\xfe\xff", "\xfe\xf7", 1)}, probes.Unsupported},
		{"MySQL with too many clients", "mysql", []string{"\x17\x00\x00\x00\xff\x10\x04Too many connections"}, probes.Unavailable},
		{"MySQL that blocks this host", "mysql", []string{"\x0a\x00\x00\x00\xff\x69\x04blocked"}, probes.PermissionDenied},
		{"MySQL of another age", "mysql", []string{"\x04\x00\x00\x00\x09abc"}, probes.Unsupported},
		{"MySQL with a huge greeting", "mysql", []string{"\xff\xff\xff\x00\x0a"}, probes.Malformed},
		{"MySQL with an empty greeting", "mysql", []string{"\x00\x00\x00\x00"}, probes.Malformed},
		{"MySQL with a short error", "mysql", []string{"\x01\x00\x00\x00\xff"}, probes.Malformed},
		{"XMPP without the feature", "xmpp-client", xmppAfter(xmppHead + "<stream:features><x><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x></stream:features>"), probes.Unsupported},
		{"XMPP that fails to begin", "xmpp-client", []string{"", xmppOpen, xmppHead + xmppYes, xmppAsk, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}, probes.Unavailable},
		{"XMPP for another host", "xmpp-client", xmppAfter(xmppHead + "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"), probes.NotFound},
		{"XMPP that ends the stream", "xmpp-client", xmppAfter(xmppHead + "</stream:stream>"), probes.Unavailable},
		{"XMPP with a document type", "xmpp-client", xmppAfter("<!DOCTYPE x [<!ENTITY a 'b'>]>"), probes.Malformed},
		{"XMPP that is another stream", "xmpp-client", xmppAfter("<stream>"), probes.Malformed},
		{"XMPP that is HTTP", "xmpp-client", xmppAfter("HTTP/1.1 400 Bad Request\r\n\r\n<html></p>"), probes.Malformed},
		{"NNTP that refuses", "nntp", []string{"200 x\r\n", "STARTTLS\r\n", "580 no\r\n"}, probes.Unsupported},
		{"NNTP that is busy", "nntp", []string{"400 x\r\n"}, probes.Unavailable},
		{"NNTP with a bare number", "nntp", []string{"200\r\n", "STARTTLS\r\n", "400\r\n"}, probes.Unavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := talk(row.protocol, row.steps)
			var got probes.Reason
			if err != nil {
				got = reasonOf(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
