package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
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
	kind        string // of a key
	value       ber.Element
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

// pfx reads a PKCS#12.
func (r *reader) pfx(name string, data []byte) {
	p := pfx{reader: r, name: name, passwords: r.passwords}
	outer := ber.Cursor{Rest: data}
	c := outer.Enter("PFX", ber.TagSequence)
	c.Take("version", ber.TagInteger)
	kind, content := contentInfo(c)
	var mac ber.Element
	if c.At(ber.TagSequence) {
		mac = c.Any("MAC")
	}
	if c.Err == nil && kind != oidData {
		c.Err = probes.Because(probes.Unsupported, errors.New("it is protected by a signature and not by a password"))
	}
	safes, err := content.Octets()
	if c.Err != nil {
		err = c.Err
	}
	if err != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS12, err))
		return
	}
	var unverified error
	if mac.Whole != nil {
		unverified = p.verify(mac, safes)
		p.locked = probes.ReasonOf(unverified) == probes.Auth
	}
	// What is not encrypted can be read without a password, as in a JKS.
	if err := p.safes(safes); err != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS12, err))
	}
	p.content.Open = len(p.keys) > 0 && (mac.Whole == nil || p.verified && wellKnown(p.passwords[0]))
	p.report() // now, when nothing that is spent on keys can lack for certificates
	if p.locked && len(p.certs) > 0 {
		unverified = probes.Because(probes.Auth, ErrUnverified)
	}
	if unverified != nil {
		r.fail(name, fmt.Errorf("%s: %w", PKCS12, unverified))
	}
}

// contentInfo reads type and content, RFC 5652 §3.
func contentInfo(c *ber.Cursor) (kind string, content ber.Element) {
	info := c.Enter("content", ber.TagSequence)
	kind = info.Take("content type", ber.TagOID).OID()
	explicit := info.Enter("content", ber.TagNested0)
	content = explicit.Any("content")
	if c.Err == nil {
		c.Err = explicit.Err
	}
	return kind, content
}

// verify finds the password with which the MAC was made.
func (p *pfx) verify(mac ber.Element, safes []byte) error {
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
	outer := ber.Cursor{Rest: data}
	c := outer.Enter("list of parts", ber.TagSequence)
	for !c.Done() && len(errs) < 10 {
		var inner ber.Cursor
		inner.Rest = c.Take("part", ber.TagSequence).Whole
		if c.Err != nil {
			break
		}
		kind, content := contentInfo(&inner)
		if inner.Err != nil {
			errs = append(errs, inner.Err)
			continue
		}
		switch kind {
		case oidData:
			plain, err := content.Octets()
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
	return errors.Join(append(errs, c.Err)...)
}

// encrypted reads an EncryptedData, RFC 5652 §8.
func (p *pfx) encrypted(content ber.Element) error {
	if p.locked {
		return nil // which is an error already
	}
	data := content.Inside()
	data.Take("version", ber.TagInteger)
	info := data.Enter("encrypted content", ber.TagSequence)
	info.Take("content type", ber.TagOID)
	algorithm := info.Take("algorithm", ber.TagSequence)
	text := info.Take("encrypted content", ber.TagContext0, ber.TagNested0)
	if err := errors.Join(data.Err, info.Err); err != nil {
		return err
	}
	secret, err := text.Octets()
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
	if depth > ber.MaxDepth {
		return errors.New("nested too deeply")
	}
	var errs []error
	outer := ber.Cursor{Rest: data}
	list := outer.Enter("list of keys and certificates", ber.TagSequence)
	for !list.Done() && len(p.certs)+len(p.keys) <= maxItems && len(errs) < 10 {
		c := list.Enter("key or certificate", ber.TagSequence)
		kind := c.Take("type", ber.TagOID).OID()
		value := c.Take("value", ber.TagNested0)
		b := bag{err: c.Err}
		if c.At(ber.TagSet) {
			b.attributes(c.Any("attributes"))
		}
		switch kind {
		case oidKeyBag, oidShroudedBag:
			p.others = true
			b.kind, b.value = kind, value
			p.keys = append(p.keys, b)
		case oidCertBag:
			p.certificate(b, value)
		case oidCRLBag:
			p.revoked(value)
		case oidSafeBag:
			errs = append(errs, p.bags(value.Content, depth+1))
		case oidSecretBag:
			p.others = true
			errs = append(errs, c.Err)
		default: // it could be a certificate
			errs = append(errs, c.Err, unsupported("a kind of content", kind))
		}
	}
	return errors.Join(append(errs, list.Err)...)
}

// private reads a private key, of which nothing is kept but to which public key it
// belongs. One that cannot be decrypted says nothing.
func (p *pfx) private(b bag) bundle.PrivateKey {
	if b.kind == oidKeyBag {
		return bundle.PrivateKeyOf(b.value.Content)
	}
	info := b.value.Inside().Enter("encrypted key", ber.TagSequence)
	algorithm := info.Take("algorithm", ber.TagSequence)
	secret, err := info.Take("encrypted key", ber.TagOctets, ber.TagOctets|ber.Constructed).Octets()
	if err = errors.Join(info.Err, err); err != nil || p.locked {
		return bundle.PrivateKey{Err: errPassword}
	}
	for _, password := range p.passwords {
		plain, err := p.decrypt(algorithm, secret, password)
		if err == nil {
			return bundle.PrivateKeyOf(plain)
		}
		if !errors.Is(err, errPassword) {
			break
		}
	}
	return bundle.PrivateKey{Err: errPassword}
}

// attributes reads name and identifier. What cannot be read is not there.
func (b *bag) attributes(set ber.Element) {
	for c := set.Inside(); !c.Done(); {
		attribute := c.Enter("attribute", ber.TagSequence)
		kind := attribute.Take("type", ber.TagOID).OID()
		value := attribute.Enter("values", ber.TagSet).Any("value")
		switch kind {
		case oidName:
			b.alias = bmpText(value.Content)
		case oidLocalKeyID:
			b.key = string(value.Content)
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
func (p *pfx) certificate(b bag, value ber.Element) {
	c := value.Inside().Enter("certificate", ber.TagSequence)
	kind := c.Take("type of the certificate", ber.TagOID).OID()
	b.der, b.err = bagValue(c, b.err)
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
func (p *pfx) revoked(value ber.Element) {
	c := value.Inside().Enter("revocation list", ber.TagSequence)
	kind := c.Take("type of the revocation list", ber.TagOID).OID()
	der, err := bagValue(c, nil)
	switch {
	case err != nil:
		p.fail(p.name, err)
	case kind == oidX509CRL:
		p.revocation(p.name, der)
	}
}

// bagValue reads the string in which a certificate or list stands.
func bagValue(c *ber.Cursor, before error) ([]byte, error) {
	value := c.Enter("value", ber.TagNested0).Take("value", ber.TagOctets, ber.TagOctets|ber.Constructed)
	if err := errors.Join(before, c.Err); err != nil {
		return nil, err
	}
	if value.Whole == nil {
		return nil, errors.New("there is no value where it should be")
	}
	return value.Octets()
}
