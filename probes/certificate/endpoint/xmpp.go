package endpoint

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"hygiene_exporter/probes"
)

// The names of XMPP, RFC 6120 §4.8 and §5.
const (
	xmppStreams = "http://etherx.jabber.org/streams"
	xmppTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
)

// xmpp is the dialogue of XMPP between client and server or between servers,
// which differ in the name of their content (RFC 6120 §5.4).
func xmpp(content string) func(*conversation) error {
	return func(c *conversation) error {
		var to strings.Builder
		if err := xml.EscapeText(&to, []byte(c.name)); err != nil {
			return err
		}
		err := c.send(fmt.Sprintf("<?xml version='1.0'?><stream:stream to='%s' version='1.0' xml:lang='en' xmlns='%s' xmlns:stream='%s'>",
			to.String(), content, xmppStreams))
		if err != nil {
			return err
		}
		x := xmppReader{xml.NewDecoder(c.in)} // reads no further than it must, because c.in reads single bytes
		if err := x.opening(); err != nil {
			return err
		}
		offered, err := x.features()
		if err != nil {
			return err
		}
		if !offered {
			return refused(probes.Unsupported, "it does not offer starttls")
		}
		if err := c.send("<starttls xmlns='" + xmppTLS + "'/>"); err != nil {
			return err
		}
		return x.proceed()
	}
}

// An xmppReader reads the elements of a stream.
type xmppReader struct{ *xml.Decoder }

// element returns the next element that begins, and passes over everything
// else.
func (x xmppReader) element() (xml.Name, error) {
	for {
		token, err := x.Token()
		if err != nil {
			return xml.Name{}, xmppError(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name == (xml.Name{Space: xmppStreams, Local: "error"}) {
				return xml.Name{}, x.streamError()
			}
			return token.Name, nil
		case xml.EndElement:
			return xml.Name{}, refused(probes.Unavailable, "it ended the stream")
		case xml.Directive: // RFC 6120 §11.1
			return xml.Name{}, strange(string(token))
		}
	}
}

// xmppError makes what cannot be read a malformed answer; an error of the
// connection stays what it is.
func xmppError(err error) error {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		if strings.Contains(syntax.Msg, "unexpected EOF") {
			return io.ErrUnexpectedEOF
		}
		return probes.Because(probes.Malformed, err)
	}
	return err
}

// opening reads the beginning of the stream.
func (x xmppReader) opening() error {
	name, err := x.element()
	if err == nil && name != (xml.Name{Space: xmppStreams, Local: "stream"}) {
		return strange(name.Local)
	}
	return err
}

// features reads what the server offers and reports whether TLS is part of it.
func (x xmppReader) features() (offered bool, err error) {
	name, err := x.element()
	if err != nil {
		return false, err
	}
	if name != (xml.Name{Space: xmppStreams, Local: "features"}) {
		return false, strange(name.Local)
	}
	for depth := 1; depth > 0; {
		token, err := x.Token()
		if err != nil {
			return false, xmppError(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			offered = offered || depth == 1 && token.Name == (xml.Name{Space: xmppTLS, Local: "starttls"})
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return offered, nil
}

// proceed reads the answer to the request for TLS.
func (x xmppReader) proceed() error {
	name, err := x.element()
	switch {
	case err != nil:
		return err
	case name == xml.Name{Space: xmppTLS, Local: "failure"}:
		return refused(probes.Unavailable, "failure")
	case name != xml.Name{Space: xmppTLS, Local: "proceed"}:
		return strange(name.Local)
	}
	// The end of the element comes with it or, if written out, behind it.
	return xmppError(x.Skip())
}

// streamError reads why a server ends a stream, RFC 6120 §4.9.
func (x xmppReader) streamError() error {
	reason := probes.Unavailable
	name, err := x.element()
	if err != nil {
		return err
	}
	if name.Local == "host-unknown" || name.Local == "improper-addressing" {
		reason = probes.NotFound
	}
	return refused(reason, name.Local)
}
