//go:build live

package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// exports are the ways in which openssl is asked to write PKCS#12.
func exports() map[string][]string {
	made := map[string][]string{
		"default":                          nil,
		"legacy":                           {"-legacy"},
		"names":                            {"-name", "Web Server", "-caname", "issuer", "-caname", "top"},
		"no keys":                          {"-nokeys", "-caname", "x"},
		"no protection, as -nomac chooses": {"-nomac"},
		"no MAC":                           {"-nomac", "-certpbe", "AES-256-CBC"},
		"no encryption":                    {"-certpbe", "NONE", "-keypbe", "NONE"},
		"no protection":                    {"-certpbe", "NONE", "-keypbe", "NONE", "-nomac"},
		"no MAC, legacy":                   {"-legacy", "-nomac", "-certpbe", "PBE-SHA1-RC2-40"},
		"one round":                        {"-iter", "1", "-nomaciter"},
		"many rounds":                      {"-iter", "100000"},
	}
	for i, pbe := range []string{"PBE-SHA1-3DES", "PBE-SHA1-2DES", "PBE-SHA1-RC2-40", "PBE-SHA1-RC2-128", "AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "DES-EDE3-CBC"} {
		for j, mac := range []string{"sha1", "sha224", "sha256", "sha384", "sha512"} {
			if (i+j)%2 == 0 {
				args := []string{"-certpbe", pbe, "-keypbe", "AES-128-CBC", "-macalg", mac}
				if strings.HasPrefix(pbe, "PBE") {
					args = append(args, "-legacy")
				}
				made[pbe+" "+mac] = args
			}
		}
	}
	return made
}

func TestLivePKCS12(t *testing.T) {
	l := newLab(t, "openssl")
	l.authority()
	random := rand.New(rand.NewPCG(12, 12))
	passwords := []string{"secret", "", "pässwörd ☃", strings.Repeat("long", 30)}
	keys := []string{"rsa", "ec", "ed"}
	n := 0
	all := exports()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args := all[name]
		n++
		password, key := passwords[n%len(passwords)], keys[n%len(keys)]
		command := []string{"openssl", "pkcs12", "-export", "-in", key + ".pem", "-inkey", key + ".key", "-certfile", "chain.pem", "-passout", "pass:" + password, "-out", "store.p12"}
		l.run(append(command, args...)...)
		data := l.read("store.p12")
		out := l.run("openssl", "pkcs12", "-in", "store.p12", "-nokeys", "-legacy", "-passin", "pass:"+password)
		want := fingerprints(out)
		o := Options{Passwords: []string{"wrong", password}}
		c, err := Parse(data, o)
		check(t, errors.Join(err, c.complaints()))
		if diff := cmp.Diff(want, c.fingerprints()); diff != "" || c.Kind != PKCS12 || len(want) != 3 {
			t.Errorf("%s (-openssl +ours):\n%s", name, diff)
		}
		if name != "no keys" {
			chain := c.Entries[0]
			if len(c.Entries) != 1 || chain.Name != strings.Join(regexp.MustCompile(`(?m)^    friendlyName: (Web.*)$`).FindStringSubmatch(out)[min(1, strings.Count(out, "Web")):], "") {
				t.Errorf("%s: the entries are %q…, openssl says\n%s", name, chain.Name, out)
			}
			if chain.Certificates[0].Subject != key || chain.Certificates[2].Subject != "root" {
				t.Errorf("%s: the chain is %v", name, chain.Certificates)
			}
			if keys := chain.Keys; len(keys) != 1 || keys[0].PublicHash != chain.Certificates[0].PublicHash {
				t.Errorf("%s: the key of the store is not that of the certificate: %+v", name, keys)
			}
			if got, want := ours(chain.Certificates[0]), l.attest(l.read(key+".pem")); got != want {
				t.Errorf("%s: got %v, openssl says %v", name, got, want)
			}
		}
		l.stores++
		l.mutate(name, data, o, random)
		l.refuse(name, data, password)
	}
}

