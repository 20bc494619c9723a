//go:build live

package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/s3"
	"hygiene_exporter/probes/backup/s3test"
)

// shell makes what is uploaded.
var shell = backuptest.Shell{}

// A place is a bucket of a real server, as a program that makes backups uses it.
type place struct {
	*testing.T
	server *s3test.Server
	client *minio.Core
	bucket string
	dir    string // with what is uploaded
	creds  string // file
}

func connect(t *testing.T, server *s3test.Server, access, secret string) *minio.Core {
	t.Helper()
	client, err := minio.NewCore(server.Address, &minio.Options{Creds: credentials.NewStaticV4(access, secret, ""), Region: s3test.Region})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// bucketOf makes a bucket of a server.
func bucketOf(t *testing.T, server *s3test.Server, name string, locking bool) *place {
	t.Helper()
	p := &place{T: t, server: server, client: connect(t, server, s3test.AccessKey, s3test.SecretKey), bucket: name, dir: t.TempDir()}
	if err := p.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{ObjectLocking: locking}); err != nil {
		t.Fatal(err)
	}
	p.creds = p.credentials(s3test.AccessKey, s3test.SecretKey)
	return p
}

func (p *place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *place) credentials(access, secret string) string {
	p.Helper()
	name := filepath.Join(p.TempDir(), "credentials")
	p.must(os.WriteFile(name, []byte("[default]\naws_access_key_id = "+access+"\naws_secret_access_key = "+secret+"\n"), 0o600))
	return name
}

// make runs a script where the files to upload are.
func (p *place) make(script string) {
	p.Helper()
	shell.Run(p, p.dir, script)
}

// put uploads a file under its name.
func (p *place) put(name string, o minio.PutObjectOptions) {
	p.Helper()
	_, err := p.client.FPutObject(p.Context(), p.bucket, name, filepath.Join(p.dir, name), o)
	p.must(err)
}

// parts uploads a file in parts, with a checksum of each.
func (p *place) parts(name string) {
	p.Helper()
	ctx := p.Context()
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	p.must(err)
	id, err := p.client.NewMultipartUpload(ctx, p.bucket, name, minio.PutObjectOptions{UserMetadata: map[string]string{
		"X-Amz-Checksum-Algorithm": "SHA256", "X-Amz-Checksum-Type": "COMPOSITE",
	}})
	p.must(err)
	var list []minio.CompletePart
	for part := range slices.Chunk(data, 5<<20) {
		digest := sha256.Sum256(part)
		sum := base64.StdEncoding.EncodeToString(digest[:])
		done, err := p.client.PutObjectPart(ctx, p.bucket, name, id, len(list)+1, bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{
			CustomHeader: http.Header{"X-Amz-Checksum-Sha256": {sum}},
		})
		p.must(err)
		list = append(list, minio.CompletePart{PartNumber: done.PartNumber, ETag: done.ETag, ChecksumSHA256: sum})
	}
	_, err = p.client.CompleteMultipartUpload(ctx, p.bucket, name, id, list, minio.PutObjectOptions{})
	p.must(err)
}

// forget lets the server forget the checksum of an object but for its ETag, as
// servers have that compute none.
func (p *place) forget(key string) {
	p.Helper()
	p.must(unix.Removexattr(p.server.Object(p.bucket, key), "user.checksums"))
}

