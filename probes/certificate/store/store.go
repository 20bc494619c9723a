// Package store reads the certificates of any file: PEM and DER, PKCS#7,
// PKCS#12, Java keystores, kubeconfigs and other YAML, JSON or text with
// certificates inside, revocation lists, and certificates of OpenSSH. It goes by
// the content and never by the name of a file, and it promises that whatever
// claims to be a certificate becomes one or becomes an error, that its work and
// memory are bounded whatever a file says, and that no password ever leaves it.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
	"hygiene_exporter/probes/certificate/bundle"
)

// A Kind is a kind of file.
type Kind string

// The kinds of files.
const (
	Unknown    Kind = ""
	PEM        Kind = "PEM"
	DER        Kind = "DER"
	PKCS7      Kind = "PKCS#7"
	PKCS12     Kind = "PKCS#12"
	JKS        Kind = "JKS"
	JCEKS      Kind = "JCEKS"
	Kubeconfig Kind = "kubeconfig"
	Document   Kind = "document" // YAML, JSON or text with certificates inside
	Revocation Kind = "CRL"
	SSH        Kind = "SSH"
)

// Keystore reports whether files of this kind keep private keys encrypted.
func (k Kind) Keystore() bool { return k == PKCS12 || k == JKS || k == JCEKS }

// Options are what is known of a file besides its content.
type Options struct {
	// Passwords are tried in this order. Behind them come those that everybody
	// knows: none, and Java's "changeit".
	Passwords []string
}

// Content is what a file holds.
type Content struct {
	Kind       Kind
	Entries    []Entry
	CRLs       []CRL
	SSH        []SSHCertificate
	References []string // the files with certificates that a kubeconfig names, as they stand in it
	Others     []string // the kinds of the other PEM blocks, such as "PRIVATE KEY"
	Errors     []error  // each with a reason, see probes.ReasonOf
	// Open says that the keys of a keystore are protected by no password, or by
	// one that everybody knows.
	Open bool
}

// An Entry is a certificate, or a chain of them, under one name.
type Entry struct {
	// Name is unique in its Content. It is the alias in a keystore and the path
	// of keys in a document, such as "data.tls.crt"; it is empty for what has
	// no name, as in plain files.
	Name         string
	Certificates []bundle.Certificate // a leaf before its issuers, where the file tells
	Errors       []error              // of what claims to be a certificate here and is none
	// Keys are the private keys that stand beside the certificates: in the same
	// text, in the same entry of a keystore, or under a key beside in a document.
	Keys []bundle.PrivateKey
	// Trusted says that a keystore holds the certificate as one that is trusted,
	// and not as that of a key.
	Trusted bool
}

// A CRL is a list of revoked certificates, RFC 5280 §5.
type CRL struct {
	Name        string    // like that of an Entry
	Issuer      string    // the common name, or else the whole name
	IssuerHash  string    // like that of a bundle.Certificate
	ThisUpdate  time.Time // when it was made
	NextUpdate  time.Time // when the next will be there at the latest; zero if it does not say
	Number      string    // in hexadecimal; empty if it has none
	Entries     int
	Fingerprint string // the SHA-256 of the list, in hexadecimal
	DER         []byte // the whole list
}

// The errors that say what a file is, besides bundle.ErrNone: nothing in it
// claims to be a certificate.
var (
	// ErrEmpty says that the file is a store, and that there is nothing in it.
	ErrEmpty = errors.New("the store is empty")
	// ErrUnverified says that the certificates of a store could be read, and that
	// no password proves that they are those that were once put there.
	ErrUnverified = errors.New("no password fits, so the store may have been changed")
)

// The bounds of one file.
const (
	maxItems  = 5000      // certificates, revocation lists and SSH certificates together
	maxErrors = 1000      // the rest is counted
	maxRounds = 5_000_000 // of key derivation, over all attempts; the default of OpenSSL is 2048, of Java 10000
)