// refuse expects that a wrong password is told from anything else.
func (l *lab) refuse(name string, data []byte, password string) {
	l.Helper()
	l.stores++
	c, err := Parse(data, Options{Passwords: []string{"wrong", "password"}})
	check(l, err)
	if strings.HasPrefix(name, "no protection") || password == "" {
		if c.complaints() != nil {
			l.Errorf("%s: no password is needed: %v", name, c.complaints())
		}
		return
	}
	open := name == "no encryption"
	if probes.ReasonOf(c.complaints()) != probes.Auth || open != (len(c.fingerprints()) > 0) || open != errors.Is(c.complaints(), ErrUnverified) {
		l.Errorf("%s, wrong password: %v, %v", name, c.fingerprints(), c.complaints())
	}
}

// keytool runs Java's own program.
func (l *lab) keytool(args ...string) string {
	l.Helper()
	return l.run(append([]string{"keytool", "-J-Duser.language=en", "-J-Xshare:auto", "-J-XX:TieredStopAtLevel=1"}, args...)...)
}

// java describes what keytool lists: each alias with its fingerprints and ends.
func (l *lab) javaSays(file, password string, args ...string) []string {
	l.Helper()
	out := l.keytool(append([]string{"-list", "-v", "-keystore", file, "-storepass", password}, args...)...)
	var said []string
	for _, part := range strings.Split(out, "Alias name: ")[1:] {
		alias, rest, _ := strings.Cut(part, "\n")
		line := strings.ToLower(alias)
		for _, m := range regexp.MustCompile(`SHA256: ([0-9A-F:]{95})`).FindAllStringSubmatch(rest, -1) {
			line += " " + strings.ToLower(strings.ReplaceAll(m[1], ":", ""))
		}
		if strings.Contains(line, " ") { // not a secret key
			for _, m := range regexp.MustCompile(`until: \w+ (.*) UTC (\d+)`).FindAllStringSubmatch(rest, -1) {
				line += " " + m[1] + " " + m[2]
			}
			said = append(said, line)
		}
	}
	slices.Sort(said)
	return said
}

func (c Content) said() (said []string) {
	for _, e := range c.Entries {
		line := strings.ToLower(e.Name)
		for _, c := range e.Certificates {
			line += " " + c.Fingerprint
		}
		for _, c := range e.Certificates {
			line += " " + c.NotAfter.Format("Jan 02 15:04:05 2006")
		}
		said = append(said, line)
	}
	slices.Sort(said)
	return said
}

// TestLiveJava lets keytool make stores of all its types, with keys, chains,
// trusted certificates and secret keys, and compares with what it lists.
func TestLiveJava(t *testing.T) {
	l := newLab(t, "openssl", "keytool")
	l.authority()
	random := rand.New(rand.NewPCG(3, 4))
	l.run("openssl", "pkcs12", "-export", "-in", "rsa.pem", "-inkey", "rsa.key", "-certfile", "chain.pem", "-name", "Web Bücher", "-passout", "pass:secret", "-out", "web.p12")
	legacy := "-J-Dkeystore.pkcs12.legacy"
	for name, c := range map[string]struct {
		kind    Kind
		options []string
		secret  bool
	}{
		"jks": {JKS, []string{"-storetype", "JKS"}, false}, "jceks": {JCEKS, []string{"-storetype", "JCEKS"}, true},
		"p12": {PKCS12, []string{"-storetype", "PKCS12"}, true}, "p12-named.jks": {PKCS12, []string{"-storetype", "PKCS12", legacy}, false},
		"p12-3des":   {PKCS12, []string{"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.certProtectionAlgorithm=PBEWithSHA1AndDESede"}, false},
		"p12-sha512": {PKCS12, []string{"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.certProtectionAlgorithm=PBEWithHmacSHA512AndAES_256", "-J-Dkeystore.pkcs12.macAlgorithm=HmacPBESHA512"}, false},
		"p12-open":   {PKCS12, []string{"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE", "-J-Dkeystore.pkcs12.macAlgorithm=NONE"}, false},
	} {
		store := append([]string{"-keystore", name, "-storepass", "secret"}, c.options...)
		with := func(args ...string) { l.keytool(append(args, store...)...) }
		l.keytool(append([]string{"-importkeystore", "-noprompt", "-srckeystore", "web.p12", "-srcstorepass", "secret", "-srcstoretype", "PKCS12", "-destkeystore", name, "-deststorepass", "secret", "-deststoretype"}, c.options[1:]...)...)
		if c.secret {
			with("-genseckey", "-keyalg", "AES", "-keysize", "256", "-alias", "an-aes-key")
		}
		with("-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-alias", "zoë", "-dname", "CN=Zoë, O=Lab", "-validity", "33")
		for _, trusted := range []string{"stranger", "root", "ed"} {
			with("-importcert", "-noprompt", "-alias", "trusted-"+trusted, "-file", trusted+".pem")
		}
		data := l.read(name)
		got, err := Parse(data, Options{Passwords: []string{"wrong", "secret"}})
		check(t, errors.Join(err, got.complaints()))
		if diff := cmp.Diff(l.javaSays(name, "secret"), got.said()); diff != "" || got.Kind != c.kind {
			t.Errorf("%s is %s (-keytool +ours):\n%s", name, got.Kind, diff)
		}
		for _, e := range got.Entries {
			matches := len(e.Keys) == 1 && e.Keys[0].PublicHash == e.Certificates[0].PublicHash
			if e.Trusted == matches || c.kind == JKS && !e.Trusted && !matches {
				if c.kind != JCEKS { // whose keys are protected in another way
					t.Errorf("%s: entry %s, trusted %v, keys %+v", name, e.Name, e.Trusted, e.Keys)
				}
			}
		}
		if len(got.Entries) != 5 {
			t.Errorf("%s: %d entries, want 5", name, len(got.Entries))
		}
		l.stores++
		l.mutate(name, data, Options{Passwords: []string{"secret"}}, random)
		if c.kind == PKCS12 {
			label := name
			if name == "p12-open" {
				label = "no protection"
			}
			l.refuse(label, data, "secret")
			continue
		}
		unverified, err := Parse(data, Options{})
		check(t, err)
		if diff := cmp.Diff(got.said(), unverified.said()); diff != "" || !errors.Is(unverified.complaints(), ErrUnverified) || probes.ReasonOf(unverified.complaints()) != probes.Auth {
			t.Errorf("%s without its password: %v\n%s", name, unverified.complaints(), diff)
		}
		l.stores++
	}
	l.empty()
}

