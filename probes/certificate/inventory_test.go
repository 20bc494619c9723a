package certificate

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a server shows is compared with what lies on the host.
func TestWhatLiesOnTheHostIsFound(t *testing.T) {
	root := issue(t, "root", true, nil, newKey(t))
	made := func(from, to time.Duration, names ...string) issued {
		return issueWith(t, names[0], false, &root, newKey(t), func(c *x509.Certificate) {
			c.DNSNames, c.NotBefore, c.NotAfter = names, time.Now().Add(from), time.Now().Add(to)
		})
	}
	served := made(-60*day, 30*day, "a.example", "b.example")
	r := newRig(t, "/s")
	for name, c := range map[string]issued{
		"copy":    served,
		"renewed": made(-1*day, 89*day, "b.example", "a.example"),
		"more":    made(-1*day, 89*day, "a.example", "b.example", "c.example"),
		"fewer":   made(-1*day, 89*day, "a.example"),
		"older":   made(-90*day, 20*day, "a.example", "b.example"),
		"shorter": made(-1*day, 9*day, "a.example", "b.example"),
	} {
		r.write("/s/"+name+".pem", slices.Concat(c.pem(), root.pem()))
	}
	r.run()
	objects := func(found []lying) (names []string) {
		for _, l := range found {
			names = append(names, l.part.object)
		}
		return names
	}
	shown := r.probe.files["/s/copy.pem"].parts[0].bundle.Certificates[0]
	if l := r.probe.inventory.disk().known[shown.Fingerprint]; l.part == nil || l.part.object != "/s/copy.pem" {
		t.Errorf("it lies in %+v", l.part)
	}
	if diff := cmp.Diff([]string{"/s/more.pem", "/s/renewed.pem"}, objects(r.probe.inventory.newer(shown))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
