package bucket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name    string
		options job.Options
		want    string
	}{
		{"a bucket of Amazon", job.Options{Repository: "s3://backups/db"}, ""},
		{"another server", job.Options{Repository: "s3://backups", Endpoint: "https://minio:9000", Addressing: "path"}, ""},
		{"no scheme", job.Options{Repository: "backups/db"}, `repository: "backups/db" is not of the form s3://bucket/prefix`},
		{"no bucket", job.Options{Repository: "s3:///db"}, `repository: "s3:///db" is not of the form s3://bucket/prefix`},
		{"a server without a scheme", job.Options{Endpoint: "minio:9000"}, `endpoint: "minio:9000" is not of the form https://host:port`},
		{"a password in the address", job.Options{Endpoint: "https://a:b@minio"}, "endpoint: holds a password; put it into config_file"},
		{"a bucket in the address", job.Options{Endpoint: "https://minio/backups"}, `endpoint: "https://minio/backups" must end with the host or its port; the bucket belongs into repository`},
		{"an unknown word", job.Options{Addressing: "virtual"}, `addressing: "virtual" is neither path nor host`},
		{"a relative file", job.Options{ConfigFile: "credentials"}, `config_file: "credentials" is not an absolute path`},
	} {
		got := ""
		if err := Validate(c.options); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	const file = `# of the site
[default]
aws_access_key_id = AKIA1
aws_secret_access_key=s=1
[profile backup]
aws_access_key_id = AKIA2
aws_secret_access_key = s2
aws_session_token = t2
region = eu-west-1
[half]
aws_access_key_id = AKIA3
`
	for _, c := range []struct {
		name, file, profile string
		want                keys
		err                 string
	}{
		{"the default", file, "", keys{"AKIA1", "s=1", ""}, ""},
		{"a profile", file, "backup", keys{"AKIA2", "s2", "t2"}, ""},
		{"half of one", file, "half", keys{}, `the profile "half" lacks aws_access_key_id or aws_secret_access_key`},
		{"one that is not there", file, "none", keys{}, `there is no profile "none"`},
		{"no file of the kind", "AKIA1:verysecret", "", keys{}, "line 1 is neither a section nor a key with a value"},
		{"a section without an end", "[default", "", keys{}, "line 1 begins a section and does not end it"},
		{"nothing", "", "", keys{}, `there is no profile "default"`},
	} {
		got, err := parseCredentials([]byte(c.file), c.profile)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want && c.err == "" || text != c.err {
			t.Errorf("%s: %+v, %q", c.name, got, text)
		}
	}
}

// No error of the file repeats what stands in it, which may be a secret.
func FuzzCredentials(f *testing.F) {
	f.Add("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
	f.Add("[default]\nsecretsecret")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseCredentials([]byte(text), "")
		if err == nil && (k.access == "" || k.secret == "") {
			t.Error("half of the keys, and no error")
		}
		if err == nil {
			return
		}
		for word := range strings.FieldsSeq(text) {
			if len(word) > 12 && strings.Contains(err.Error(), word) && !strings.Contains(word, "aws_") {
				t.Errorf("the error repeats %q: %v", word, err)
			}
		}
	})
}

// remote returns a bucket of a server that answers with a handler.
func remote(t *testing.T, handler http.HandlerFunc) *Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	world := &probetest.World{Root: t.TempDir()}
	if err := os.WriteFile(filepath.Join(world.Root, "credentials"), []byte("[default]\naws_access_key_id = AKIAKEY\naws_secret_access_key = hidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := world.Host()
	host.Dial = (&net.Dialer{}).DialContext
	return New(host, job.Options{Repository: "s3://bucket/db/", Endpoint: server.URL, Region: "us-east-1", ConfigFile: "/credentials"})
}

// What servers answer, as Amazon documents it, and what it means.
func TestAnswersOfServers(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   probes.Reason
	}{
		{403, "RequestTimeTooSkewed", probes.Auth},
		{403, "SignatureDoesNotMatch", probes.Auth},
		{403, "InvalidAccessKeyId", probes.Auth},
		{400, "ExpiredToken", probes.Auth},
		{400, "AuthorizationHeaderMalformed", probes.Auth},
		{403, "AccessDenied", probes.PermissionDenied},
		{403, "SomethingNew", probes.PermissionDenied},
		{404, "NoSuchBucket", probes.NotFound},
		{403, "InvalidObjectState", probes.Unsupported},
		{501, "NotImplemented", probes.Unsupported},
		{503, "SlowDown", probes.Unavailable},
		{500, "InternalError", probes.Unavailable},
		{400, "SomethingNew", probes.Other},
	} {
		b := remote(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>The key AKIAKEY is not right.</Message></Error>", c.code)
		})
		err := b.List(context.Background(), "", false, func(Object) error { return nil })
		if got := probes.ReasonOf(err); got != c.want {
			t.Errorf("%d %s: %s, want %s: %v", c.status, c.code, got, c.want, err)
		}
		if text := fmt.Sprint(err); strings.Contains(text, "AKIAKEY") || !strings.Contains(text, c.code) {
			t.Errorf("%s: %q", c.code, text)
		}
	}
}

func TestWhatIsNoListIsNoEmptyBucket(t *testing.T) {
	for name, body := range map[string]string{
		"a page of a proxy": "<html><body>Welcome</body></html>",
		"half of a list":    "<ListBucketResult><Contents><Key>db/a",
	} {
		b := remote(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		if err := b.List(context.Background(), "", false, func(Object) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
