package borg

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// commit is a segment that Borg 1.2 wrote.
const commit = "424f52475f53454740f43c250900000002"

func segment(t testing.TB, chunk string) []byte {
	t.Helper()
	data, err := hex.DecodeString(commit)
	if err != nil {
		t.Fatal(err)
	}
	body := append(binary.LittleEndian.AppendUint32(nil, uint32(entryHead+keySize+len(chunk))), tagPut)
	body = append(append(body, make([]byte, keySize)...), chunk...)
	return append(binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(body)), body...)
}

func TestCheckSegment(t *testing.T) {
	whole := segment(t, "content")
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	size := bytes.Clone(whole)
	size[len(magic)+4+9+3] ^= 0x80
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"a commit", whole[:17], "good"},
		{"a chunk", whole, "good"},
		{"a chunk that is cut", whole[:len(whole)-1], "bad truncated"},
		{"a head that is cut", whole[:20], "bad truncated"},
		{"a beginning that is cut", whole[:4], "bad truncated"},
		{"nothing", nil, "bad truncated"},
		{"a changed byte", flipped, "bad damaged"},
		{"a size that cannot be", size, "bad damaged"},
		{"something else", []byte("something else"), "bad damaged"},
		{"zeros behind it", append(bytes.Clone(whole), make([]byte, 100)...), "bad damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := checkSegment(bytes.NewReader(c.data))
			if got := answer(err); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, err)
			}
			if err == nil && n != int64(len(c.data)) {
				t.Errorf("read %d of %d bytes", n, len(c.data))
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		code int
		text string
		want string
	}{
		{0, "", "good"},
		{2, "passphrase supplied in BORG_PASSPHRASE, by BORG_PASSCOMMAND or via BORG_PASSPHRASE_FD is incorrect.", "unknown auth"},
		{52, "Passphrase is wrong", "unknown auth"},
		{2, "Repository /tmp/nob does not exist.", "unknown not_found"},
		{2, "PermissionError: [Errno 13] Permission denied: '/srv/repo/config'", "unknown permission_denied"},
		{2, "Failed to create/acquire the lock /srv/repo/lock.exclusive (timeout).", "unknown locked"},
		{2, "borg.helpers.IntegrityError: Data integrity error: Segment entry checksum mismatch [segment 2, offset 8]", "bad damaged"},
		{2, "Object with key 00 not found in repository /srv/repo.", "bad incomplete"},
		{2, "Remote: kim@host: Permission denied (publickey).\nConnection closed by remote host. Is borg working on the server?", "unknown auth"},
		{2, "Remote: ssh: connect to host h port 22: Connection refused\nConnection closed by remote host. Is borg working on the server?", "unknown network"},
		{2, "Remote: ssh: connect to host h port 22: Connection timed out", "unknown timeout"},
		{2, "Remote: sh: 1: borg: not found\nConnection closed by remote host. Is borg working on the server?", "unknown unsupported"},
		{2, "No key file for repository /srv/repo found in /tmp/keys.", "unknown auth"},
		{127, "env: 'borg': No such file or directory", "unknown unsupported"},
		{2, "something that nobody has seen", "unknown unavailable"},
	} {
		if got := answer(failed(probes.Output{ExitCode: c.code, Stderr: []byte(c.text)})); got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
}

// TestTheExceptionIsTold, and not what borg tells of itself behind it.
func TestTheExceptionIsTold(t *testing.T) {
	const text = "Local Exception\nTraceback (most recent call last):\n  File \"borg/repository.py\", line 616, in rename_tmp\nOSError: [Errno 99] Something: 'hints.9'\n\nPlatform: Linux host\nPID: 1\nSSH_ORIGINAL_COMMAND: None\n"
	err := failed(probes.Output{ExitCode: 2, Stderr: []byte(text)})
	if want := "borg ended with the status 2: OSError: [Errno 99] Something: 'hints.9'"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseArchives(t *testing.T) {
	const list = `{"archives":[{"name":"web-1","start":"2026-01-01T00:00:00.000000"},{"name":"web-2","start":"2026-01-02T00:00:00.500000"},
{"name":"web-3.checkpoint","start":"2026-01-03T00:00:00.000000"},{"name":"db-1","start":"2026-01-01T00:00:00.000000"}],"encryption":{"mode":"repokey"},"repository":{"id":"ab12"}}`
	got, err := parseArchives([]byte(list), "web-*")
	if err != nil {
		t.Fatal(err)
	}
	want := archives{encrypted: "yes", id: "ab12", others: 1, points: []job.Point{
		{ID: "web-2", At: time.Date(2026, 1, 2, 0, 0, 0, 5e8, time.UTC)},
		{ID: "web-1", At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(archives{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parseArchives([]byte(list[:40]), ""); answer(err) != "unknown malformed" {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ repository, password, want string }{
		{"/srv/borg", "/etc/pw", ""},
		{"ssh://host/srv", "/etc/my pw", ""},
		{"ssh://user@host:2222/./srv", "/etc/pw", ""},
		{"user@host:srv", "/etc/pw", ""},
		{"srv/borg", "/etc/pw", "neither an absolute path"},
		{"/srv/borg", "pw", "not an absolute path"},
		{"/srv/a:b", "/etc/pw", "no colon"},
		{"ssh://-oProxyCommand=x/srv", "/etc/pw", "no place that borg can be told"},
	} {
		err := Kind().Validate(job.Options{Repository: c.repository, PasswordFile: c.password})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestNormal(t *testing.T) {
	for place, want := range map[string]string{
		"/srv/borg": "/srv/borg", "ssh://h/srv": "ssh://h/srv", "u@h:srv/b": "ssh://u@h/./srv/b", "h:/srv": "ssh://h/srv", "h:~/b": "ssh://h/~/b",
	} {
		if got, err := Normal(place); err != nil || got != want {
			t.Errorf("%s: got %s, want %s: %v", place, got, want, err)
		}
	}
}

func TestSafeShell(t *testing.T) {
	for command, want := range map[string]bool{
		"ssh": true,
		"ssh -i /root/.ssh/borg -p 2222 -l backup":                true,
		"ssh -oBatchMode=yes -o UserKnownHostsFile=/etc/known -T": true,
		"ssh -o ProxyCommand=evil":                                false,
		"ssh -oLocalCommand=evil":                                 false,
		"ssh -F /home/alice/config":                               false,
		"ssh; evil":                                               false,
		"ssh -i $(evil)":                                          false,
		"/home/alice/ssh":                                         false,
		"ssh -i a\nevil":                                          false,
	} {
		if SafeShell(command) != want {
			t.Errorf("%s: want %v", command, want)
		}
	}
}

func TestRoster(t *testing.T) {
	got := roster([]byte(`{"shared":[["vm@123",42,0]],"exclusive":[["broken"]]}`))
	if diff := cmp.Diff([]string{"vm@123.42-0"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzSegment: a segment that is accepted was read to its end.
func FuzzSegment(f *testing.F) {
	f.Add(segment(f, "content"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := checkSegment(bytes.NewReader(data)); err == nil && n != int64(len(data)) {
			t.Errorf("read %d of %d bytes", n, len(data))
		}
		_ = roster(data)
		if failed(probes.Output{ExitCode: 2, Stderr: data}) == nil {
			t.Error("a failure is good")
		}
	})
}
