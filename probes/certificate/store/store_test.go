package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
)

// lines describes what was found, with the names of the family for fingerprints.
func (f family) lines(c Content, err error) (lines []string) {
	known := map[string]string{}
	for _, p := range []pair{f.root, f.middle, f.leaf, f.stranger} {
		known[p.fingerprint()] = p.x.Subject.CommonName
	}
	for _, e := range c.Entries {
		line := e.Name + ":"
		for _, c := range e.Certificates {
			line += " " + known[c.Fingerprint]
			if !c.NotAfter.Equal(zooEnd) {
				line += " with another date"
			}
		}
		for _, err := range e.Errors {
			line += fmt.Sprintf(" [%s]", probes.ReasonOf(err))
		}
		lines = append(lines, line)
	}
	for _, l := range c.CRLs {
		lines = append(lines, fmt.Sprintf("%s: CRL %s of %s, %d entries", l.Name, l.Number, l.Issuer, l.Entries))
	}
	for _, reference := range c.References {
		lines = append(lines, "see "+reference)
	}
	for _, err := range c.Errors {
		lines = append(lines, "error: "+string(probes.ReasonOf(err)))
	}
	switch {
	case errors.Is(err, ErrEmpty):
		lines = append(lines, "empty")
	case errors.Is(err, bundle.ErrNone):
		lines = append(lines, "none")
	case err != nil:
		lines = append(lines, err.Error())
	}
	return lines
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

func wide(text string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

func indent(text string) string {
	return strings.ReplaceAll("\n"+strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

func TestEveryFileIsReadByItsContent(t *testing.T) {
	f := newFamily(t)
	leaf, root := pemOf("CERTIFICATE", f.leaf.der), pemOf("CERTIFICATE", f.root.der)
	list := crlOf(t, f.root, 0x1b, 3)
	chain := [][]byte{f.leaf.der, f.middle.der, f.root.der}
	signed := pkcs7Of([][]byte{f.leaf.der, f.middle.der}, [][]byte{list})
	java := jksOf(magicJKS, "secret", stored{"web", true, chain}, stored{"bücher", false, [][]byte{f.stranger.der}})
	withKey := p12Of("secret", 1, bagged{"web", "1", nil}, bagged{"", "1", f.leaf.der}, bagged{"", "", f.root.der}, bagged{"", "", f.middle.der}, bagged{"other", "", f.stranger.der})
	passwords := []string{"wrong", "secret"}
	for name, c := range map[string]struct {
		data  string
		kind  Kind
		lines []string
	}{
		"a file of PEM":             {leaf + root, PEM, []string{": www.example.org root"}},
		"a file of DER":             {string(f.leaf.der), DER, []string{": www.example.org"}},
		"PEM as Windows writes it":  {wide(leaf), PEM, []string{": www.example.org"}},
		"PEM with a broken block":   {leaf + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", PEM, []string{": www.example.org [malformed]"}},
		"a revocation list":         {string(list), Revocation, []string{": CRL 1b of root, 3 entries"}},
		"a revocation list as PEM":  {leaf + pemOf("X509 CRL", list), PEM, []string{": www.example.org", ": CRL 1b of root, 3 entries"}},
		"a broken list as PEM":      {pemOf("X509 CRL", list[:40]) + leaf, PEM, []string{": www.example.org", "error: malformed"}},
		"PKCS#7":                    {string(signed), PKCS7, []string{": www.example.org middle", ": CRL 1b of root, 3 entries"}},
		"PKCS#7 as PEM":             {pemOf("PKCS7", signed), PEM, []string{": www.example.org middle", ": CRL 1b of root, 3 entries"}},
		"PKCS#7 as PEM without end": {strings.Split(pemOf("PKCS7", signed), "-----END")[0], PEM, []string{"error: malformed"}},
		"an empty PKCS#7":           {string(pkcs7Of(nil, nil)), PKCS7, []string{"empty"}},
		"a Java keystore":           {java, JKS, []string{"web: www.example.org middle root", "bücher: stranger"}},
		"a JCEKS":                   {jksOf(magicJCEKS, "changeit", stored{"a", false, [][]byte{f.leaf.der}}), JCEKS, []string{"a: www.example.org"}},
		"an alias that is there twice": {
			jksOf(magicJKS, "", stored{"a", false, [][]byte{f.leaf.der}}, stored{"a", false, [][]byte{f.root.der}}, stored{"a", false, [][]byte{f.middle.der}}),
			JKS,
			[]string{"a: www.example.org", "a~2: root", "a~3: middle"},
		},
		"a Java keystore of another password": {
			jksOf(magicJKS, "unknown", stored{"a", false, [][]byte{f.leaf.der}}), JKS, []string{"a: www.example.org", "error: auth"},
		},
		"a Java keystore with a broken certificate": {
			jksOf(magicJKS, "secret", stored{"a", false, [][]byte{f.leaf.der[:90]}}, stored{"b", false, [][]byte{f.leaf.der}}),
			JKS,
			[]string{"a: [malformed]", "b: www.example.org"},
		},
		"an empty Java keystore": {jksOf(magicJKS, "secret"), JKS, []string{"empty"}},
		"PKCS#12 with a key":     {string(withKey), PKCS12, []string{"web: www.example.org middle root", "other: stranger"}},
		"PKCS#12 without names":  {string(p12Of("", 1, bagged{"", "", f.leaf.der}, bagged{"", "", f.root.der})), PKCS12, []string{": www.example.org root"}},
		"a trust store":          {string(p12Of("changeit", 1, bagged{"ca1", "", f.root.der}, bagged{"ca2", "", f.stranger.der})), PKCS12, []string{"ca1: root", "ca2: stranger"}},
		"PKCS#12 of another password": {
			string(p12Of("unknown", 1, bagged{"a", "", f.leaf.der})), PKCS12, []string{"a: www.example.org", "error: auth"},
		},
		"PKCS#12 with a broken certificate": {
			string(p12Of("secret", 1, bagged{"a", "", f.leaf.der[:90]}, bagged{"b", "", f.leaf.der})), PKCS12, []string{"a: [malformed]", "b: www.example.org"},
		},
		"an empty PKCS#12":                      {string(p12Of("secret", 1)), PKCS12, []string{"empty"}},
		"PKCS#12 that asks for too many rounds": {string(p12Of("secret", maxRounds+1, bagged{"a", "", f.leaf.der})), PKCS12, []string{"a: www.example.org", "error: too_large"}},
		"a Secret of Kubernetes": {
			"kind: Secret\ndata:\n  tls.crt: " + encoded(leaf+root) + "\n  tls.key: " + encoded("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n") + "\n",
			Document,
			[]string{"data.tls.crt: www.example.org root"},
		},
		"a Secret with keystores": {
			"data:\n  store.jks: " + encoded(java) + "\n  store.p12: " + encoded(string(withKey)) + "\n",
			Document,
			[]string{"data.store.jks/web: www.example.org middle root", "data.store.jks/bücher: stranger", "data.store.p12/web: www.example.org middle root", "data.store.p12/other: stranger"},
		},
		"a Secret without its certificate": {"kind: Secret\ndata:\n  tls.crt: aGVsbG8=\n", Document, []string{"error: malformed"}},
		"several documents": {
			"kind: Secret\nmetadata: {name: a}\ndata:\n  tls.crt: " + encoded(leaf) + "\n---\nkind: Secret\nmetadata: {name: b}\ndata:\n  tls.crt: " + encoded(root) + "\n",
			Document,
			[]string{"a/data.tls.crt: www.example.org", "b/data.tls.crt: root"},
		},
		"PEM in YAML":               {"tls:\n  cert: |" + indent(leaf) + "  more:\n  - name: x\n    ca: |" + strings.ReplaceAll(indent(root), "\n", "\n  "), Document, []string{"tls.cert: www.example.org", "tls.more[x].ca: root"}},
		"PEM in JSON":               {`{"a": [{"pem": ` + quoted(leaf) + `}], "b": "` + strings.ReplaceAll(root, "\n", `\n`) + `"}`, Document, []string{"a[0].pem: www.example.org", "b: root"}},
		"keys of JSON Web Keys":     {`{"keys":[{"kty":"EC","x5c":["` + encoded(string(f.leaf.der)) + `","` + encoded(string(f.root.der)) + `"]}]}`, Document, []string{"keys[0].x5c[0]: www.example.org", "keys[0].x5c[1]: root"}},
		"PEM with escapes in text":  {"CERT=\"" + strings.ReplaceAll(leaf, "\n", `\n`) + "\"\nOTHER='" + strings.ReplaceAll(root, "\n", `\\n`) + "'\n", PEM, []string{": www.example.org root"}},
		"PEM in base64 in text":     {"export CERT=" + encoded(leaf) + " # our own\n{{ broken yaml", Document, []string{": www.example.org"}},
		"YAML that is damaged":      {"a: {{ x }\ntls.crt: " + encoded(leaf) + "\nb: |" + indent(root), PEM, []string{": root", "~2: www.example.org"}},
		"a kubeconfig":              {kubeconfigOf(leaf, root), Kubeconfig, []string{"clusters[prod].cluster.certificate-authority-data: root", "users[kim].user.client-certificate-data: www.example.org", "see /pki/ca.crt", "see certs/lee.crt"}},
		"a kubeconfig with rubbish": {strings.ReplaceAll(kubeconfigOf(leaf, root), "LS0t", "...."), Kubeconfig, []string{"see /pki/ca.crt", "see certs/lee.crt", "error: malformed", "error: malformed"}},
		"a kubeconfig with tokens":  {"kind: Config\nclusters: []\nusers: [{name: a, user: {token: x, b: ca.crt}}]\n", Kubeconfig, []string{"none"}},
		"nothing":                   {"", Unknown, []string{"none"}},
		"text":                      {"hello: [world]\n", Unknown, []string{"none"}},
		"a private key":             {"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", PEM, []string{"none"}},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := Parse([]byte(c.data), Options{Passwords: passwords})
			lines := f.lines(content, err)
			if diff := cmp.Diff(c.lines, lines); diff != "" || content.Kind != c.kind {
				t.Errorf("kind %q, want %q (-want +got):\n%s\n%v", content.Kind, c.kind, diff, content.Errors)
			}
			for _, err := range content.Errors {
				if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "wrong") {
					t.Errorf("a password stands in %v", err)
				}
			}
		})
	}
}

func kubeconfigOf(leaf, root string) string {
	return "apiVersion: v1\nkind: Config\nclusters:\n- name: prod\n  cluster: {server: x, certificate-authority-data: " + encoded(root) +
		"}\n- name: test\n  cluster: {certificate-authority: /pki/ca.crt}\nusers:\n- name: kim\n  user:\n    client-certificate-data: " + encoded(leaf) +
		"\n    client-key-data: " + encoded("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n") +
		"\n- name: lee\n  user: {client-certificate: certs/lee.crt}\n"
}

// However a store is cut, that is an error of a cut file and never silence or a
// lack of a password.
func TestWhatIsTruncatedIsMalformed(t *testing.T) {
	f := newFamily(t)
	for name, data := range map[string][]byte{
		"JKS":     []byte(jksOf(magicJKS, "secret", stored{"a", false, [][]byte{f.root.der}}, stored{"b", true, [][]byte{f.leaf.der, f.root.der}})),
		"PKCS#12": p12Of("secret", 1, bagged{"web", "1", nil}, bagged{"", "1", f.leaf.der}),
		"PKCS#7":  pkcs7Of([][]byte{f.leaf.der, f.root.der}, nil),
		"CRL":     crlOf(t, f.root, 1, 20),
		"DER":     f.leaf.der,
	} {
		for cut := range len(data) {
			c, err := Parse(data[:cut], Options{Passwords: []string{"secret"}})
			errs := slices.Clone(c.Errors)
			for _, e := range c.Entries {
				errs = append(errs, e.Errors...)
			}
			if cut < 24 && (errors.Is(err, bundle.ErrNone) || errors.Is(err, ErrEmpty)) {
				continue // too short to be told from anything else
			}
			if len(errs) == 0 || probes.ReasonOf(errors.Join(errs...)) != probes.Malformed {
				t.Errorf("%s, %d of %d bytes: got %v, %v", name, cut, len(data), errs, err)
			}
		}
	}
}

func TestTheWorkOnOneFileIsBounded(t *testing.T) {
	f := newFamily(t)
	many := make([]stored, maxItems+10)
	for i := range many {
		many[i] = stored{fmt.Sprint("a", i), false, [][]byte{f.leaf.der}}
	}
	c, err := Parse([]byte(jksOf(magicJKS, "", many...)), Options{})
	check(t, err)
	if len(c.Entries) != maxItems || len(c.Errors) != 1 || probes.ReasonOf(c.Errors[0]) != probes.TooLarge {
		t.Errorf("%d entries, errors %v", len(c.Entries), c.Errors)
	}
	for i := range many {
		many[i].chain = [][]byte{[]byte("rubbish")}
	}
	c, err = Parse([]byte(jksOf(magicJKS, "", many...)), Options{})
	check(t, err)
	if len(c.Entries) != maxErrors || len(c.Errors) != 1 || probes.ReasonOf(c.Errors[0]) != probes.TooLarge {
		t.Errorf("%d entries, errors %v", len(c.Entries), c.Errors)
	}
	deep := bytes.Repeat([]byte{0x30, 0x80}, 100000)
	if c, err := Parse(deep, Options{}); err == nil && len(c.Errors) == 0 && len(c.Entries) == 0 {
		t.Errorf("got %+v", c)
	}
	// A list as long as it pleases, of which a few bytes are there.
	if c, err := Parse([]byte(magicJKS+"\x00\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01\x00\x01a12345678\xff\xff\xff\xff"), Options{}); err != nil || len(c.Errors) != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}
