package pgbackrest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// archiveInfo is what pgBackRest 2.45 wrote.
const archiveInfo = `[backrest]
backrest-format=5
backrest-version="2.45"

[db]
db-id=1
db-system-id=7712234982361918810
db-version="15"

[db:history]
1={"db-id":7712234982361918810,"db-version":"15"}

[backrest]
backrest-checksum="9e3798e0a223fd188efbf45cb26fc9cc46c768fc"
`

func TestParseInfo(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"as pgBackRest writes it", archiveInfo, "good"},
		{"a changed digit", strings.Replace(archiveInfo, "db-id=1", "db-id=2", 1), "bad damaged"},
		{"a lost line", strings.Replace(archiveInfo, "db-version=\"15\"\n", "", 1), "bad damaged"},
		{"without its end", archiveInfo[:len(archiveInfo)-70], "bad truncated"},
		{"cut within a line", archiveInfo[:60], "bad truncated"},
		{"cut within the checksum", archiveInfo[:len(archiveInfo)-10], "bad truncated"},
		{"a line that cannot be", strings.Replace(archiveInfo, "db-id=1\n", "db-id\n", 1), "bad damaged"},
		{"nothing", "", "bad truncated"},
		{"another format", strings.Replace(archiveInfo, "format=5", "format=6", 1), "unknown unsupported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := catalogue{history: map[int]database{}}
			err := parseInfo(strings.NewReader(c.text), found.add)
			if got := answer(err); got != c.want {
				t.Fatalf("got %q, want %q: %v", got, c.want, err)
			}
			want := database{1, 7712234982361918810, "15"}
			if err == nil && (found.history[found.current] != want || found.history[1].archive() != "15-1") {
				t.Errorf("%+v", found)
			}
		})
	}
	if err := parseInfo(strings.NewReader("something else\n"), nil); !errors.Is(err, errForeign) {
		t.Error(err)
	}
}

