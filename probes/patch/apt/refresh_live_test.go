//go:build live

package apt

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/patch/updates"
)

// A mirror is a repository that apt fetches from.
type mirror struct {
	*httptest.Server
	files  map[string][]byte
	key    string // the file of the key that signs it
	since  time.Time
	broken atomic.Bool
}

// newMirror serves one suite whose index has one compression.
func newMirror(t *testing.T, suite, extension string) *mirror {
	t.Helper()
	text := fill("Package: a\nVersion: 2\n", "Architecture: amd64", "Maintainer: x", "Size: 1", "Filename: x.deb", "SHA256: "+strings.Repeat("0", 64), "Description: x")
	index := compress(t, extension, text)
	m := &mirror{since: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	release := fmt.Sprintf("Origin: Test\nSuite: %s\nCodename: %s\nDate: Sun, 01 Mar 2026 10:00:00 UTC\nValid-Until: Sun, 01 Mar 2099 10:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n", suite, suite)
	sum := func(data []byte, name string) string {
		return fmt.Sprintf(" %x %d %s\n", sha256.Sum256(data), len(data), name)
	}
	release += sum([]byte(text), "main/binary-amd64/Packages") + sum(index, "main/binary-amd64/Packages"+extension)
	dir := "/dists/" + suite + "/"
	var signed []byte
	signed, m.key = sign(t, release)
	m.files = map[string][]byte{dir + "InRelease": signed, dir + "main/binary-amd64/Packages" + extension: index}
	m.Server = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) serve(w http.ResponseWriter, r *http.Request) {
	data, ok := m.files[r.URL.Path]
	if !ok || m.broken.Load() {
		http.Error(w, "gone", http.StatusNotFound)
		return
	}
	w.Header().Set("Last-Modified", m.since.Format(http.TimeFormat))
	if r.Header.Get("If-Modified-Since") == m.since.Format(http.TimeFormat) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(data)
}

// line is the entry of the mirror in the sources.
func (m *mirror) line(suite string) string {
	return fmt.Sprintf("deb [signed-by=%s] %s %s main\n", m.key, m.URL, suite)
}

// compress has the program of a format compress a text.
func compress(t *testing.T, extension, text string) []byte {
	t.Helper()
	program := map[string][]string{
		".gz": {"gzip", "-c"}, ".xz": {"xz", "-c"}, ".bz2": {"bzip2", "-c"}, ".lz4": {"lz4", "-c", "-q"}, ".zst": {"zstd", "-c", "-q"}, ".lzma": {"xz", "--format=lzma", "-c"},
	}[extension]
	if program == nil {
		return []byte(text)
	}
	command := exec.CommandContext(t.Context(), program[0], program[1:]...)
	command.Stdin = strings.NewReader(text)
	out, err := command.Output()
	if err != nil {
		t.Fatal(program, err)
	}
	return out
}

// sign signs a text with a new key, and returns where the key is.
func sign(t *testing.T, text string) (signed []byte, key string) {
	t.Helper()
	home := t.TempDir()
	gpg := func(input string, args ...string) []byte {
		command := exec.CommandContext(t.Context(), "gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)...)
		command.Stdin = strings.NewReader(input)
		out, err := command.Output()
		if err != nil {
			t.Fatal("gpg", args, err)
		}
		return out
	}
	gpg("", "--quick-gen-key", "test@example.org", "ed25519", "sign", "never")
	signed = gpg(text, "--clearsign")
	key = filepath.Join(home, "key.gpg")
	if err := os.WriteFile(key, gpg("", "--export"), 0o644); err != nil {
		t.Fatal(err)
	}
	exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
	return signed, key
}

// aptGet runs apt-get on a root.
func aptGet(t *testing.T, root string, args ...string) string {
	t.Helper()
	conf := filepath.Join(root, "oracle.conf")
	text := fmt.Sprintf("Dir %q; Dir::State::status %q; APT::Architecture \"amd64\"; APT::Architectures { \"amd64\"; }; APT::Sandbox::User \"root\"; Acquire::Languages \"none\"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n",
		root, root+"/var/lib/dpkg/status")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "apt-get", args...)
	command.Env = append(os.Environ(), "LC_ALL=C", "APT_CONFIG="+conf)
	out, _ := command.CombinedOutput() // apt-get update succeeds when nothing can be fetched
	return string(out)
}

const oneInstalled = "one package\n-- status --\nPackage: a\nVersion: 1\n-- etc/apt/sources.list --\n# below\n"

// refreshed returns what the reader says of a repository.
func repositoryOf(t *testing.T, m updates.Manager, suite string) updates.Repository {
	t.Helper()
	for _, r := range m.Repositories {
		if strings.HasSuffix(r.Name, "/"+suite) {
			return r
		}
	}
	t.Fatalf("no repository %s", suite)
	return updates.Repository{}
}

// apt stores an index as it has got it, in each compression that it knows, and
// the reader reads it.
func TestLiveEveryCompressionThatAptStores(t *testing.T) {
	for _, extension := range []string{"", ".gz", ".xz", ".bz2", ".lz4", ".zst", ".lzma"} {
		t.Run("Packages"+extension, func(t *testing.T) {
			m := newMirror(t, "stable", extension)
			root := parseScenario(oneInstalled).build(t)
			write(t, root, "etc/apt/sources.list", m.line("stable"))
			if extension != "" {
				write(t, root, "etc/apt/apt.conf.d/50x", fmt.Sprintf("Acquire::GzipIndexes \"true\";\nAcquire::IndexTargets::deb::Packages::KeepCompressedAs %q;\n", extension[1:]))
			}
			out := aptGet(t, root, "update")
			stored, _ := filepath.Glob(filepath.Join(root, "var/lib/apt/lists/*_Packages"+extension))
			if len(stored) != 1 {
				t.Fatalf("apt stored no Packages%s:\n%s", extension, out)
			}
			if got := verdicts(read(t, root)); len(got) != 1 || got[0] != "Inst a 1 2" {
				t.Errorf("got %q", got)
			}
			u := read(t, root).Updates[0]
			if want := m.since; !u.Releases[0].Available.Equal(want) {
				t.Errorf("proven since %s (%s), want %s, when the server had it", u.Releases[0].Available, u.Releases[0].Evidence, want)
			}
		})
	}
}

// A refresh that found nothing new counts, one that failed does not, and one
// repository that fails does not hide that another works. apt itself ends
// without an error each time.
func TestLiveRefreshes(t *testing.T) {
	good, bad := newMirror(t, "good", ".gz"), newMirror(t, "bad", ".gz")
	root := parseScenario(oneInstalled).build(t)
	write(t, root, "etc/apt/sources.list", good.line("good")+bad.line("bad"))
	aptGet(t, root, "update")
	first := read(t, root)
	age := func(which string, m updates.Manager) time.Duration {
		return time.Since(repositoryOf(t, m, which).Refreshed)
	}
	for _, which := range []string{"good", "bad"} {
		r := repositoryOf(t, first, which)
		if age(which, first) > time.Minute || r.ValidUntil.Year() != 2099 || r.Published.Year() != 2026 || r.Err != nil {
			t.Errorf("after a refresh: %+v", r)
		}
	}
	pause(t)
	bad.broken.Store(true)
	out := aptGet(t, root, "update")
	if !strings.Contains(out, "Hit:") {
		t.Fatalf("the good repository was not hit:\n%s", out)
	}
	second := read(t, root)
	if !repositoryOf(t, second, "good").Refreshed.After(repositoryOf(t, first, "good").Refreshed) {
		t.Error("a refresh that found nothing new does not count")
	}
	if !repositoryOf(t, second, "bad").Refreshed.Equal(repositoryOf(t, first, "bad").Refreshed) {
		t.Error("a refresh that failed counts")
	}
}

// pause lets the clock of the file system go on.
func pause(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	stat := func() unix.Timespec {
		name := filepath.Join(dir, "x")
		os.Remove(name)
		write(t, dir, "x", "")
		var s unix.Stat_t
		if err := unix.Stat(name, &s); err != nil {
			t.Fatal(err)
		}
		return s.Ctim
	}
	for begin := stat(); stat() == begin; { //nolint:revive // it ends within a tick
	}
}
