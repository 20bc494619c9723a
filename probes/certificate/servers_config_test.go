package certificate

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func TestMistakesAboutServersAreNamed(t *testing.T) {
	for _, row := range []struct {
		name, yml string
		want      []string
	}{
		{"endpoints of every kind", `endpoints: [{target: "www.example.org:443"}, {target: "[2001:db8::1]:25", starttls: smtp, server_name: mx.example.org}, {target: "unix:/run/x.sock"}, {target: "www.example.org:443", server_name: other.example.org, addresses: all}]`, nil},
		{"an endpoint without a target", `endpoints: [{starttls: smtp}]`, []string{"endpoints[0].target: is missing"}},
		{"a target without a port", `endpoints: [{target: www.example.org}]`, []string{`endpoints[0].target: "www.example.org" is not host:port, such as www.example.org:443 or [2001:db8::1]:443`}},
		{"a target that is a URL", `endpoints: [{target: "https://www.example.org"}]`, []string{`endpoints[0].target: "https://www.example.org" is not host:port, such as www.example.org:443 or [2001:db8::1]:443`}},
		{"a port that is none", `endpoints: [{target: "a:0"}, {target: "a:70000"}, {target: "a:https"}]`, []string{
			`endpoints[0].target: "0" is not the number of a port`, `endpoints[1].target: "70000" is not the number of a port`, `endpoints[2].target: "https" is not the number of a port`,
		}},
		{"a socket with a relative path", `endpoints: [{target: "unix:x.sock"}]`, []string{`endpoints[0].target: "x.sock" is not an absolute path`}},
		{"all addresses of a socket", `endpoints: [{target: "unix:/x.sock", addresses: all}]`, []string{"endpoints[0].addresses: a socket has one address only"}},
		{"the same endpoint twice", `endpoints: [{target: "a:1"}, {target: "a:1", server_name: a}]`, []string{`endpoints[1].target: "a:1" with the same server_name is an earlier endpoint too`}},
		{"a dialogue that does not exist", `endpoints: [{target: "a:1", starttls: gopher}]`, []string{`endpoints[0].starttls: "gopher" is not one of smtp, submission, lmtp, imap, pop3, sieve, ftp, ldap, postgres, mysql, xmpp-client, xmpp-server, nntp`}},
		{"paths that are not absolute", `endpoints: [{target: "a:1", ca_files: [x.pem], client_certificate: y.pem, client_key: z.pem}]`, []string{
			`endpoints[0].ca_files[0]: "x.pem" is not an absolute path`, `endpoints[0].client_certificate: "y.pem" is not an absolute path`, `endpoints[0].client_key: "z.pem" is not an absolute path`,
		}},
		{"a key without its certificate", `endpoints: [{target: "a:1", client_key: /z.pem}]`, []string{"endpoints[0].client_key: there is no client_certificate to which it could belong"}},
		{"a policy that goes backwards", `endpoints: [{target: "a:1", renew: {due: 10%, overdue: 20%}}]`, []string{"endpoints[0].renew.overdue: 20% is earlier than due, which is 10%"}},
		{"no concurrency", `handshakes: {concurrency: 0, per_second: 5000}`, []string{"handshakes.concurrency: must be between 1 and 1000, not 0", "handshakes.per_second: must be between 1 and 1000, not 5000"}},
		{"ports of listeners", `listeners: {ports: ["8444", "9000-9010", "2525/smtp"], exclude: ["443"]}`, nil},
		{"ports that are none", `listeners: {ports: ["x", "9-8", "25/gopher"], exclude: ["25/smtp"], max: 0}`, []string{
			"listeners.exclude[0]: a port is left alone whatever its dialogue is", "listeners.max: must be between 1 and 1000, not 0",
			`listeners.ports[0]: "x" is no port, such as 8444, and no range of ports, such as 9000-9010`, `listeners.ports[1]: "9-8" is no port, such as 8444, and no range of ports, such as 9000-9010`,
			`listeners.ports[2]: "gopher" is not one of smtp, submission, lmtp, imap, pop3, sieve, ftp, ldap, postgres, mysql, xmpp-client, xmpp-server, nntp`,
		}},
		{"a module without anything", `modules: [{}]`, []string{"modules[0].name: is missing", "modules[0].targets: is missing; without it nobody may ask for anything"}},
		{"a module for everybody", `modules: [{name: a, targets: ["*:443", "https://x", "0.0.0.0/0:443"]}]`, []string{
			`modules[0].targets[0]: "*" is no name, no *.domain, no address and no network`, `modules[0].targets[1]: "https://x" is not host:port, such as *.example.org:443 or [2001:db8::/32]:443`,
		}},
		{"a module that expects the wrong thing", `modules: [{name: a, expect: closed, targets: ["a:1"]}, {name: a, prober: tcp, starttls: smtp, addresses: all, expect: ajar, targets: ["a:1"]}]`, []string{
			"modules[0].expect: is for the prober tcp; what a certificate should be needs no word",
			"modules[1].addresses: the prober tcp asks one address; name each as a target", `modules[1].expect: "ajar" is not one of open, closed`,
			`modules[1].name: "a" is the name of an earlier module too`, "modules[1].starttls: the prober tcp says nothing to the target",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := defaultConfig()
			if err := yaml.Unmarshal([]byte(row.yml), c); err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := c.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			slices.Sort(got) // keys of one section are checked in any order
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