// Parse reads the content of a file. The error is bundle.ErrNone or ErrEmpty
// when there is nothing to read. Everything that is there and cannot be read is
// an error in the Content: of reason auth when a password is missing, malformed
// when it is damaged or truncated, too_large when a bound is exceeded.
func Parse(data []byte, o Options) (Content, error) {
	return parse(data, o, maxRounds)
}

func parse(data []byte, o Options, rounds int) (Content, error) {
	r := reader{passwords: attempts(o.Passwords), rounds: rounds, left: maxItems, names: map[string]int{}, keys: map[string][]bundle.PrivateKey{}}
	r.content.Kind = r.read("", data)
	return r.finish()
}

// A reader collects what it finds in one file.
type reader struct {
	content   Content
	passwords []string
	rounds    int                            // that are left
	left      int                            // items that are left
	failed    int                            // errors so far, the suppressed ones too
	names     map[string]int                 // how often each was taken
	depth     int                            // of files inside files
	others    bool                           // a store holds something else, such as a secret key
	keys      map[string][]bundle.PrivateKey // of texts, by name
}

func (r *reader) finish() (Content, error) {
	c := &r.content
	if r.left < 0 {
		c.Errors = append(c.Errors, probes.Because(probes.TooLarge, fmt.Errorf("more than %d certificates", maxItems)))
	}
	if r.failed > maxErrors {
		c.Errors = append(c.Errors, probes.Because(probes.TooLarge, fmt.Errorf("%d further errors", r.failed-maxErrors)))
	}
	r.giveKeys()
	r.nameTheRest()
	if len(c.Entries)+len(c.CRLs)+len(c.SSH)+len(c.References)+len(c.Errors) > 0 {
		return *c, nil
	}
	switch c.Kind {
	case PKCS7, PKCS12, JKS, JCEKS:
		if !r.others {
			return *c, ErrEmpty
		}
	}
	return *c, bundle.ErrNone
}

// giveKeys gives the private keys of texts to the certificates that stand under
// the same name, or beside: tls.crt and tls.key, client-certificate-data and
// client-key-data.
func (r *reader) giveKeys() {
	for i, e := range r.content.Entries {
		if keys := r.keys[e.Name]; len(keys) > 0 {
			r.content.Entries[i].Keys = append(e.Keys, keys...)
			continue
		}
		for name, keys := range r.keys {
			if cut := strings.LastIndexByte(name, '.'); cut > 0 && strings.HasPrefix(e.Name, name[:cut+1]) {
				r.content.Entries[i].Keys = append(r.content.Entries[i].Keys, keys...)
			}
		}
	}
}

// nameTheRest names SSH certificates and revocation lists, of which a file can
// hold several without names.
func (r *reader) nameTheRest() {
	c := &r.content
	if len(c.SSH)+len(c.Entries) > 1 {
		for i := range c.SSH {
			c.SSH[i].Name = r.unique(c.SSH[i].KeyID)
		}
	}
	count := map[string]int{}
	for _, list := range c.CRLs {
		count[list.Name]++
	}
	for i, list := range c.CRLs {
		if count[list.Name] > 1 {
			list.Name = within(list.Name, "crl:"+list.Issuer)
		}
		if list.Name != "" {
			list.Name = r.unique(list.Name)
		}
		c.CRLs[i] = list
	}
}

// read reads a file, or a file inside a file, and returns its kind.
func (r *reader) read(name string, data []byte) Kind {
	kind := sniff(data)
	switch kind {
	case JKS, JCEKS:
		r.keystore(name, data, kind)
	case PKCS12:
		r.pfx(name, data)
	case PKCS7:
		r.signedData(name, data)
	case Revocation:
		r.revocation(name, data)
	case DER:
		r.der(name, data)
	default:
		return r.text(name, data)
	}
	return kind
}

