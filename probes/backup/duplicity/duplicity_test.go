package duplicity

import (
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

const (
	t1 = "20260101T000000Z"
	t2 = "20260102T000000Z"
	t3 = "20260103T000000Z"
)

func files(names ...string) []file {
	var list []file
	for i, name := range names {
		list = append(list, file{name, int64(i + 1), time.Unix(int64(i), 0)})
	}
	return list
}

// full and inc name the files of sets with one volume.
func full(to string) []string {
	return []string{"duplicity-full." + to + ".manifest.gpg", "duplicity-full." + to + ".vol1.difftar.gpg", "duplicity-full-signatures." + to + ".sigtar.gpg"}
}

func inc(from, to string) []string {
	between := from + ".to." + to
	return []string{"duplicity-inc." + between + ".manifest.gpg", "duplicity-inc." + between + ".vol1.difftar.gpg", "duplicity-new-signatures." + between + ".sigtar.gpg"}
}

func TestSets(t *testing.T) {
	concat := func(lists ...[]string) []file {
		var all []string
		for _, list := range lists {
			all = append(all, list...)
		}
		return files(all...)
	}
	for _, c := range []struct {
		name   string
		files  []file
		points []string // with the sets that each needs
		notes  []string
	}{
		{
			name: "a chain, newest first", files: concat(full(t1), inc(t1, t2), inc(t2, t3)),
			points: []string{t3 + " incremental 3", t2 + " incremental 2", t1 + " full 1"},
			notes:  []string{"the newest state needs the full set of " + t1 + " and 2 incremental ones"},
		},
		{
			name: "a backup that is not finished is no state", files: concat(full(t1), inc(t1, t2)[1:2]),
			points: []string{t1 + " full 1"},
			notes:  []string{"the backup that began at " + t2 + " is not finished: it runs, or it was interrupted", "the newest state needs the full set of " + t1 + " and 0 incremental ones"},
		},
		{
			name: "what needs a set that is missing stands alone", files: concat(inc(t2, t3)),
			points: []string{t3 + " incremental 1"},
			notes:  []string{"the newest state needs the set of " + t2 + ", which is missing"},
		},
		{name: "a lost manifest does not hide a set", files: concat(full(t1)[1:]), points: []string{t1 + " full 1"}, notes: []string{"the newest state needs the full set of " + t1 + " and 0 incremental ones"}},
		{name: "other files are none", files: files("README", "other-full."+t1+".manifest", "duplicity-full.20269901T000000Z.manifest", "duplicity-full."+t1+".vol0.difftar.gpg", "duplicity-full."+t1+".manifest.part")},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := parseNames(c.files)
			var got []string
			for _, p := range l.points() {
				got = append(got, p.ID+" "+p.Type+" "+string(rune('0'+len(l.chain(l.find(p.ID))))))
			}
			if diff := cmp.Diff(c.points, got); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, l.notes()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestChainEnds: names that lead in a circle end nowhere.
func TestChainEnds(t *testing.T) {
	l := parseNames(files(append(inc(t1, t2), inc(t2, t1)...)...))
	if n := len(l.chain(l[0])); n > 3 {
		t.Errorf("a circle is %d long", n)
	}
}

const sum = "d45e43be756be9de7936649794b18cdc9264b7e1"

func TestManifest(t *testing.T) {
	const head = "Hostname vm\nLocaldir src\n"
	volume := func(n, hash string) string {
		return "Volume " + n + ":\n    StartingPath   .  \n    EndingPath     text  \n    Hash SHA1 " + hash + "\n"
	}
	for _, c := range []struct {
		name, text, want string
		volumes          int
		files            job.Count
	}{
		{name: "two volumes and a list of files", text: head + volume("1", sum) + volume("2", sum) + "Filelist 1\n    new      text\n", want: "good", volumes: 2, files: job.Of(1)},
		{name: "without a list of files", text: head + volume("1", sum), want: "good", volumes: 1},
		{name: "nothing", want: "bad damaged"},
		{name: "something else", text: "hello\n", want: "bad damaged"},
		{name: "no volume", text: head, want: "bad truncated"},
		{name: "no checksum", text: head + "Volume 1:\n    StartingPath   .  \n", want: "bad truncated"},
		{name: "no checksum of the first", text: head + "Volume 1:\n" + volume("2", sum), want: "bad truncated"},
		{name: "a gap", text: head + volume("1", sum) + volume("3", sum), want: "bad incomplete"},
		{name: "a volume twice", text: head + volume("1", sum) + volume("1", sum), want: "bad incomplete"},
		{name: "a checksum that is too short", text: head + volume("1", sum[:20]), want: "bad damaged"},
		{name: "another kind of checksum", text: head + strings.Replace(volume("1", sum), "SHA1", "MD5", 1), want: "bad damaged"},
		{name: "a line without an end", text: head + strings.Repeat("x", maxLine+1), want: "bad damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := parseManifest(strings.NewReader(c.text))
			if got := answer(err); got != c.want {
				t.Fatalf("got %q: %v", got, err)
			}
			if err == nil && (len(m.sums) != c.volumes || m.files != c.files) {
				t.Errorf("got %d volumes, %v files", len(m.sums), m.files)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	const end = "orphaned-sets-num 0\nincomplete-sets-num 0\n"
	for _, c := range []struct{ name, text, want string }{
		{"a chain", "INFO 3 \nbackend X\nchain-complete\n full " + t1 + " 1 enc\n inc " + t2 + " 4 enc\n" + end + ". Collection Status\n", t2 + ":whole " + t1 + ":whole"},
		{"two chains", "chain-old\n full " + t1 + " 1 noenc\nchain-complete\n full " + t2 + " 1 noenc\n inc " + t3 + " 1 noenc\n" + end, t3 + ":whole " + t2 + ":whole " + t1 + ":whole"},
		{"a chain without its full set, which duplicity calls complete", "chain-complete\n inc " + t2 + " 1 enc\n" + end, t2 + ":torn"},
		{"nothing", end, ""},
		{"no status", "Traceback\n", "unknown malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _, err := parseStatus(c.text)
			var got []string
			for _, p := range l.points() {
				whole := ":torn"
				if l.chain(l.find(p.ID))[0].full() {
					whole = ":whole"
				}
				got = append(got, p.ID+whole)
			}
			text := strings.Join(got, " ")
			if err != nil {
				text = answer(err)
			}
			if text != c.want {
				t.Errorf("got %q", text)
			}
		})
	}
}

func TestStrays(t *testing.T) {
	_, got, err := parseStatus("orphaned-sets-num 2\nincomplete-sets-num 1\n")
	if err != nil || got != (strays{orphaned: 2, incomplete: 1}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestFailures judges what duplicity 0.8.22 and gpg printed.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, out string
		code      int
		want      string
	}{
		{"it ended well", "", 0, "good"},
		{"a changed byte", "ERROR 21\n. Invalid data - SHA1 hash mismatch for file:\n.  duplicity-full.vol1.difftar.gpg\n", 21, "bad damaged"},
		{"a password that nobody has set", "ERROR 30 EOFError\n. Traceback (innermost last):\n.   File \"/usr/lib/python3.11/getpass.py\", line 148, in _raw_input\n.  EOFError\n", 30, "unknown auth"},
		{"a missing volume", "ERROR 30 KeyError\n. Traceback (innermost last):\n.  KeyError: 1\n", 30, "bad incomplete"},
		{"a wrong password", "ERROR 31 GPGError\n. GPGError: GPG Failed, see log below:\n. gpg: decryption failed: Bad session key\n", 31, "unknown auth"},
		{"a damaged manifest", "ERROR 31 GPGError\n. gpg: WARNING: encrypted message has been manipulated!\n", 31, "bad damaged"},
		{"a server that is away", "ERROR 50\n. Connection refused\n", 50, "unknown network"},
		{"a server that does not know us", "ERROR 50\n. Authentication failed.\n", 50, "unknown auth"},
		{"no rights", "ERROR 30 PermissionError\n. PermissionError: [Errno 13] Permission denied: '/srv'\n", 30, "unknown permission_denied"},
		{"a full disk", "ERROR 30 OSError\n. OSError: [Errno 28] No space left on device\n", 30, "unknown too_large"},
		{"something else", "ERROR 99\n. something new\n", 99, "unknown unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := answer(explain(probes.Output{ExitCode: c.code, Stdout: []byte(c.out)}, nil)); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
	for text, want := range map[string]string{
		"gpg: decryption failed: Bad session key":                                             "unknown auth",
		"gpg: decryption failed: No secret key":                                               "unknown auth",
		"gpg: WARNING: encrypted message has been manipulated!\ngpg: decryption failed: eof":  "bad damaged",
		"gpg: no valid OpenPGP data found.":                                                   "bad damaged",
		"gpg: can't open '/etc/pw': Permission denied":                                        "unknown permission_denied",
		"gpg: fatal: can't create directory './private-keys-v1.d': No such file or directory": "unknown unavailable",
	} {
		if got := answer(decrypted(probes.Output{ExitCode: 2, Stderr: []byte(text)})); got != want {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ place, want string }{
		{"/srv/duplicity", ""},
		{"file:///srv/duplicity", ""},
		{"sftp://user@host//srv", ""},
		{"boto3+s3://bucket/prefix", ""},
		{"srv/duplicity", "is neither an absolute path nor a URL"},
		{"file://srv/duplicity", ""},
		{"ftp://user:secret@host/", "holds a password"},
	} {
		err := Kind().Validate(job.Options{Repository: c.place})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.place, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the complaint tells the password: %v", err)
		}
	}
}

func TestCounter(t *testing.T) {
	var c counter
	text := "Wed Nov 25 22:33:22 2026 .\nWed Nov  5 22:33:22 2026 a file\nINFO 10 x\n. Wed Nov 25 22:33:22 2026 .\nLast full backup date: Wed Nov 25 22:33:22 2026\n"
	for i := 0; i < len(text); i += 7 { // as it comes
		if _, err := c.Write([]byte(text[i:min(i+7, len(text))])); err != nil {
			t.Fatal(err)
		}
	}
	if c.entries != 2 {
		t.Errorf("got %d entries", c.entries)
	}
}

// FuzzTexts: a manifest that is accepted has a checksum of every volume, chains
// end, a failure is never good, and nothing panics.
func FuzzTexts(f *testing.F) {
	f.Add("Hostname vm\nVolume 1:\n    Hash SHA1 " + sum + "\n")
	f.Add("chain-complete\n full " + t1 + " 1 enc\n inc " + t2 + " 4 enc\norphaned-sets-num 0\n")
	f.Add(strings.Join(append(full(t1), inc(t1, t2)...), "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseManifest(strings.NewReader(text)); err == nil {
			for n := range len(m.sums) {
				if len(m.sums[n+1]) != 20 {
					t.Errorf("no checksum of %d", n+1)
				}
			}
		}
		list, _, _ := parseStatus(text)
		for _, l := range []sets{list, parseNames(files(strings.Split(text, "\n")...))} {
			for _, p := range l.points() {
				if p.At.IsZero() || l.find(p.ID) == nil {
					t.Errorf("%+v", p)
				}
			}
		}
		if explain(probes.Output{ExitCode: 1, Stdout: []byte(text)}, nil) == nil || decrypted(probes.Output{ExitCode: 2, Stderr: []byte(text)}) == nil {
			t.Error("a failure is good")
		}
	})
}
