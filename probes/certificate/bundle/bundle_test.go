package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/certificate/ber"
)

// corpus returns certificates of many kinds, as DER, by what they are.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	check(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	link, err := url.Parse("spiffe://example.org/service")
	check(t, err)
	instant := func(year int) time.Time { return time.Date(year, 2, 28, 23, 59, 59, 0, time.UTC) }
	made := map[string][]byte{}
	add := func(name string, key crypto.Signer, change func(c *x509.Certificate)) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "www.example.org", Organization: []string{"Example"}},
			NotBefore: instant(2026), NotAfter: instant(2027),
		}
		change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		check(t, err)
		made[name] = der
	}
	add("rsa", rsaKey, func(*x509.Certificate) {})
	add("ecdsa", p256, func(*x509.Certificate) {})
	add("a large curve", p521, func(*x509.Certificate) {})
	add("ed25519", ed, func(*x509.Certificate) {})
	add("a CA", p256, func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = true, true })
	add("not a CA, and saying so", p256, func(c *x509.Certificate) { c.BasicConstraintsValid = true })
	add("dates of the last century", p256, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = instant(1951), instant(1999) })
	add("the last year of two digits", p256, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = instant(2049), instant(2050) })
	add("no end", p256, func(c *x509.Certificate) { c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) })
	add("names beyond ASCII", p256, func(c *x509.Certificate) { c.Subject.CommonName = "Bücher ☃" })
	add("no common name", p256, func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"A", "B"}} })
	add("no subject", p256, func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	add("many names", p256, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"a.example.org", "*.example.org"}, []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}
		c.EmailAddresses, c.URIs = []string{"root@example.org"}, []*url.URL{link}
	})
	add("purposes and the place of the issuer", p256, func(c *x509.Certificate) {
		c.ExtKeyUsage, c.IssuingCertificateURL = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, []string{"http://ca.example.org/ca.der"}
	})
	add("for clients only", p256, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	add("PSS", rsaKey, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSAPSS })
	add("a long serial number", p256, func(c *x509.Certificate) {
		c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 158)
	})
	return made
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expected is what Go's own reader finds, in our words.
func expected(x *x509.Certificate) Certificate {
	c := Certificate{
		NotBefore: x.NotBefore, NotAfter: x.NotAfter, Serial: x.SerialNumber.Text(16),
		SubjectHash: NameHash(x.RawSubject), IssuerHash: NameHash(x.RawIssuer),
		PublicHash: fingerprint(x.RawSubjectPublicKeyInfo), Fingerprint: fingerprint(x.Raw),
		CA:         x.BasicConstraintsValid && x.IsCA || x.Version < 3 && string(x.RawSubject) == string(x.RawIssuer),
		SelfSigned: string(x.RawSubject) == string(x.RawIssuer),
		AnyPurpose: len(x.ExtKeyUsage)+len(x.UnknownExtKeyUsage) == 0,
		Server:     slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny),
		IssuerURL:  len(x.IssuingCertificateURL) > 0,
		DER:        x.Raw,
	}
	c.HostNames = len(x.DNSNames)+len(x.IPAddresses) > 0
	c.NameCount = len(x.DNSNames) + len(x.IPAddresses) + len(x.EmailAddresses) + len(x.URIs)
	if x.Subject.CommonName != "" {
		c.Subject = x.Subject.CommonName
	}
	if x.PublicKey != nil {
		c.Key = KeyText(x.PublicKey)
	}
	if x.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		c.Signature = x.SignatureAlgorithm.String()
	}
	return c
}

// differences compares what was read with what Go reads.
func differences(x *x509.Certificate, got Certificate) string {
	want := expected(x)
	if want.Subject == "" {
		got.Subject = ""
	}
	if want.Key == "" {
		got.Key = ""
	}
	if want.Signature == "" {
		got.Signature = ""
	}
	got.Issuer, got.Organization, got.Names, got.NamesHash = "", "", nil, ""
	return cmp.Diff(want, got)
}

func TestCertificatesAreReadAsGoReadsThem(t *testing.T) {
	for name, der := range corpus(t) {
		x, err := x509.ParseCertificate(der)
		check(t, err)
		got, err := readCertificate(der)
		check(t, err)
		if diff := differences(x, got); diff != "" {
			t.Errorf("%s (-Go +ours):\n%s", name, diff)
		}
		if got.Issuer != got.Subject {
			t.Errorf("%s: issuer %q of %q", name, got.Issuer, got.Subject)
		}
	}
}