// original is a directory with files that a backup could be.
var original = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hygiene-s3-")
	if err != nil {
		return "", err
	}
	command := shell.Command(context.Background(), dir, aDump)
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := original(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// dump copies the files of original.
func (p *place) dump() {
	p.Helper()
	dir, err := original()
	p.must(err)
	p.make("cp -a " + dir + "/. .")
}

func (p *place) options(o job.Options) job.Options {
	if o.Repository == "" {
		o.Repository = "s3://" + p.bucket
	}
	if o.ConfigFile == "" {
		o.ConfigFile = p.creds
	}
	if o.Endpoint == "" {
		o.Endpoint = "http://" + p.server.Address
	}
	o.Settle = 1
	return o
}

func (p *place) open(o job.Options) job.Copy {
	p.Helper()
	host := backuptest.Host(p, s3.Kind(), nil)
	host.Scratch = p.TempDir()
	return s3.Kind().Open(host, p.options(o))
}

// check looks, and does a task with the newest backup.
func (p *place) check(ctx context.Context, c job.Copy, task job.Task) (string, job.Sight, job.Outcome) {
	sight, err := c.Look(ctx)
	switch {
	case err != nil:
		return backuptest.Answer(err), sight, job.Outcome{Err: err}
	case len(sight.Points) == 0:
		return "nothing", sight, job.Outcome{}
	}
	return p.again(ctx, c, sight, task)
}

func (p *place) again(ctx context.Context, c job.Copy, sight job.Sight, task job.Task) (string, job.Sight, job.Outcome) {
	task.Point = sight.Points[0]
	for _, u := range sight.Units {
		if slices.Contains(task.Point.Units, u.ID) {
			task.Units = append(task.Units, u)
		}
	}
	out := c.Check(ctx, task)
	return backuptest.Answer(out.Err), sight, out
}

// A liveCase is what lies in a bucket of its own, and what must be said of it.
type liveCase struct {
	name    string
	do      func(p *place)
	locking bool
	options job.Options
	task    job.Task // by default: read
	want    string
	check   func(p *place, sight job.Sight, out job.Outcome)
}

func (p *place) harm(key, script string) {
	p.Helper()
	p.make(strings.ReplaceAll(script, "OBJECT", p.server.Object(p.bucket, key)))
}

// aDump makes files that a backup could be.
const aDump = `seq 1 200000 > text; gzip -k text; head -c 12000000 /dev/urandom > big; tar cf tree.tar text; zip -q z.zip text; zstd -q text; xz -k text`

func judgedBy(names ...string) func(*place, job.Sight, job.Outcome) {
	return func(p *place, _ job.Sight, out job.Outcome) {
		p.Helper()
		for _, name := range names {
			if !slices.ContainsFunc(out.Tools, func(tool job.Tool) bool { return tool.Name == name }) {
				p.Errorf("%s did not judge, but %v (%v)", name, out.Tools, out.Notes)
			}
		}
	}
}

func plainCases() []liveCase {
	upload := func(name string, o minio.PutObjectOptions) func(p *place) {
		return func(p *place) { p.dump(); p.put(name, o) }
	}
	forgotten := func(name string, o minio.PutObjectOptions) func(p *place) {
		return func(p *place) { upload(name, o)(p); p.forget(name) }
	}
	parts := minio.PutObjectOptions{PartSize: 5 << 20}
	return []liveCase{
		{name: "a compressed file", do: upload("text.gz", minio.PutObjectOptions{}), want: "good", check: judgedBy("gzip", "builtin CRC64NVME")},
		{name: "a compressed file with nothing but an ETag", do: forgotten("text.gz", minio.PutObjectOptions{}), want: "good", check: judgedBy("gzip", "builtin ETag")},
		{name: "zstd", do: upload("text.zst", minio.PutObjectOptions{}), want: "good", check: judgedBy("zstd")},
		{name: "xz", do: upload("text.xz", minio.PutObjectOptions{}), want: "good", check: judgedBy("xz")},
		{name: "a zip archive, which programs want as a file", do: upload("z.zip", minio.PutObjectOptions{}), want: "good", check: judgedBy("unzip")},
		{name: "a tar archive", do: upload("tree.tar", minio.PutObjectOptions{}), want: "good", check: judgedBy("builtin tar")},
		{name: "an object of parts", do: upload("big", parts), want: "good", check: judgedBy("builtin CRC64NVME")},
		{name: "an object of parts with a checksum of those of its parts", do: func(p *place) { p.dump(); p.parts("big") }, want: "good", check: judgedBy("builtin SHA256")},
		{name: "a byte that changed in one", do: func(p *place) {
			p.dump()
			p.parts("big")
			p.harm("big", "flip OBJECT 20")
		}, want: "bad damaged"},
		{name: "an object of parts with nothing but an ETag", do: forgotten("big", parts), want: "good", check: judgedBy("builtin ETag")},
		{name: "below a prefix, and others beside it", do: func(p *place) {
			p.dump()
			p.make("mkdir -p db other; cp text.gz db/; echo bad > other/x.gz")
			p.put("db/text.gz", minio.PutObjectOptions{})
			p.put("other/x.gz", minio.PutObjectOptions{})
		}, options: job.Options{Repository: "PREFIX"}, want: "good"},
		{name: "a file that was cut off before it was uploaded", do: func(p *place) {
			p.dump()
			p.make("keep text.gz 60")
			p.put("text.gz", minio.PutObjectOptions{})
		}, want: "bad truncated"},
		{name: "a tar archive without its end", do: func(p *place) {
			p.dump()
			p.make("truncate -s -10240 tree.tar")
			p.put("tree.tar", minio.PutObjectOptions{})
		}, want: "bad truncated"},
		{name: "a dump whose program died", do: func(p *place) {
			p.make("printf -- '-- PostgreSQL database dump\\n\\nCOPY x FROM stdin;\\n1\\n' | gzip > d.sql.gz")
			p.put("d.sql.gz", minio.PutObjectOptions{})
		}, want: "bad truncated"},
		{name: "the empty output of a dead pipe", do: func(p *place) {
			p.make("true | gzip > d.sql.gz")
			p.put("d.sql.gz", minio.PutObjectOptions{})
		}, want: "bad empty"},
		{name: "an empty object", do: func(p *place) {
			p.make(": > x.gz")
			p.put("x.gz", minio.PutObjectOptions{})
		}, want: "bad empty"},
		{name: "what is not what its name says", do: func(p *place) {
			p.make("echo error > x.gz")
			p.put("x.gz", minio.PutObjectOptions{})
		}, want: "bad mismatch"},
		{name: "a byte that changed in the store of the server", do: func(p *place) {
			upload("text.gz", minio.PutObjectOptions{})(p)
			p.harm("text.gz", "flip OBJECT")
		}, want: "bad damaged"},
		{name: "a byte that changed in what has no form", do: func(p *place) {
			upload("big", minio.PutObjectOptions{DisableMultipart: true})(p)
			p.harm("big", "flip OBJECT")
		}, want: "bad damaged"},
		{name: "a byte that changed in an object of parts", do: func(p *place) {
			upload("big", parts)(p)
			p.harm("big", "flip OBJECT 80")
		}, want: "bad damaged"},
		{name: "a byte that changed, and the ETags of others fit", do: func(p *place) {
			p.dump()
			p.put("text", minio.PutObjectOptions{})
			p.put("tree.tar", minio.PutObjectOptions{})
			p.forget("text")
			p.forget("tree.tar")
			p.harm("text", "touch -d yesterday OBJECT")
			p.harm("tree.tar", "flip OBJECT 30")
		}, options: job.Options{Snapshots: "t*"}, want: "bad damaged"},
		{name: "a byte that changed, and nothing says what ETags are", do: func(p *place) {
			forgotten("text", minio.PutObjectOptions{})(p)
			p.harm("text", "flip OBJECT 30")
		}, want: "unknown unsupported"},
		{name: "a zip archive with a changed byte", do: func(p *place) {
			upload("z.zip", minio.PutObjectOptions{})(p)
			p.harm("z.zip", "flip OBJECT")
		}, want: "bad damaged"},
		{name: "an object that was cut off in the store", do: func(p *place) {
			upload("text.gz", minio.PutObjectOptions{})(p)
			p.harm("text.gz", "keep OBJECT 70")
		}, want: "bad truncated"},
		{name: "no bucket", do: func(*place) {}, options: job.Options{Repository: "s3://another"}, want: "unknown not_found"},
		{name: "an empty bucket", do: func(*place) {}, want: "nothing"},
		{name: "objects that do not count", do: upload("text", minio.PutObjectOptions{}), options: job.Options{Snapshots: "*.gz"}, want: "nothing"},
	}
}

func setCases() []liveCase {
	two := func(p *place) {
		p.dump()
		p.make("mkdir one two; cp text.gz one/a.gz; cp text.gz two/a.gz; cp tree.tar two/b.tar")
		for _, name := range []string{"one/a.gz", "two/a.gz", "two/b.tar"} {
			p.put(name, minio.PutObjectOptions{})
		}
	}
	dirs := job.Options{Set: "directory"}
	return []liveCase{
		{name: "backups of several objects", do: two, options: dirs, want: "good", check: func(p *place, sight job.Sight, out job.Outcome) {
			newest := sight.Points[0]
			if len(sight.Points) != 2 || newest.ID != "two" || len(newest.Units) != 2 || newest.Files.N != 2 || len(out.Units) != 2 {
				p.Errorf("seen: %+v, read: %v", sight.Points, out.Units)
			}
		}},
		{name: "one of several is bad", do: func(p *place) {
			two(p)
			p.harm("two/b.tar", "keep OBJECT 50")
		}, options: dirs, want: "bad truncated", check: func(p *place, _ job.Sight, out job.Outcome) {
			if len(out.Units) != 2 || out.Units["two/a.gz"] != nil {
				p.Errorf("the neighbour was hidden: %v", out.Units)
			}
		}},
		{name: "an upload that goes on is no finished backup", do: func(p *place) {
			two(p)
			_, err := p.client.NewMultipartUpload(p.Context(), p.bucket, "two/c.gz", minio.PutObjectOptions{})
			p.must(err)
		}, options: dirs, want: "good", check: func(p *place, sight job.Sight, _ job.Outcome) {
			if sight.Points[0].ID != "one" || !strings.Contains(strings.Join(sight.Notes, " "), "unfinished") {
				p.Errorf("the newest is %s: %v", sight.Points[0].ID, sight.Notes)
			}
		}},
		{name: "an upload beside whole objects harms none", do: func(p *place) {
			two(p)
			_, err := p.client.NewMultipartUpload(p.Context(), p.bucket, "three.gz", minio.PutObjectOptions{})
			p.must(err)
		}, want: "good"},
	}
}

func versionCases() []liveCase {
	versions := func(p *place, names ...string) {
		p.dump()
		p.must(p.client.EnableVersioning(p.Context(), p.bucket))
		for _, name := range names {
			p.put(name, minio.PutObjectOptions{})
		}
	}
	remove := func(p *place, name string) {
		p.must(p.client.RemoveObject(p.Context(), p.bucket, name, minio.RemoveObjectOptions{}))
	}
	locked := func(mode minio.RetentionMode, until time.Duration) func(p *place) {
		return func(p *place) {
			p.dump()
			p.put("text.gz", minio.PutObjectOptions{Mode: mode, RetainUntilDate: time.Now().Add(until).UTC().Truncate(time.Second)})
		}
	}
	return []liveCase{
		{name: "versions", do: func(p *place) { versions(p, "text.gz", "text.gz") }, want: "good", check: func(p *place, sight job.Sight, _ job.Outcome) {
			if len(sight.Points) != 1 {
				p.Errorf("%d points", len(sight.Points))
			}
		}},
		{name: "the newest is hidden by a delete marker", do: func(p *place) {
			versions(p, "text.gz", "text.zst")
			p.harm("text.gz", "touch -d yesterday OBJECT")
			remove(p, "text.zst")
		}, want: "bad incomplete"},
		{name: "the only one is hidden by a delete marker", do: func(p *place) {
			versions(p, "text.gz")
			remove(p, "text.gz")
		}, want: "bad incomplete"},
		{name: "an old one was deleted in the course of things", do: func(p *place) {
			versions(p, "text.gz", "text.zst")
			p.harm("text.gz", "touch -d yesterday OBJECT")
			remove(p, "text.gz")
		}, want: "good"},
		{name: "an object that nobody can delete", locking: true, do: locked(minio.Compliance, 48*time.Hour), want: "good", check: func(p *place, sight job.Sight, _ job.Outcome) {
			if left := time.Until(sight.Immutable); left < 47*time.Hour || left > 49*time.Hour {
				p.Errorf("immutable until %s: %v", sight.Immutable, sight.Notes)
			}
		}},
		{name: "a lock that some may end does not count", locking: true, do: locked(minio.Governance, 48*time.Hour), want: "good", check: func(p *place, sight job.Sight, _ job.Outcome) {
			if sight.Immutable.IsZero() || time.Until(sight.Immutable) > 0 || !strings.Contains(strings.Join(sight.Notes, " "), "GOVERNANCE") {
				p.Errorf("immutable until %s: %v", sight.Immutable, sight.Notes)
			}
		}},
		{name: "a lock that ends in a moment", locking: true, do: locked(minio.Compliance, 3*time.Second), want: "good", check: func(p *place, sight job.Sight, _ job.Outcome) {
			if left := time.Until(sight.Immutable); sight.Immutable.IsZero() || left > 3*time.Second {
				p.Errorf("immutable until %s: %v", sight.Immutable, sight.Notes)
			}
		}},
		{name: "a bucket that could lock, and an object that it does not", locking: true, do: func(p *place) { p.dump(); p.put("text.gz", minio.PutObjectOptions{}) }, want: "good", check: func(p *place, sight job.Sight, _ job.Outcome) {
			if sight.Immutable.IsZero() || time.Until(sight.Immutable) > 0 {
				p.Errorf("immutable until %s: %v", sight.Immutable, sight.Notes)
			}
		}},
	}
}

func TestLiveObjects(t *testing.T) {
	server := s3test.Start(t)
	for i, c := range slices.Concat(plainCases(), setCases(), versionCases()) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := bucketOf(t, server, fmt.Sprintf("bucket-%d", i), c.locking)
			c.do(p)
			if c.options.Repository == "PREFIX" {
				c.options.Repository = "s3://" + p.bucket + "/db/"
			}
			if c.task.Depth == "" {
				c.task.Depth = job.Read
			}
			got, sight, out := p.check(t.Context(), p.open(c.options), c.task)
			if got != c.want {
				t.Fatalf("got %q, want %q: %v %v %v", got, c.want, out.Err, out.Notes, sight.Notes)
			}
			if c.check != nil {
				c.check(p, sight, out)
			}
			if got == "good" && out.Bytes == 0 {
				t.Error("nothing was read")
			}
		})
	}
}

