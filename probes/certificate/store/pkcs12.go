package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// What PKCS#12 is made of, RFC 7292 §4.2 and appendix D.
const (
	oidKeyBag      = "1.2.840.113549.1.12.10.1.1"
	oidShroudedBag = "1.2.840.113549.1.12.10.1.2"
	oidCertBag     = "1.2.840.113549.1.12.10.1.3"
	oidCRLBag      = "1.2.840.113549.1.12.10.1.4"
	oidSecretBag   = "1.2.840.113549.1.12.10.1.5"
	oidSafeBag     = "1.2.840.113549.1.12.10.1.6"
	oidX509        = "1.2.840.113549.1.9.22.1"
	oidX509CRL     = "1.2.840.113549.1.9.23.1"
	oidName        = "1.2.840.113549.1.9.20"
	oidLocalKeyID  = "1.2.840.113549.1.9.21"
)

// A bag is what is of interest of a key or certificate in a PKCS#12.
type bag struct {
	alias, key  string // friendlyName and localKeyID
	der         []byte
	certificate bundle.Certificate
	err         error
}

// A pfx is one PKCS#12 while it is read.
type pfx struct {
	*reader
	name      string
	passwords []string // the one that is right as soon as it is known
	verified  bool     // the MAC proves the password, so that what fails is damaged
	locked    bool     // the MAC proves that no password fits
	keys      []bag
	certs     []bag
}

// pfx reads a PKCS#12. Private keys stay encrypted.
func (r *reader) pfx(name string, data []byte) {
	p := pfx{reader: r, name: name, passwords: r.passwords}
	outer := cursor{rest: data}
	c := outer.enter("PFX", tagSequence)
	c.take("version", tagInteger)
	kind, content := contentInfo(c)
	var mac element
	if c.at(tagSequence) {
		mac = c.any("MAC")
	}
	if c.err == nil && kind != oidData {
		c.err = probes.Because(probes.Unsupported, errors.New("it is protected by a signature and not by a password"))
	}
	safes, err := content.octets()
	if err = errors.Join(c.err, err); err != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS12, err))
		return
	}
	var unverified error
	if mac.whole != nil {
		unverified = p.verify(mac, safes)
		p.locked = probes.ReasonOf(unverified) == probes.Auth
	}
	// What is not encrypted can be read without a password, as in a JKS.
	if err := p.safes(safes); err != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS12, err))
	}
	p.report()
	if p.locked && len(p.certs) > 0 {
		unverified = probes.Because(probes.Auth, ErrUnverified)
	}
	if unverified != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS12, unverified))
	}
}

// contentInfo reads type and content, RFC 5652 §3.
func contentInfo(c *cursor) (kind string, content element) {
	info := c.enter("content", tagSequence)
	kind = info.take("content type", tagOID).oid()
	explicit := info.enter("content", tagNested0)
	content = explicit.any("content")
	c.err = errors.Join(c.err, explicit.err)
	return kind, content
}

// verify finds the password with which the MAC was made.
func (p *pfx) verify(mac element, safes []byte) error {
	for _, password := range p.passwords {
		fits, err := p.mac(mac, safes, password)
		if err != nil {
			return err
		}
		if fits {
			p.passwords, p.verified = []string{password}, true
			return nil
		}
	}
	return probes.Because(probes.Auth, errors.New("no password fits"))
}

// safes reads the parts of a PKCS#12, each of them encrypted or not. A part that
// cannot be read does not hide the others.
func (p *pfx) safes(data []byte) error {
	var errs []error
	outer := cursor{rest: data}
	c := outer.enter("list of parts", tagSequence)
	for !c.done() && len(errs) < 10 {
		var inner cursor
		inner.rest = c.take("part", tagSequence).whole
		if c.err != nil {
			break
		}
		kind, content := contentInfo(&inner)
		if inner.err != nil {
			errs = append(errs, inner.err)
			continue
		}
		switch kind {
		case oidData:
			plain, err := content.octets()
			if err == nil {
				err = p.bags(plain, 0)
			}
			errs = append(errs, err)
		case oidEncryptedData:
			errs = append(errs, p.encrypted(content))
		default:
			errs = append(errs, probes.Because(probes.Unsupported, fmt.Errorf("a part of the type %.60q", kind)))
		}
	}
	return errors.Join(append(errs, c.err)...)
}