func TestNamesAreBounded(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	made := func(names []string) Certificate {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		check(t, err)
		c, err := parseCertificate(der)
		check(t, err)
		return c
	}
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("%d.%s.example.org", i, strings.Repeat("x", 300)))
	}
	c := made(names)
	if len(c.Names) != maxNames || c.NameCount != 10_000 || len(c.Names[0]) != maxName {
		t.Errorf("%d names of %d, the first with %d bytes", len(c.Names), c.NameCount, len(c.Names[0]))
	}
	slices.Reverse(names)
	if other := made(names); other.NamesHash != c.NamesHash {
		t.Error("the order of names tells certificates apart")
	}
	if other := made(names[1:]); other.NamesHash == c.NamesHash {
		t.Error("a name is missing, and nothing tells")
	}
}

// patch replaces bytes that occur once.
func patch(t *testing.T, der, old, by []byte) []byte {
	t.Helper()
	if bytes.Count(der, old) != 1 || len(old) != len(by) {
		t.Fatalf("% x occurs %d times", old, bytes.Count(der, old))
	}
	return bytes.Replace(der, old, by, 1)
}

// What Go refuses and OpenSSL reads has dates all the same.
func TestRefusedCertificatesKeepTheirDates(t *testing.T) {
	der := corpus(t)["ecdsa"]
	serial := []byte{0x02, 0x02, 0x12, 0x67} // 4711
	for name, c := range map[string]struct {
		der    []byte
		serial string
	}{
		"a negative serial number": {
			der: patch(t, der, serial, []byte{0x02, 0x02, 0xff, 0x67}), serial: "-99",
		},
		"a serial number with a needless zero": {
			der: patch(t, der, serial, []byte{0x02, 0x02, 0x00, 0x67}), serial: "67",
		},
		"a version that does not exist": {
			der: patch(t, der, []byte{0xa0, 0x03, 0x02, 0x01, 0x02}, []byte{0xa0, 0x03, 0x02, 0x01, 0x07}), serial: "1267",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := x509.ParseCertificate(c.der); err == nil {
				t.Fatal("Go reads it")
			}
			b, err := Parse(c.der)
			if err != nil || len(b.Certificates) != 1 {
				t.Fatalf("got %+v, %v", b, err)
			}
			got := b.Certificates[0]
			if got.Nonconforming == nil || got.Serial != c.serial || got.Subject != "www.example.org" || got.Key != "ecdsa-P-256" ||
				!got.NotAfter.Equal(time.Date(2027, 2, 28, 23, 59, 59, 0, time.UTC)) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// A date that nobody can read is an error, and not 1970.
func TestUnreadableDatesAreErrors(t *testing.T) {
	der := corpus(t)["ecdsa"]
	for _, date := range []string{"269928235959Z", "hello, world!", "2602282359+01"} {
		b, err := Parse(patch(t, der, []byte("260228235959Z"), []byte(date)))
		if !errors.Is(err, ErrNone) || len(b.Certificates) != 0 {
			t.Errorf("%s: got %+v, %v", date, b, err)
		}
	}
}

func block(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestEveryBlockIsACertificateOrAnError(t *testing.T) {
	der := corpus(t)["ecdsa"]
	good := block(der)
	second := strconv.Itoa(strings.Count(good, "\n") + 1) // the line of a second block
	for name, c := range map[string]struct {
		text   string
		found  int
		errors []string
		others []string
	}{
		"two":                        {good + good, 2, nil, nil},
		"text around and between":    {"a\n" + good + "b: c\n" + good + "d", 2, nil, nil},
		"a key and parameters":       {"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n-----BEGIN DH PARAMETERS-----\nAA\n-----END DH PARAMETERS-----\n" + good, 1, nil, []string{"PRIVATE KEY", "DH PARAMETERS"}},
		"headers in a block":         {strings.Replace(good, "-----\n", "-----\nComment: x\n\n", 1), 1, nil, nil},
		"no line breaks in a block":  {"-----BEGIN CERTIFICATE-----" + strings.Join(strings.Split(good, "\n")[1:len(strings.Split(good, "\n"))-2], "") + "-----END CERTIFICATE-----", 1, nil, nil},
		"marks on one line":          {strings.TrimSpace(good) + good, 2, nil, nil},
		"no padding":                 {strings.ReplaceAll(good, "=", ""), 1, nil, nil},
		"not base64":                 {good + "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n" + good, 2, []string{"certificate on line SECOND: not base64: illegal base64 data at input byte 0"}, nil},
		"base64 of something else":   {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0, []string{"certificate on line 1: not a certificate: there is no certificate where it should be"}, nil},
		"an empty block":             {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 0, []string{"certificate on line 1: the data end too early"}, nil},
		"no end before another":      {"-----BEGIN CERTIFICATE-----\nMIIB\n" + good, 1, []string{"certificate on line 1: the block has no end"}, nil},
		"no end at all":              {good + "-----BEGIN CERTIFICATE-----\nMIIB", 1, []string{"certificate on line SECOND: the block has no end"}, nil},
		"a cut block":                {good[:len(good)/2] + "\n-----END CERTIFICATE-----\n", 0, []string{"certificate on line 1: the data end too early"}, nil},
		"what OpenSSL calls trusted": {strings.ReplaceAll(block(append(bytes.Clone(der), 0x30, 0x00)), "CERTIFICATE", "TRUSTED CERTIFICATE"), 1, nil, nil},
		"the name of old":            {strings.ReplaceAll(good, "CERTIFICATE", "X509 CERTIFICATE"), 1, nil, nil},
		"several in DER":             {string(der) + string(der), 2, nil, nil},
		"rubbish behind DER":         {string(der) + "0\x81", 1, []string{"certificate 2: the data end too early"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Parse([]byte(c.text))
			check(t, err)
			var complaints []string
			for _, err := range b.Errors {
				complaints = append(complaints, strings.Replace(err.Error(), second, "SECOND", 1))
			}
			if len(b.Certificates) != c.found || !cmp.Equal(complaints, c.errors) || !cmp.Equal(b.Others, c.others) {
				t.Errorf("got %d certificates, errors %q, others %q", len(b.Certificates), complaints, b.Others)
			}
		})
	}
	for name, text := range map[string]string{
		"nothing": "", "text": "hello", "a key": "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n",
		"other ASN.1": "0\x82\x00\x03\x02\x01\x01", "an image": "\x89PNG\r\n\x1a\n",
	} {
		if b, err := Parse([]byte(text)); !errors.Is(err, ErrNone) || len(b.Certificates) > 0 {
			t.Errorf("%s: got %+v, %v", name, b, err)
		}
	}
}

// A file that is made to be slow is not: it has many beginnings and no end.
func TestHostileFilesAreBounded(t *testing.T) {
	b, err := Parse([]byte(strings.Repeat("-----BEGIN CERTIFICATE-----\n", 100_000)))
	if err != nil || len(b.Errors) != maxCertificates+1 {
		t.Errorf("%d errors, %v", len(b.Errors), err)
	}
	if b, err = Parse([]byte(strings.Repeat("-----BEGIN X-----\n", 1_000_000))); !errors.Is(err, ErrNone) || len(b.Others) > maxCertificates {
		t.Errorf("%d others, %v", len(b.Others), err)
	}
}

func TestNamesOfEveryStringType(t *testing.T) {
	name := func(value ...byte) []byte {
		oid := []byte{ber.TagOID, 3, 0x55, 0x04, 0x03}
		pair := append([]byte{ber.TagSequence, byte(len(oid) + len(value))}, append(oid, value...)...)
		set := append([]byte{ber.TagSet, byte(len(pair))}, pair...)
		return append([]byte{ber.TagSequence, byte(len(set))}, set...)
	}
	for want, value := range map[string][]byte{
		"utf8 ☃": append([]byte{0x0c, 8}, "utf8 ☃"...),
		"plain":  append([]byte{0x13, 5}, "plain"...),
		"bmp":    {ber.TagBMPString, 6, 0, 'b', 0, 'm', 0, 'p'},
		"ff":     {0x14, 1, 0xff}, // T61String that is no UTF-8
	} {
		if got := NameText(name(value...)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Parse never panics, and of every block that claims to be a certificate there
// is a certificate or an error.
func FuzzParse(f *testing.F) {
	for _, der := range corpus(f) {
		f.Add(der)
		f.Add([]byte("text\n" + block(der) + block(der)))
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse(data)
		if err == nil && len(b.Certificates)+len(b.Errors) == 0 {
			t.Error("nothing was found, and nothing was wrong")
		}
		if looksBinary(data) {
			return
		}
		claims := bytes.Count(data, []byte("-----BEGIN CERTIFICATE-----"))
		if found := len(b.Certificates) + len(b.Errors); claims > found && found < maxCertificates {
			t.Errorf("%d blocks became %d certificates and errors", claims, found)
		}
	})
}

// Whatever Go accepts is read here in the same way.
func FuzzCertificate(f *testing.F) {
	for _, der := range corpus(f) {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		got, err := readCertificate(der)
		x, strict := x509.ParseCertificate(der)
		if strict != nil {
			return
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if diff := differences(x, got); diff != "" {
			t.Errorf("(-Go +ours):\n%s", diff)
		}
	})
}