// What keeps the agent from looking is never taken for a bad backup.
func TestLiveWhatCannotBeSeen(t *testing.T) {
	server := s3test.Start(t)
	p := bucketOf(t, server, "bucket", false)
	p.dump()
	p.put("text.gz", minio.PutObjectOptions{})
	server.Account(t, "nobody", "nobody-secret")
	for _, c := range []struct {
		name    string
		options job.Options
		want    string
	}{
		{"all is well", job.Options{}, "good"},
		{"a wrong secret", job.Options{ConfigFile: p.credentials(s3test.AccessKey, "wrong-secret")}, "unknown auth"},
		{"an unknown key", job.Options{ConfigFile: p.credentials("unknown", "wrong-secret")}, "unknown auth"},
		{"no file with keys", job.Options{ConfigFile: filepath.Join(p.dir, "none")}, "unknown auth"},
		{"a profile that is not there", job.Options{Profile: "other"}, "unknown auth"},
		{"an account without rights", job.Options{ConfigFile: p.credentials("nobody", "nobody-secret")}, "unknown permission_denied"},
		{"nobody listens", job.Options{Endpoint: "http://127.0.0.1:1"}, "unknown network"},
		{"TLS where there is none", job.Options{Endpoint: "https://" + server.Address}, "unknown network"},
		{"a name that is not known", job.Options{Endpoint: "http://none.invalid"}, "unknown network"},
	} {
		if got, _, out := p.check(t.Context(), p.open(c.options), job.Task{Depth: job.Read}); got != c.want {
			t.Errorf("%s: got %q, want %q: %v", c.name, got, c.want, out.Err)
		} else if text := fmt.Sprint(out.Err); strings.Contains(text, "secret") && strings.Contains(text, "wrong-secret") {
			t.Errorf("%s: a secret in %q", c.name, text)
		}
	}
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got, _, out := p.check(ctx, p.open(job.Options{}), job.Task{Depth: job.Read}); got != "unknown timeout" {
		t.Errorf("a server that does not answer: %q: %v", got, out.Err)
	}
	server.Resume()
}

