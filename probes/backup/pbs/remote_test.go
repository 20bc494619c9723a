package pbs

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

const token = "agent@pbs!hygiene:very-secret"

// listing is in the form that the description of the interface has.
const listing = `{"data":[
{"backup-type":"vm","backup-id":"100","backup-time":1767225600,"size":34359738368,"protected":false,"owner":"root@pam","files":[{"filename":"index.json.blob","size":500,"crypt-mode":"none"},{"filename":"drive-scsi0.img.fidx","size":34359738368,"crypt-mode":"encrypt"}],"verification":{"state":"STATE","upid":"UPID:pbs:000002AE:00000538:00000000:69570A80:verificationjob:x:root@pam:"}},
{"backup-type":"vm","backup-id":"100","backup-time":1767225700,"owner":"root@pam","files":[]},
{"backup-type":"ct","backup-id":"7","backup-time":1767225600,"size":1000,"files":[{"filename":"index.json.blob"},{"filename":"root.pxar.didx","crypt-mode":"none"}]}
]}`

// answer answers like a server whose datastores are named by the state of their
// verification.
func answer(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/api2/json/admin/datastore/"), "/snapshots")
	switch {
	case r.Header.Get("Authorization") != "PBSAPIToken="+token:
		http.Error(w, "authentication failed", http.StatusUnauthorized)
	case name == "forbidden":
		http.Error(w, "permission check failed", http.StatusForbidden)
	case name == "ok", name == "failed", name == "none":
		fmt.Fprint(w, strings.ReplaceAll(listing, "STATE", name))
	case name == "page":
		fmt.Fprint(w, "<html>")
	case name == "space" && r.URL.Query().Get("ns") == "a/b":
		fmt.Fprint(w, `{"data":[]}`)
	default:
		http.Error(w, "no such datastore", http.StatusBadRequest)
	}
}

func TestAServer(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	digest := sha256.Sum256(server.Certificate().Raw)
	fingerprint := strings.ReplaceAll(fmt.Sprintf("% X", digest[:]), " ", ":")
	world := &probetest.World{Root: t.TempDir()}
	for name, text := range map[string]string{"token": token + "\n", "wrong": "agent@pbs!hygiene:wrong-secret", "odd": "very-secret"} {
		if err := os.WriteFile(filepath.Join(world.Root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host := world.Host()
	host.Dial = (&net.Dialer{}).DialContext
	good := job.Options{Endpoint: server.URL, Repository: "ok", PasswordFile: "/token", Fingerprint: fingerprint, Snapshots: "vm/*"}
	for _, c := range []struct {
		name   string
		change func(o *job.Options)
		depth  job.Depth
		want   string
	}{
		{"good", nil, job.Structure, "good"},
		{"verified by the server", nil, job.Read, "good"},
		{"not verified by the server", func(o *job.Options) { o.Repository = "none" }, job.Read, "unknown not_run"},
		{"of which one verification failed", func(o *job.Options) { o.Repository = "failed" }, job.Structure, "bad damaged"},
		{"another certificate", func(o *job.Options) { o.Fingerprint = strings.Repeat("AA:", 31) + "AA" }, job.Structure, "unknown auth"},
		{"an authority that nobody knows", func(o *job.Options) { o.Fingerprint = "" }, job.Structure, "unknown auth"},
		{"a wrong token", func(o *job.Options) { o.PasswordFile = "/wrong" }, job.Structure, "unknown auth"},
		{"what is no token", func(o *job.Options) { o.PasswordFile = "/odd" }, job.Structure, "unknown auth"},
		{"no token", func(o *job.Options) { o.PasswordFile = "/missing" }, job.Structure, "unknown auth"},
		{"no right", func(o *job.Options) { o.Repository = "forbidden" }, job.Structure, "unknown permission_denied"},
		{"no datastore", func(o *job.Options) { o.Repository = "absent" }, job.Structure, "unknown not_found"},
		{"a page", func(o *job.Options) { o.Repository = "page" }, job.Structure, "unknown malformed"},
		{"an empty namespace", func(o *job.Options) { o.Repository, o.Dataset = "space", "a/b" }, job.Structure, "nothing"},
		{"nobody listens", func(o *job.Options) { o.Endpoint = "https://127.0.0.1:1" }, job.Structure, "unknown network"},
	} {
		o := good
		if c.change != nil {
			c.change(&o)
		}
		got, sight, out := backuptest.Check(t.Context(), Kind().Open(host, o), job.Task{Depth: c.depth})
		if got != c.want {
			t.Errorf("%s: %q, want %q: %v", c.name, got, c.want, out.Err)
		}
		if strings.Contains(fmt.Sprint(out.Err, sight), "-secret") {
			t.Errorf("%s: a secret in %v", c.name, out.Err)
		}
		if c.name == "good" && (len(sight.Points) != 1 || sight.Encrypted != "yes" || len(sight.Notes) != 1) {
			t.Errorf("%+v", sight)
		}
	}
}