func TestManifestPlaces(t *testing.T) {
	const full = "20260101-000000F"
	for _, c := range []struct{ name, lines, want string }{
		{"packed", `pg_data/PG_VERSION={"checksum":"x","rck":"y","repo-size":23,"size":3}`, full + "/pg_data/PG_VERSION.gz 23"},
		{"of another backup", `pg_data/PG_VERSION={"reference":"20250101-000000F","size":3}`, "20250101-000000F/pg_data/PG_VERSION.gz 3"},
		{"in a bundle", `pg_data/a={"bni":2,"bno":100,"repo-size":23,"size":3}`, full + "/bundle/2 23"},
		{"with an equals sign in its name", `pg_data/a=b={"size":3}`, full + "/pg_data/a=b.gz 3"},
		{"empty, which is stored as what a packer makes of nothing", `pg_data/a={"repo-size":20,"size":0}`, full + "/pg_data/a.gz 20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &manifest{label: full, extension: ".gz"}
			key, value, ok := split(c.lines)
			if !ok {
				t.Fatal("no line")
			}
			err := m.add("target:file", key, []byte(value), func(f file) error {
				if got := fmt.Sprint(m.place(f), " ", f.stored()); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	m := &manifest{label: full, bundled: true}
	if place := m.place(file{Name: "pg_data/a"}); place != "" {
		t.Errorf("an empty file that is not stored lies at %q", place)
	}
	for _, value := range []string{`{"size":-1}`, `{"reference":"../x","size":1}`, `[]`} {
		if got := answer(m.add("target:file", "pg_data/a", []byte(value), func(file) error { return nil })); got != "bad damaged" {
			t.Errorf("%s: %s", value, got)
		}
	}
}

func TestRestoredPlaces(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"pg_data/base/1/112", "data/base/1/112"},
		{"pg_tblspc/16400/PG_15_202209061/5/1", "data/pg_tblspc/16400/PG_15_202209061/5/1"},
		{"pg_data/../../etc/passwd", "bad unsafe"},
		{"pg_data/a/../b", "bad unsafe"},
		{"other/a", "bad damaged"},
	} {
		got, err := file{Name: c.name}.place()
		if err != nil {
			got = answer(err)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	const text = `# a comment
[global]
repo1-path=/srv/one
repo2-type=s3
repo2-path=/two
repo2-cipher-type = aes-256-cbc
repo2-cipher-pass = secret
repo3-host=vault
[main]
repo1-path=/srv/main
lock-path=/run/pgbackrest
`
	sections := map[string]map[string]string{}
	form().Parse(text, sections)
	for _, c := range []struct {
		repository string
		want       settings
		media      string
		local      bool
	}{
		{"", settings{kind: "posix", path: "/srv/main", locks: "/run/pgbackrest"}, "disk", true},
		{"2", settings{kind: "s3", path: "/two", pass: "secret", locks: "/run/pgbackrest"}, "object_storage", false},
		{"3", settings{kind: "posix", path: "/var/lib/pgbackrest", host: "vault", locks: "/run/pgbackrest"}, "server", false},
	} {
		r := &repository{options: job.Options{Stanza: "main", Repository: c.repository}}
		got, err := r.settings(sections)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(settings{})); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", c.repository, err, diff)
		}
		if got.media() != c.media || got.local() != c.local {
			t.Errorf("%q: on %s, local %v", c.repository, got.media(), got.local())
		}
	}
	r := &repository{options: job.Options{Stanza: "main", Repository: "4"}}
	if _, err := r.settings(sections); answer(err) != "unknown not_found" {
		t.Error(err)
	}
}

// seal encrypts as pgBackRest does.
func seal(t testing.TB, plain []byte, pass string) []byte {
	t.Helper()
	salt := []byte("01234567")
	key, iv := derive([]byte(pass), salt)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	body := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, body)
	return append(append([]byte(salted), salt...), body...)
}

func TestDecrypt(t *testing.T) {
	// What "openssl enc -aes-256-cbc -md sha1 -pass pass:secret" makes of "hygiene\n".
	const openssl = "53616c7465645f5f30313233343536371264de4b11a3d69527018283248bb6e1"
	foreign, err := hex.DecodeString(openssl)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, c := range []struct {
		name   string
		sealed []byte
		pass   string
		want   []byte // nil: it cannot be decrypted
	}{
		{"by openssl", foreign, "secret", []byte("hygiene\n")},
		{"long", seal(t, long, "secret"), "secret", long},
		{"whole blocks", seal(t, long[:64], "secret"), "secret", long[:64]},
		{"nothing", seal(t, []byte{}, "secret"), "secret", []byte{}},
		{"another passphrase", seal(t, long, "secret"), "other", nil},
		{"cut within a block", seal(t, long, "secret")[:1000], "secret", nil},
		{"without a block", seal(t, long, "secret")[:16], "secret", nil},
		{"cut within the salt", seal(t, long, "secret")[:10], "secret", nil},
		{"not encrypted", long, "secret", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := decrypt(bytes.NewReader(c.sealed), c.pass)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
			}
			if c.want == nil {
				if !errors.Is(err, errCipher) {
					t.Errorf("got %d bytes and %v", len(got), err)
				}
				return
			}
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("got %.40q, %v", got, err)
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
		{55, "ERROR: [055]: unable to open missing file '/srv/repo/x' for read", "unknown not_found"},
		{41, "ERROR: [041]: unable to open file '/srv/repo/x' for read: [13] Permission denied", "unknown permission_denied"},
		{50, "ERROR: [050]: unable to acquire lock on file '/tmp/x.lock': Resource temporarily unavailable", "unknown locked"},
		{49, "ERROR: [049]: unable to connect to 'localhost:443': [111] Connection refused", "unknown network"},
		{125, "ERROR: [125]: remote-0 process on 'backup' terminated unexpectedly [255]", "unknown network"},
		{32, "ERROR: [032]: key '2' is not valid for 'repo' option", "unknown unavailable"},
	} {
		if got := answer(failed(probes.Output{ExitCode: c.code, Stderr: []byte("WARN: x\n" + c.text + "\n")})); got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ name, config, repository, want string }{
		{"main", "", "", ""},
		{"main", "/etc/x.conf", "2", ""},
		{"", "", "", "stanza: is missing"},
		{"--help", "", "", "cannot be the name of a stanza"},
		{"main", "x.conf", "", "not an absolute path"},
		{"main", "", "repo2", "not the number of a repository"},
		{"main", "", "0", "not the number of a repository"},
	} {
		err := Kind().Validate(job.Options{Stanza: c.name, ConfigFile: c.config, Repository: c.repository})
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// FuzzParseInfo: what ends without an error has the checksum that it tells.
func FuzzParseInfo(f *testing.F) {
	f.Add([]byte(archiveInfo))
	f.Add([]byte("[backrest]\na={\"b\":1}\n[x]\nc=d=1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &manifest{label: "20260101-000000F"}
		_ = parseInfo(bytes.NewReader(data), func(section, key string, value []byte) error {
			return m.add(section, key, value, func(f file) error {
				if f.stored() < 0 || f.Offset < 0 {
					t.Errorf("%+v", f)
				}
				_, _ = f.place()
				return nil
			})
		})
		found := catalogue{history: map[int]database{}}
		if err := parseInfo(bytes.NewReader(data), found.add); err == nil && !bytes.Contains(data, []byte("backrest-checksum")) {
			t.Error("no checksum was demanded")
		}
	})
}

// FuzzDecrypt: what was encrypted comes out, and nothing else.
func FuzzDecrypt(f *testing.F) {
	f.Add([]byte("content"), "secret")
	f.Fuzz(func(t *testing.T, plain []byte, pass string) {
		r, err := decrypt(bytes.NewReader(seal(t, plain, pass)), pass)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || sha1.Sum(got) != sha1.Sum(plain) {
			t.Errorf("%d of %d bytes: %v", len(got), len(plain), err)
		}
		if r, err := decrypt(bytes.NewReader(plain), pass); err == nil {
			_, _ = io.Copy(io.Discard, r)
		}
	})
}
