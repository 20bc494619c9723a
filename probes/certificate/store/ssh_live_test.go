//go:build live

package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestLiveSSH compares with what ssh-keygen prints of the certificates it made.
func TestLiveSSH(t *testing.T) {
	l := newLab(t, "ssh-keygen")
	l.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ca")
	l.run("ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", "ca-ecdsa")
	n := 0
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		l.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", kind)
		for name, args := range map[string][]string{
			"host for ever":          {"-h", "-n", "a.example.org,b.example.org"},
			"host for a year":        {"-h", "-n", "a.example.org", "-V", "+52w"},
			"host that is expired":   {"-h", "-n", "a", "-V", "20200101:20210101123456"},
			"user without names":     {},
			"user from a day on":     {"-n", "kim", "-V", "20240229:forever"},
			"user to a day":          {"-n", "kim,lee", "-V", "always:20990101"},
			"user with restrictions": {"-n", "kim", "-O", "clear", "-O", "force-command=/bin/true", "-V", "-1m:+5m"},
		} {
			n++
			ca := []string{"ca", "ca-ecdsa"}[n%2]
			l.run(append(append([]string{"ssh-keygen", "-q", "-s", ca, "-I", "id of " + name, "-z", fmt.Sprint(n * 1000003)}, args...), kind+".pub")...)
			c, err := Parse(l.read(kind+"-cert.pub"), Options{})
			check(t, errors.Join(err, c.complaints()))
			if len(c.SSH) != 1 || c.Kind != SSH {
				t.Fatalf("%s %s: %+v", kind, name, c)
			}
			want := l.run("ssh-keygen", "-L", "-f", kind+"-cert.pub")
			want = want[:strings.Index(want, "        Critical Options")]
			want = regexp.MustCompile(`(?m)^ +|Public key: \S+ |Signing CA: \S+ | \(using \S+\)`).ReplaceAllString(want, "")
			want = want[strings.Index(want, "\n")+1:]
			if got := printSSH(c.SSH[0]); !sameSSH(got, want) {
				t.Errorf("%s %s\nssh-keygen:\n%s\nours:\n%s", kind, name, want, got)
			}
			l.stores++
		}
	}
}

func sameSSH(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

// printSSH prints a certificate as ssh-keygen does.
func printSSH(c SSHCertificate) string {
	kind := "user"
	if c.Host {
		kind = "host"
	}
	day := func(at time.Time) string { return at.Format("2006-01-02T15:04:05") }
	valid := ""
	switch after, before := c.ValidAfter.IsZero(), c.ValidBefore.IsZero(); {
	case after && before:
		valid = "forever"
	case after:
		valid = "before " + day(c.ValidBefore)
	case before:
		valid = "after " + day(c.ValidAfter)
	default:
		valid = "from " + day(c.ValidAfter) + " to " + day(c.ValidBefore)
	}
	principals := "(none)"
	if len(c.Principals) > 0 {
		principals = strings.Join(c.Principals, "\n")
	}
	lines := []string{fmt.Sprintf("Type: %s%s %s certificate", c.Type, markSSH, kind), c.Fingerprint, c.Authority, fmt.Sprintf("Key ID: %q", c.KeyID), fmt.Sprintf("Serial: %d", c.Serial), "Valid: " + valid, "Principals:", principals}
	return strings.Join(lines, "\n")
}