// encrypted reads an EncryptedData, RFC 5652 §8.
func (p *pfx) encrypted(content element) error {
	if p.locked {
		return nil // which is an error already
	}
	data := content.inside()
	data.take("version", tagInteger)
	info := data.enter("encrypted content", tagSequence)
	info.take("content type", tagOID)
	algorithm := info.take("algorithm", tagSequence)
	text := info.take("encrypted content", tagContext0, tagNested0)
	if err := errors.Join(data.err, info.err); err != nil {
		return err
	}
	secret, err := text.octets()
	if err != nil {
		return err
	}
	var plain []byte
	for _, password := range p.passwords {
		if plain, err = p.decrypt(algorithm, secret, password); err == nil {
			return p.bags(plain, 0)
		}
		if !errors.Is(err, errPassword) {
			return err
		}
	}
	if p.verified {
		return fmt.Errorf("an encrypted part: %w", err)
	}
	return probes.Because(probes.Auth, errors.New("no password fits"))
}

// bags reads the keys and certificates of one part.
func (p *pfx) bags(data []byte, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	var errs []error
	outer := cursor{rest: data}
	list := outer.enter("list of keys and certificates", tagSequence)
	for !list.done() && len(p.certs)+len(p.keys) <= maxItems && len(errs) < 10 {
		c := list.enter("key or certificate", tagSequence)
		kind := c.take("type", tagOID).oid()
		value := c.take("value", tagNested0)
		b := bag{err: c.err}
		if c.at(tagSet) {
			b.attributes(c.any("attributes"))
		}
		switch kind {
		case oidKeyBag, oidShroudedBag:
			p.others = true
			p.keys = append(p.keys, b)
		case oidCertBag:
			p.certificate(b, value)
		case oidCRLBag:
			p.revoked(value)
		case oidSafeBag:
			errs = append(errs, p.bags(value.content, depth+1))
		case oidSecretBag:
			p.others = true
			errs = append(errs, c.err)
		default: // it could be a certificate
			errs = append(errs, c.err, unsupported("a kind of content", kind))
		}
	}
	return errors.Join(append(errs, list.err)...)
}

// attributes reads name and identifier. What cannot be read is not there.
func (b *bag) attributes(set element) {
	for c := set.inside(); !c.done(); {
		attribute := c.enter("attribute", tagSequence)
		kind := attribute.take("type", tagOID).oid()
		value := attribute.enter("values", tagSet).any("value")
		switch kind {
		case oidName:
			b.alias = bmpText(value.content)
		case oidLocalKeyID:
			b.key = string(value.content)
		}
	}
}

func bmpText(content []byte) string {
	units := make([]uint16, len(content)/2)
	for i := range units {
		units[i] = uint16(content[2*i])<<8 | uint16(content[2*i+1])
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00")
}

// certificate reads a CertBag.
func (p *pfx) certificate(b bag, value element) {
	c := value.inside().enter("certificate", tagSequence)
	kind := c.take("type of the certificate", tagOID).oid()
	b.der, b.err = c.bagValue(b.err)
	switch {
	case b.err != nil:
	case kind != oidX509:
		b.err = probes.Because(probes.Unsupported, fmt.Errorf("a certificate of the type %.60q", kind))
	default:
		b.certificate, b.err = certificate(b.der)
	}
	p.certs = append(p.certs, b)
}

// revoked reads a CRLBag.
func (p *pfx) revoked(value element) {
	c := value.inside().enter("revocation list", tagSequence)
	kind := c.take("type of the revocation list", tagOID).oid()
	der, err := c.bagValue(nil)
	switch {
	case err != nil:
		p.fail(p.name, err)
	case kind == oidX509CRL:
		p.revocation(p.name, der)
	}
}

// bagValue reads the string in which a certificate or list stands.
func (c *cursor) bagValue(before error) ([]byte, error) {
	value := c.enter("value", tagNested0).take("value", tagOctets, tagOctets|bitConstructed)
	if err := errors.Join(before, c.err); err != nil {
		return nil, err
	}
	if value.whole == nil {
		return nil, errors.New("there is no value where it should be")
	}
	return value.octets()
}
