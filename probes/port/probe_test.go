package port

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	any4 = "00000000"
	lo4  = "0100007F"
	any6 = "00000000000000000000000000000000"
)

// One life of a host: a row is what listens, and what the run says of it.
func TestALifeWithoutAPolicy(t *testing.T) {
	r := newRig(t, "")
	for _, step := range []struct {
		name    string
		listens []string
		want    []string
	}{
		{"nothing is unexpected", []string{"tcp " + any4 + " 22", "tcp " + lo4 + " 25"}, []string{"tcp/loopback:25 is none", "tcp/wildcard_v4:22 is none"}},
		{"a restart is the same listener", []string{"tcp " + any4 + " 22", "tcp " + lo4 + " 25"}, []string{"2 rebound", "tcp/loopback:25 is none", "tcp/wildcard_v4:22 is none"}},
		{
			"IPv4 and IPv6 in two sockets are one wildcard",
			[]string{"tcp " + any4 + " 22", "tcp6 " + any6 + " 22"},
			// The name changes with what can be reached.
			[]string{"1 opened", "2 closed", "2 rebound", "gone tcp/loopback:25", "gone tcp/wildcard_v4:22", "tcp/wildcard:22 is none"},
		},
	} {
		r.listens(step.listens...)
		if diff := cmp.Diff(step.want, r.run()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		policy  string
		listens []string
		want    []string
	}{
		{
			name: "a data store on a wildcard needs no policy to be wrong", listens: []string{"tcp " + any4 + " 6379 112", "tcp " + lo4 + " 11211"},
			want: []string{"tcp/loopback:11211 is none", "tcp/wildcard_v4:6379 is dangerous", `tcp/wildcard_v4:6379 violates: dangerous, wildcard_v4, told to ""`},
		},
		{
			name: "what is written down is permitted, even if it is dangerous", policy: `[{protocol: tcp, ports: [6379], exposure: wildcard, user: redis, expect: allowed}]`,
			listens: []string{"tcp " + any4 + " 6379 112"}, want: []string{"tcp/wildcard_v4:6379 is allowed"},
		},
		{
			name: "for another user it is not", policy: `[{protocol: tcp, ports: [6379], exposure: wildcard, user: redis, expect: allowed}]`,
			listens: []string{"tcp " + any4 + " 6379 0"}, want: []string{"tcp/wildcard_v4:6379 is dangerous", `tcp/wildcard_v4:6379 violates: dangerous, wildcard_v4, told to ""`},
		},
		{
			name: "with a policy, what no rule names is unexpected", policy: `[{protocol: tcp, ports: [22], expect: allowed}]`,
			listens: []string{"tcp " + any4 + " 22", "tcp " + lo4 + " 8080"},
			want:    []string{"tcp/loopback:8080 is unexpected", `tcp/loopback:8080 violates: unexpected, loopback, told to ""`, "tcp/wildcard_v4:22 is allowed"},
		},
		{
			name:    "the first rule that fits decides",
			policy:  `[{protocol: tcp, ports: [8005], expect: allowed}, {protocol: tcp, ports: ["8000-8010"], expect: forbidden, owner: web}, {expect: allowed}]`,
			listens: []string{"tcp " + any4 + " 8005", "tcp " + any4 + " 8006", "udp " + any4 + " 53"},
			want: []string{
				"tcp/wildcard_v4:8005 is allowed", "tcp/wildcard_v4:8006 is forbidden",
				`tcp/wildcard_v4:8006 violates: forbidden, wildcard_v4, told to "web"`, "udp/wildcard_v4:53 is allowed",
			},
		},
		{
			name:    "another exposure is another listener",
			policy:  `[{protocol: tcp, ports: [3306], exposure: loopback, expect: required, owner: db}]`,
			listens: []string{"tcp " + any4 + " 3306"},
			want: []string{
				"required_missing_since_timestamp_seconds tcp/loopback:3306", "tcp/wildcard_v4:3306 is unexpected",
				`tcp/wildcard_v4:3306 violates: unexpected, wildcard_v4, told to ""`,
			},
		},
		{
			name: "what is required and there is in order", policy: `[{protocol: tcp, ports: [22], exposure: any, expect: required}]`,
			listens: []string{"tcp " + any4 + " 22"}, want: []string{"in order tcp/any:22", "tcp/wildcard_v4:22 is required"},
		},
		{
			name:    "a required listener under its own name has its own facts, and two rules of one name are told apart",
			policy:  `[{protocol: tcp, ports: [22], exposure: loopback, expect: required}, {protocol: tcp, ports: [25], user: root, expect: required}, {protocol: tcp, ports: [25], user: redis, expect: required}]`,
			listens: []string{"tcp " + lo4 + " 22"},
			want: []string{
				"required_missing_since_timestamp_seconds tcp/any:25", "required_missing_since_timestamp_seconds tcp/any:25#2",
				"tcp/loopback:22 is required",
			},
		},
		{
			name: "an exception expires", policy: `[{protocol: tcp, ports: [8080], expect: allowed, until: 2020-01-31, reason: migration, owner: web}]`,
			listens: []string{"tcp " + any4 + " 8080"},
			want: []string{
				"exception_expiry_timestamp_seconds tcp/wildcard_v4:8080", "tcp/wildcard_v4:8080 is expired",
				`tcp/wildcard_v4:8080 violates: expired, wildcard_v4, told to "web"`,
			},
		},
		{
			name: "one that has not expired has a date", policy: `[{protocol: tcp, ports: [8080], expect: allowed, until: 2999-01-31, reason: migration}]`,
			listens: []string{"tcp " + any4 + " 8080"}, want: []string{"exception_expiry_timestamp_seconds tcp/wildcard_v4:8080", "tcp/wildcard_v4:8080 is allowed"},
		},
		{
			name: "clients make no noise", policy: `[{protocol: tcp, ports: [22], expect: allowed}]`,
			listens: []string{"udp " + any4 + " 40000", "udp " + any4 + " 40001", "udp " + any4 + " 68", "udp6 " + any6 + " 546", "udp " + any4 + " 5353"},
			want:    []string{"udp/wildcard:546 is ignored", "udp/wildcard_v4:5353 is ignored", "udp/wildcard_v4:68 is ignored", "udp/wildcard_v4:ephemeral is ignored"},
		},
		{
			name: "unless a rule names them", policy: `[{protocol: udp, ports: [ephemeral, 5353], expect: forbidden}]`,
			listens: []string{"udp " + any4 + " 40000", "udp " + any4 + " 5353"},
			want: []string{
				"udp/wildcard_v4:5353 is forbidden", `udp/wildcard_v4:5353 violates: forbidden, wildcard_v4, told to ""`,
				"udp/wildcard_v4:ephemeral is forbidden", `udp/wildcard_v4:ephemeral violates: forbidden, wildcard_v4, told to ""`,
			},
		},
		{
			name: "a port that a rule names is not one that the kernel chose", policy: `[{protocol: tcp, ports: [50051], expect: allowed}]`,
			listens: []string{"tcp " + any4 + " 50051", "tcp " + any4 + " 50052"},
			want:    []string{"tcp/wildcard_v4:50051 is allowed", "tcp/wildcard_v4:ephemeral is unexpected", `tcp/wildcard_v4:ephemeral violates: unexpected, wildcard_v4, told to ""`},
		},
		{
			name: "a rule that asks for what is not known decides nothing", policy: `[{protocol: tcp, ports: [22], unit: ssh.service, expect: required}]`,
			listens: []string{"tcp " + any4 + " 22"},
			want:    []string{"fault of tcp/any:22@ssh.service: permission_denied", "fault of tcp/wildcard_v4:22: permission_denied", "tcp/wildcard_v4:22 is undecided"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, test.policy)
			r.listens(test.listens...)
			if diff := cmp.Diff(test.want, r.run()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimesSurviveARestartOfTheAgent(t *testing.T) {
	t.Parallel()
	const policy = `[{protocol: tcp, ports: [22], expect: required}]`
	r := newRig(t, policy)
	r.listens("tcp " + any4 + " 8080")
	before := [3]map[string]float64{r.since(violation), r.since(requiredMissing), r.since(firstSeen)}
	if len(before[0]) != 1 || len(before[1]) != 1 || len(before[2]) != 1 {
		t.Fatalf("facts %v", before)
	}
	// Whatever the clock says after it: what was saved holds.
	for _, values := range before {
		for object := range values {
			if o, known := r.probe.memory.Object(object); !known || o.First.IsZero() {
				t.Errorf("%s is not remembered", object)
			}
		}
	}
	r.start(policy)
	after := [3]map[string]float64{r.since(violation), r.since(requiredMissing), r.since(firstSeen)}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	// A change while the agent was down is a change.
	r.start(policy)
	r.listens("tcp " + any4 + " 22")
	want := []string{"1 closed", "1 opened", "gone tcp/wildcard_v4:8080", "in order tcp/any:22", "tcp/wildcard_v4:22 is required"}
	if diff := cmp.Diff(want, r.run()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeReadIsNotGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.listens("tcp "+any4+" 6379", "udp "+any4+" 53")
	r.run()
	for _, name := range []string{"tcp", "tcp6"} {
		path := filepath.Join(r.world.Root, "proc/net", name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil { // can be opened by nobody
			t.Fatal(err)
		}
	}
	want := []string{"fault of tcp: unsupported", "udp/wildcard_v4:53 is none"}
	if diff := cmp.Diff(want, r.run()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"tcp", "tcp6"} {
		if err := os.Remove(filepath.Join(r.world.Root, "proc/net", name)); err != nil {
			t.Fatal(err)
		}
	}
	r.listens("udp " + any4 + " 53")
	want = []string{"1 closed", "1 rebound", "gone tcp/wildcard_v4:6379", "udp/wildcard_v4:53 is none"}
	if diff := cmp.Diff(want, r.run()); diff != "" {
		t.Errorf("after it can be read again (-want +got):\n%s", diff)
	}
}

func TestWhatIsThereForAMomentIsCountedAndNotRemembered(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.run()
	r.listens("tcp " + any4 + " 8080")
	r.run()
	r.listens()
	if diff := cmp.Diff([]string{"1 closed", "1 opened"}, r.run()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A violation is remembered, or nobody could tell that it ended.
	r.listens("tcp " + any4 + " 6379")
	r.run()
	r.listens()
	if diff := cmp.Diff([]string{"2 closed", "2 opened", "gone tcp/wildcard_v4:6379"}, r.run()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALearnedPolicyPermitsWhatWasSeenAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	seen := []string{"tcp " + any4 + " 22", "tcp " + any4 + " 8000", "tcp " + any4 + " 8001", "tcp " + lo4 + " 25", "udp " + any4 + " 123", "udp " + any4 + " 40000", "tcp " + any4 + " 6379", "tcp " + lo4 + " 45000"}
	r.listens(seen...)
	r.run()
	var l Learned
	r.probe.Learn(&l)
	text := string(l.Policy())
	if !strings.Contains(text, "# Left out, because it must never be open to everybody: tcp/wildcard_v4:6379 (Redis)\n") ||
		!strings.Contains(text, "- {protocol: tcp, ports: [22, 8000-8001], exposure: wildcard, expect: allowed}\n") ||
		!strings.Contains(text, "- {protocol: tcp, ports: [25, ephemeral], exposure: loopback, expect: allowed}\n") {
		t.Errorf("the policy is\n%s", text)
	}
	_, rules, _ := strings.Cut(text, "policy:\n")
	r.start(rules)
	r.listens(append(seen, "tcp "+any4+" 8002")...)
	want := []string{
		"1 opened", "7 rebound",
		"tcp/loopback:25 is allowed", "tcp/loopback:ephemeral is allowed", "tcp/wildcard_v4:22 is allowed",
		"tcp/wildcard_v4:6379 is dangerous", `tcp/wildcard_v4:6379 violates: dangerous, wildcard_v4, told to ""`,
		"tcp/wildcard_v4:8000 is allowed", "tcp/wildcard_v4:8001 is allowed",
		"tcp/wildcard_v4:8002 is unexpected", `tcp/wildcard_v4:8002 violates: unexpected, wildcard_v4, told to ""`,
		"udp/wildcard_v4:123 is allowed", "udp/wildcard_v4:ephemeral is ignored",
	}
	got := r.run()
	got = removed(got, "rebound")
	want = removed(want, "rebound")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func removed(lines []string, suffix string) (list []string) {
	for _, line := range lines {
		if !strings.HasSuffix(line, suffix) {
			list = append(list, line)
		}
	}
	return list
}

// FuzzPasswd: whatever stands in the file, nothing panics, and the first user of
// a number has it.
func FuzzPasswd(f *testing.F) {
	f.Add("root:x:0:0::/:\nbad\n::x:\nweb:x:33:33::/:\n")
	f.Fuzz(func(t *testing.T, text string) {
		parsePasswd(text)
		if got := parsePasswd("first:x:0:0::/:\n" + text)[0]; got != "first" {
			t.Errorf("user 0 is %q", got)
		}
	})
}