func TestLiveTLS(t *testing.T) {
	server := s3test.StartTLS(t)
	p := &place{T: t, server: server.Server, dir: t.TempDir()}
	p.creds = p.credentials(s3test.AccessKey, s3test.SecretKey)
	endpoint := "https://" + server.Address
	for _, c := range []struct {
		name, file, want string
	}{
		{"an authority of one's own", server.CAFile, "unknown not_found"}, // the server was believed: there is no such bucket
		{"an authority that nobody knows", "", "unknown auth"},
	} {
		if got, _, out := p.check(t.Context(), p.open(job.Options{Endpoint: endpoint, CAFile: c.file, Repository: "s3://none"}), job.Task{}); got != c.want {
			t.Errorf("%s: got %q, want %q: %v", c.name, got, c.want, out.Err)
		}
	}
}

// What changes between the list and the reading is not judged by halves.
func TestLiveChangesMeanwhile(t *testing.T) {
	server := s3test.Start(t)
	p := bucketOf(t, server, "bucket", false)
	p.dump()
	p.put("text.gz", minio.PutObjectOptions{})
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"it is written anew", func() { p.make("seq 1 300000 > text; gzip -kf text"); p.put("text.gz", minio.PutObjectOptions{}) }, "unknown locked"},
		{"it is removed", func() {
			p.must(p.client.RemoveObject(p.Context(), p.bucket, "text.gz", minio.RemoveObjectOptions{}))
		}, "unknown not_found"},
	} {
		copied := p.open(job.Options{})
		sight, err := copied.Look(t.Context())
		p.must(err)
		c.do()
		got, _, out := p.again(t.Context(), copied, sight, job.Task{Depth: job.Read})
		if got != c.want {
			t.Errorf("%s: got %q, want %q: %v", c.name, got, c.want, out.Err)
		}
	}
}