// empty expects that an empty store is told from a damaged one.
func (l *lab) empty() {
	for _, kind := range []string{"JKS", "JCEKS", "PKCS12"} {
		name := "empty-" + kind
		l.keytool("-importcert", "-noprompt", "-keystore", name, "-storepass", "secret", "-storetype", kind, "-alias", "x", "-file", "root.pem")
		l.keytool("-delete", "-keystore", name, "-storepass", "secret", "-alias", "x")
		if c, err := Parse(l.read(name), Options{Passwords: []string{"secret"}}); !errors.Is(err, ErrEmpty) {
			l.Errorf("%s: %+v, %v", name, c, err)
		}
		l.stores++
	}
}

// TestLiveDamageIsWhatOpenSSLSays compares damaged stores with openssl: what it
// reads as a whole must be read here, or be an error: openssl copies a certificate
// whose dates nobody can read.
func TestLiveDamageIsWhatOpenSSLSays(t *testing.T) {
	l := newLab(t, "openssl")
	l.authority()
	random := rand.New(rand.NewPCG(5, 5))
	l.run("openssl", "pkcs12", "-export", "-in", "ec.pem", "-inkey", "ec.key", "-certfile", "chain.pem", "-passout", "pass:secret", "-nomac", "-out", "store.p12")
	data := l.read("store.p12")
	accepted := 0
	for range 60 {
		damaged := slices.Clone(data)
		at := random.IntN(len(damaged))
		damaged[at] ^= byte(1 << random.IntN(8))
		l.write("damaged.p12", damaged)
		out, openssl := l.try("openssl", "pkcs12", "-in", "damaged.p12", "-nokeys", "-passin", "pass:secret")
		c, err := Parse(damaged, Options{Passwords: []string{"secret"}})
		if openssl == nil && len(fingerprints(out)) == 3 {
			accepted++
			if diff := cmp.Diff(fingerprints(out), c.fingerprints()); diff != "" && c.complaints() == nil {
				t.Errorf("byte %d: %v, %v\n%s", at, c.complaints(), err, diff)
			}
		}
		if openssl != nil && errors.Join(err, c.complaints()) == nil && len(c.fingerprints()) != 3 {
			t.Errorf("byte %d: openssl says %v, and nothing is wrong here: %s", at, openssl, fmt.Sprint(c))
		}
		l.stores++
	}
	if accepted < 5 {
		t.Errorf("openssl accepted %d, which proves little", accepted)
	}
}
