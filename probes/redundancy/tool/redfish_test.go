package tool_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/tool"
	"hygiene_exporter/probes/redundancy/tool/bmc"
)

// service serves the resources of a state: files of testdata/redfish.txtar.
func service(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/redfish/services.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := states(t, strings.TrimSuffix(string(data), "\n"))
	if all[name] == nil {
		t.Fatalf("there is no service %q", name)
	}
	return all[name].files
}

// Each service says it in the way of some vendor.
func TestRedfish(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"two supplies in order, in the schema Power", "power/bmc/1 tolerates 1/1 active 2/2\nfan/bmc/1 tolerates 2/2 active 3/3"},
		{"one supply critical, and a group that warns", "power/bmc/1 tolerates 0/1 active 1/2"},
		{"a supply that is absent, without a group", "power/bmc/1 tolerates 0/0 active 1/1"},
		{"the schema PowerSubsystem with links", "power/bmc/1 tolerates 1/1 active 2/2\nfan/bmc/1 tolerates 0/0 active 2/2"},
		{"two in operation that are not redundant", "power/bmc/1 tolerates 0/0 active 2/2"},
		{"words that nobody knows", "power/bmc/1 tolerates ?/? active 1/2 unknown: PS2: the state is \"Daydreaming\", which is not understood"},
		{"a chassis without any", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := service(t, test.name)
			groups, err := bmc.Redfish(t.Context(), "bmc", func(_ context.Context, path string) ([]byte, error) {
				content, known := files[strings.TrimPrefix(path, "/")]
				if !known {
					return nil, probes.Because(probes.NotFound, fs.ErrNotExist)
				}
				return []byte(content), nil
			})
			var lines []string
			for _, g := range groups {
				lines = append(lines, line(g))
			}
			if diff := cmp.Diff(test.want, strings.Join(lines, "\n")); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// server is a service with a password and a certificate of its own.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	files := service(t, "two supplies in order, in the schema Power")
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		content, known := files[strings.TrimPrefix(r.URL.Path, "/")]
		switch {
		case user != "reader" || password != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusNotFound)
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			_, _ = w.Write([]byte(content))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAServiceIsTrustedAsConfigured(t *testing.T) {
	s := server(t)
	sum := sha256.Sum256(s.Certificate().Raw)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	const fine = "fan/bmc/1 tolerates 2/2 active 3/3\npower/bmc/1 tolerates 1/1 active 2/2"
	for _, test := range []struct {
		name    string
		service tool.Service
		want    string // or its beginning, where it goes on with an address
	}{
		{"by its certificate", tool.Service{CAFile: "/ca", PasswordFile: "/password"}, fine},
		{"by its fingerprint", tool.Service{Fingerprint: strings.ToUpper(hex.EncodeToString(sum[:])), PasswordFile: "/password"}, fine},
		{"with another fingerprint", tool.Service{Fingerprint: strings.Repeat("00", 32), PasswordFile: "/password"}, "fan is blind: auth: the host has bmc: bmc: Get "},
		{"without any", tool.Service{PasswordFile: "/password"}, "fan is blind: other: the host has bmc: bmc: Get "},
		{"with another password", tool.Service{CAFile: "/ca", PasswordFile: "/wrong"}, "fan is blind: auth: the host has bmc: bmc: /redfish/v1/Chassis is answered with 401 Unauthorized"},
		{"with a password that is missing", tool.Service{CAFile: "/ca", PasswordFile: "/none"}, "fan is blind: not_found: the host has bmc: bmc: open /none: "},
		{"with certificates that are none", tool.Service{CAFile: "/empty", PasswordFile: "/password"}, "fan is blind: malformed: the host has bmc: bmc: /empty holds no certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.service.Name, test.service.URL, test.service.Username = "bmc", s.URL, "reader"
			host := (&state{files: map[string]string{"ca": ca, "password": "secret\n", "wrong": "guess", "empty": "x"}}).host(t)
			host.Dial = (&net.Dialer{}).DialContext
			tools := tool.New(host, host.State, tool.Options{Services: []tool.Service{test.service}})
			got := strings.TrimSpace(told(tools.Read(t.Context(), time.Now())))
			if got != test.want && (test.want == fine || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// A service that does not answer takes nothing from its neighbours.
func TestEachServiceFailsAlone(t *testing.T) {
	good, bad := server(t), server(t)
	host := (&state{files: map[string]string{"password": "secret"}}).host(t)
	host.Dial = (&net.Dialer{}).DialContext
	var all []tool.Service
	for name, s := range map[string]*httptest.Server{"good": good, "bad": bad} {
		sum := sha256.Sum256(s.Certificate().Raw)
		all = append(all, tool.Service{Name: name, URL: s.URL, Username: "reader", PasswordFile: "/password", Fingerprint: hex.EncodeToString(sum[:])})
	}
	read := func(at time.Time) string {
		return told(tool.New(host, host.State, tool.Options{Services: all}).Read(t.Context(), at))
	}
	now := time.Now()
	if got := read(now); strings.Count(got, "tolerates 1/1 active 2/2") != 2 {
		t.Fatal(got)
	}
	bad.Close()
	tools := tool.New(host, host.State, tool.Options{Services: all})
	for deadline := now.Add(10 * time.Second); ; runtime.Gosched() {
		got := told(tools.Read(t.Context(), now.Add(time.Hour)))
		if strings.Contains(got, "power/good/1 tolerates 1/1") && strings.Contains(got, "power/bad/1 tolerates ?/? active 0/0 unknown: bad: ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(got)
		}
	}
}

func FuzzRedfish(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "redfish", "services.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range strings.Split(string(data), "\n-- ")[1:] {
		_, content, _ := strings.Cut(file, "\n")
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		asked := 0
		groups, _ := bmc.Redfish(t.Context(), "bmc", func(context.Context, string) ([]byte, error) {
			if asked++; asked > 10_000 {
				t.Fatal("it asks without end")
			}
			return data, nil
		})
		for _, g := range groups {
			check(t, g, len(data)*64)
		}
	})
}
