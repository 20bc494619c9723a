package endpoint

import (
	"fmt"

	"hygiene_exporter/probes"
)

const (
	// ldapStartTLS is the extended request of RFC 4511 §4.14 in a message with
	// the number 1.
	ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	// ldapUnbind is the request of RFC 4511 §4.3 in a message with the number 2.
	ldapUnbind = "\x30\x05\x02\x01\x02\x42\x00"
)

// The tags of an answer, RFC 4511 §4.1.1 and §4.12.
const (
	berInteger    = 0x02
	berEnumerated = 0x0a
	berSequence   = 0x30
	ldapExtended  = 0x78
)

// The results that mean that it may work later, RFC 4511 appendix A.2.
const (
	ldapSuccess     = 0
	ldapBusy        = 51
	ldapUnavailable = 52
)

// maxLDAP bounds the answer to the request.
const maxLDAP = 16 << 10

// ldap is the dialogue of LDAP, RFC 4511 §4.14.
func ldap(c *conversation) error {
	if err := c.send(ldapStartTLS); err != nil {
		return err
	}
	head, err := c.bytes(2)
	if err != nil {
		return err
	}
	if head[0] != berSequence {
		return strange(string(head))
	}
	size, extra := int(head[1]), 0
	if size >= 0x80 {
		extra = size & 0x7f
		if extra == 0 || extra > 4 {
			return strange(string(head))
		}
		digits, err := c.bytes(extra)
		if err != nil {
			return err
		}
		size = number(digits)
	}
	if size > maxLDAP {
		return errTalkative
	}
	message, err := c.bytes(size)
	if err != nil {
		return err
	}
	return ldapAnswer(message)
}

// ldapAnswer reads the content of an answer. A message with the number 0 is a
// notice of disconnection, RFC 4511 §4.4.1.
func ldapAnswer(message []byte) error {
	id, rest, ok := berElement(message, berInteger)
	response, _, isResponse := berElement(rest, ldapExtended)
	code, rest, hasCode := berElement(response, berEnumerated)
	if !ok || !isResponse || !hasCode || number(id) > 1 {
		return strange(string(message))
	}
	_, rest, _ = berElement(rest, 0x04) // the matched name
	text, _, _ := berElement(rest, 0x04)
	answer := fmt.Sprintf("result %d: %s", number(code), text)
	switch {
	case number(id) == 0, number(code) == ldapBusy, number(code) == ldapUnavailable:
		return refused(probes.Unavailable, answer)
	case number(code) != ldapSuccess:
		return refused(probes.Unsupported, answer)
	}
	return nil
}

// berElement cuts one element with this tag. Lengths may be longer than they
// need be, which some directories always do.
func berElement(data []byte, tag byte) (content, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != tag {
		return nil, data, false
	}
	size, data := int(data[1]), data[2:]
	if size >= 0x80 {
		extra := size & 0x7f
		if extra == 0 || extra > 4 || len(data) < extra {
			return nil, data, false
		}
		size, data = number(data[:extra]), data[extra:]
	}
	if size < 0 || size > len(data) {
		return nil, data, false
	}
	return data[:size], data[size:], true
}

// number reads up to four digits of base 256, without a sign.
func number(digits []byte) (n int) {
	for _, digit := range digits[:min(len(digits), 4)] {
		n = n<<8 | int(digit)
	}
	return n
}