// The newest backup is read once for its structure, and then only asked for.
func TestLiveStructureReadsOnce(t *testing.T) {
	server := s3test.Start(t)
	p := bucketOf(t, server, "bucket", false)
	p.dump()
	p.put("text.gz", minio.PutObjectOptions{})
	c := p.open(job.Options{})
	for i, want := range []bool{true, false} {
		got, _, out := p.check(t.Context(), c, job.Task{Depth: job.Structure})
		if got != "good" || out.Bytes > 0 != want || slices.Contains(out.Reached, job.Read) != want {
			t.Errorf("time %d: %q, %d bytes, %v: %v", i, got, out.Bytes, out.Reached, out.Err)
		}
	}
	p.make("seq 1 10 | gzip > text.gz")
	p.put("text.gz", minio.PutObjectOptions{})
	if got, _, out := p.check(t.Context(), c, job.Task{Depth: job.Structure}); got != "good" || out.Bytes == 0 {
		t.Errorf("what is new was not read: %q: %v", got, out.Err)
	}
}

func TestLiveRestore(t *testing.T) {
	server := s3test.Start(t)
	for i, c := range []struct {
		name    string
		script  string
		put     []string
		options job.Options
		restore job.Restore
		source  string
		depth   job.Depth
		harm    func(p *place)
		want    string
		files   string // that were compared
	}{
		{name: "an archive", script: "tar czf t.tgz -C . src", put: []string{"t.tgz"}, source: "src", want: "good", files: "3 files were compared"},
		{name: "a zip archive", script: "zip -qr t.zip src", put: []string{"t.zip"}, restore: job.Restore{Assert: job.Assert{MinFiles: 3, Required: []string{"f1"}}}, want: "good"},
		{name: "a dump that SQLite loads", script: "sqlite3 db 'CREATE TABLE t(x); INSERT INTO t VALUES(1)' .dump | gzip > d.sql.gz; sqlite3 db .dump | gzip > d.sql.gz", put: []string{"d.sql.gz"}, depth: job.Loaded, want: "good"},
		{name: "a tree of objects", put: []string{"src/f1", "src/sub/f2", "src/sub/f3"}, options: job.Options{Set: "all"}, source: "src", want: "good", files: "3 files were compared"},
		{name: "a tree of objects, of which one is not what its source is", put: []string{"src/f1", "src/sub/f2"}, options: job.Options{Set: "all"}, source: "src", harm: func(p *place) {
			p.make("touch -r src/f1 t; echo other > src/f1; touch -r t src/f1")
		}, want: "bad mismatch"},
		{name: "a tree of objects of which something is asked that nobody loads", put: []string{"src/f1", "src/sub/f2"}, options: job.Options{Set: "all"}, depth: job.Asserted, restore: job.Restore{Assert: job.Assert{Queries: []job.Query{{Query: "select 1", Equals: "1"}}}}, want: "unknown unsupported"},
		{name: "a tree of objects with a changed byte", put: []string{"src/f1", "src/sub/f2"}, options: job.Options{Set: "all"}, harm: func(p *place) { p.harm("src/f1", "flip OBJECT") }, want: "bad damaged"},
		{name: "an archive with a changed byte", script: "tar czf t.tgz src", put: []string{"t.tgz"}, harm: func(p *place) { p.harm("t.tgz", "flip OBJECT") }, want: "bad damaged"},
		{name: "an archive that leads outside", script: "tar czPf t.tgz --transform 's,^src,../src,' src", put: []string{"t.tgz"}, want: "bad unsafe"},
		{name: "what is required and missing", script: "tar czf t.tgz src", put: []string{"t.tgz"}, restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, want: "bad unasserted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := bucketOf(t, server, fmt.Sprintf("restore-%d", i), false)
			p.make("mkdir -p src/sub; seq 1 5000 > src/f1; seq 1 70 > src/sub/f2; head -c 70000 /dev/urandom > src/sub/f3;" + c.script)
			for _, name := range c.put {
				info, err := os.Stat(filepath.Join(p.dir, name))
				p.must(err)
				p.put(name, minio.PutObjectOptions{UserMetadata: map[string]string{"Mtime": fmt.Sprintf("%d.%09d", info.ModTime().Unix(), info.ModTime().Nanosecond())}})
			}
			if c.harm != nil {
				c.harm(p)
			}
			if c.depth == "" {
				c.depth = job.Restored
			}
			base := t.TempDir()
			p.must(os.Chmod(filepath.Dir(base), 0o755)) // engines run as somebody else
			c.restore.Scratch = filepath.Join(base, "scratch")
			p.must(os.Mkdir(c.restore.Scratch, 0o700))
			if c.source != "" {
				c.restore.Source = filepath.Join(p.dir, c.source)
			}
			if c.options.Set == "all" && c.source != "" {
				c.options.Repository = "s3://" + p.bucket + "/src"
			}
			got, _, out := p.check(t.Context(), p.open(c.options), job.Task{Depth: c.depth, Restore: c.restore})
			if got != c.want {
				t.Fatalf("got %q, want %q: %v %v", got, c.want, out.Err, out.Notes)
			}
			if !strings.Contains(strings.Join(out.Notes, "; "), c.files) {
				t.Errorf("want %q in %v", c.files, out.Notes)
			}
			if c.files != "" {
				shell.Run(t, p.dir, `d="$(find `+c.restore.Scratch+` -name sub -printf %h)"; diff -r src "$d"`)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(c.restore.Scratch), "hygiene-scratch-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A connection that breaks is taken up where it broke, and never read as an end.
func TestLiveABrokenConnection(t *testing.T) {
	server := s3test.Start(t)
	p := bucketOf(t, server, "bucket", false)
	p.make("head -c 3000000 /dev/urandom | gzip > big.gz")
	p.put("big.gz", minio.PutObjectOptions{})
	for _, c := range []struct {
		after int64 // bytes, each time
		want  string
	}{{1_000_000, "good"}, {50_000, "good"}, {300, "unknown network"}} {
		proxy := cutting(t, server.Address, c.after)
		if got, _, out := p.check(t.Context(), p.open(job.Options{Endpoint: "http://" + proxy}), job.Task{Depth: job.Read}); got != c.want {
			t.Errorf("broken behind %d bytes: got %q, want %q: %v", c.after, got, c.want, out.Err)
		}
	}
}

// Everything of a bucket with more objects than are remembered one by one is
// read, by the day.
func TestLiveManyObjects(t *testing.T) {
	if os.Getenv("HYGIENE_FULL") == "" {
		t.Log("a tenth of them; HYGIENE_FULL=1 makes all")
	}
	server := s3test.Start(t)
	p := bucketOf(t, server, "bucket", false)
	n := 1200
	if os.Getenv("HYGIENE_FULL") != "" {
		n = 12_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		text := fmt.Appendf(nil, "%d", random.Int64())
		_, err := p.client.Client.PutObject(t.Context(), p.bucket, fmt.Sprintf("d%d/%d", i%7, i), bytes.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		p.must(err)
	}
	c := p.open(job.Options{Set: "all"})
	sight, err := c.Look(t.Context())
	p.must(err)
	if len(sight.Points) != 1 || sight.Points[0].Files.N != int64(n) {
		t.Fatalf("seen: %+v", sight.Points)
	}
	out := c.Check(t.Context(), job.Task{Depth: job.Read, Units: sight.Units})
	if out.Err != nil || out.Bytes != sight.Points[0].Size.N || len(out.Units) != len(sight.Units) {
		t.Errorf("%v: %d of %d bytes in %d of %d units", out.Err, out.Bytes, sight.Points[0].Size.N, len(out.Units), len(sight.Units))
	}
	t.Logf("%d objects in %d units", n, len(sight.Units))
	p.harm("d0/0", "flip OBJECT")
	out = c.Check(t.Context(), job.Task{Depth: job.Read, Units: sight.Units})
	bad := 0
	for _, err := range out.Units {
		if job.IsFlaw(err) {
			bad++
		}
	}
	if got := backuptest.Answer(out.Err); got != "bad damaged" || bad != 1 || len(out.Units) != len(sight.Units) {
		t.Errorf("a changed byte: %q in %d of %d units: %v", got, bad, len(out.Units), out.Err)
	}
}