// sniff recognises binary files. Text is Unknown to it. It looks no further than
// it must, so that a truncated file is still recognised.
func sniff(data []byte) Kind {
	switch {
	case bytes.HasPrefix(data, []byte(magicJKS)):
		return JKS
	case bytes.HasPrefix(data, []byte(magicJCEKS)):
		return JCEKS
	}
	inner, ok := peek(data, ber.TagSequence)
	if !ok || len(inner) < 2 {
		return Unknown
	}
	if _, length, head, err := ber.Head(inner); err == nil && inner[0] == ber.TagOID && length > 0 && length <= len(inner)-head {
		e := ber.Element{Whole: inner[:head+length]}
		if e.OID() == oidSignedData {
			return PKCS7
		}
	}
	if inner[0] == ber.TagInteger && len(inner) > 3 && inner[1] == 1 && inner[2] == 3 {
		if info, ok := peek(inner[3:], ber.TagSequence); ok && len(info) > 0 && info[0] == ber.TagOID {
			return PKCS12
		}
	}
	if tbs, ok := peek(inner, ber.TagSequence); ok {
		return sniffSigned(tbs)
	}
	if data[1] >= 0x80 {
		return DER // or another structure, as the bundle will find out
	}
	return Unknown
}

// sniffSigned tells a certificate from a revocation list by what its body begins
// with. RFC 5280 §4.1 and §5.1: a list has a date where a certificate has a
// sequence of two.
func sniffSigned(tbs []byte) Kind {
	c := ber.Cursor{Rest: tbs}
	if c.At(ber.TagInteger) {
		c.Any("version")
	}
	c.Take("algorithm", ber.TagSequence)
	c.Take("issuer", ber.TagSequence)
	if c.At(ber.TagUTCTime, ber.TagGeneralizedTime) {
		return Revocation
	}
	return DER
}

// peek returns what is there of the content of an element that may be cut.
func peek(data []byte, tag byte) ([]byte, bool) {
	got, _, head, err := ber.Head(data)
	if err != nil || got != tag {
		return nil, false
	}
	return data[head:], true
}

// der reads certificates one behind the other.
func (r *reader) der(name string, data []byte) {
	b, err := bundle.Parse(data)
	if err != nil || name != "" && len(b.Certificates) == 0 {
		return // another structure, as documents are full of them, or nothing that is one
	}
	r.add(Entry{Name: name, Certificates: b.Certificates, Errors: b.Errors})
}

// certificate reads the DER of one certificate of a store, and returns it or why
// it is none.
func certificate(der []byte) (bundle.Certificate, error) {
	b, err := bundle.Parse(der)
	switch {
	case len(b.Certificates) > 0:
		return b.Certificates[0], nil
	case len(b.Errors) > 0:
		return bundle.Certificate{}, b.Errors[0]
	case err != nil:
		return bundle.Certificate{}, err
	}
	return bundle.Certificate{}, bundle.ErrNone
}

// add takes what was found under a name. Names that occur twice get a number.
func (r *reader) add(e Entry) {
	errs := e.Errors
	r.left, e.Certificates, e.Errors = r.left-len(e.Certificates), e.Certificates[:min(len(e.Certificates), max(r.left, 0))], nil
	for _, err := range errs {
		if r.mayFail() {
			e.Errors = append(e.Errors, reasoned(err))
		}
	}
	if len(e.Certificates)+len(e.Errors) == 0 {
		return
	}
	e.Name = r.unique(e.Name)
	r.content.Entries = append(r.content.Entries, e)
}

// unique makes a name that no other entry has.
func (r *reader) unique(name string) string {
	made := name
	for n := r.names[name] + 1; r.names[made] > 0; n++ {
		made = fmt.Sprintf("%s~%d", name, n)
		r.names[name] = n
	}
	r.names[made] = max(r.names[made], 1)
	return made
}

// fail records an error that belongs to no single entry.
func (r *reader) fail(name string, err error) {
	if !r.mayFail() {
		return
	}
	err = reasoned(err)
	if name != "" {
		err = fmt.Errorf("%.80q: %w", name, err)
	}
	r.content.Errors = append(r.content.Errors, err)
}

// mayFail reports whether there is room for another error.
func (r *reader) mayFail() bool {
	r.failed++
	return r.failed <= maxErrors
}

// reasoned gives an error the reason malformed, unless it has one already.
func reasoned(err error) error {
	if probes.ReasonOf(err) != probes.Other {
		return err
	}
	return probes.Because(probes.Malformed, err)
}
