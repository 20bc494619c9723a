package store

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"hygiene_exporter/probes"
)

func sshLine(t testing.TB, after, before uint64) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	check(t, err)
	c := &ssh.Certificate{
		Key: signer.PublicKey(), Serial: 7, CertType: ssh.HostCert, KeyId: "id", ValidPrincipals: []string{"a.example.org"},
		ValidAfter: after, ValidBefore: before,
	}
	check(t, c.SignCert(rand.Reader, signer))
	return string(ssh.MarshalAuthorizedKey(c))
}

func TestTheEndsOfSSHCertificates(t *testing.T) {
	second := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	for name, c := range map[string]struct {
		after, before uint64
		want          [2]time.Time
	}{
		"both ends":                         {1000, 2000, [2]time.Time{second(1000), second(2000)}},
		"for ever":                          {0, ssh.CertTimeInfinity, [2]time.Time{}},
		"from a day on":                     {1000, ssh.CertTimeInfinity, [2]time.Time{second(1000)}},
		"to a day":                          {0, 2000, [2]time.Time{{}, second(2000)}},
		"to a year that no clock will show": {0, 1 << 62, [2]time.Time{}},
		"to the last second":                {0, lastSecond, [2]time.Time{{}, second(lastSecond)}},
	} {
		got, err := Parse([]byte("# a comment\n"+sshLine(t, c.after, c.before)), Options{})
		check(t, err)
		if len(got.SSH) != 1 || got.Kind != SSH {
			t.Fatalf("%s: %+v", name, got)
		}
		s := got.SSH[0]
		if diff := cmp.Diff(c.want, [2]time.Time{s.ValidAfter, s.ValidBefore}); diff != "" || !s.Host || s.Line != 2 || s.KeyID != "id" || s.Serial != 7 || s.Type != "ssh-ed25519" || s.Key != "ed25519" || s.Authority != s.Fingerprint {
			t.Errorf("%s: %+v\n%s", name, s, diff)
		}
	}
}

func TestWhatNamesACertificateOfSSHIsNone(t *testing.T) {
	line := sshLine(t, 0, 1000)
	for name, c := range map[string]struct {
		text          string
		found, faults int
	}{
		"two in a file":                {line + line, 2, 0},
		"behind options":               {`command="echo hello",no-pty ` + line, 1, 0},
		"commented out":                {"#" + line, 0, 0},
		"a list of algorithms":         {"HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com \n", 0, 0},
		"a list that ends with one":    {"HostKeyAlgorithms ssh-rsa,ssh-ed25519-cert-v01@openssh.com\n", 0, 0},
		"cut":                          {line[:100] + "\n" + line, 1, 1},
		"another key under its type":   {strings.Replace(line, "ssh-ed25519", "ssh-rsa", 1), 1, 0},
		"a type that does not exist":   {strings.Replace(line, "ssh-ed25519", "ssh-none", 1), 0, 0},
		"with line ends of Windows":    {strings.ReplaceAll(line, "\n", "\r\n"), 1, 0},
		"a file without its last line": {strings.TrimSpace(line), 1, 0},
	} {
		got, _ := Parse([]byte(c.text), Options{})
		if len(got.SSH) != c.found || len(got.Errors) != c.faults {
			t.Errorf("%s: %d and %v", name, len(got.SSH), got.Errors)
		}
		for _, err := range got.Errors {
			if probes.ReasonOf(err) != probes.Malformed {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
