package certificate

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/internal/memory"
)

func TestFilesAreFoundWhereASourceNamesThem(t *testing.T) {
	tree := func(r *rig) {
		for _, path := range []string{"/d/a.pem", "/d/sub/b.crt", "/d/sub/deep/c.cer", "/d/sub/skip.pem", "/d/e.txt"} {
			r.write(path, text(r.t, filepath.Base(path)))
		}
		r.write("/d/key.pem", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	}
	for name, c := range map[string]struct {
		paths, exclude []string
		want           []string
	}{
		"a file":                               {[]string{"/d/e.txt"}, nil, []string{"/d/e.txt leaf=e.txt"}},
		"a directory, by extension":            {[]string{"/d"}, nil, []string{"/d/a.pem leaf=a.pem", "/d/sub/b.crt leaf=b.crt", "/d/sub/deep/c.cer leaf=c.cer", "/d/sub/skip.pem leaf=skip.pem"}},
		"a directory without something":        {[]string{"/d"}, []string{"**/skip*", "/d/sub/deep"}, []string{"/d/a.pem leaf=a.pem", "/d/sub/b.crt leaf=b.crt"}},
		"a pattern of one level":               {[]string{"/d/*.{pem,txt}"}, nil, []string{"/d/a.pem leaf=a.pem", "/d/e.txt leaf=e.txt"}},
		"a pattern of all levels":              {[]string{"/d/**/*.c?r"}, nil, []string{"/d/sub/deep/c.cer leaf=c.cer"}},
		"two stars at the end":                 {[]string{"/d/sub/**"}, nil, []string{"/d/sub/b.crt leaf=b.crt", "/d/sub/deep/c.cer leaf=c.cer", "/d/sub/skip.pem leaf=skip.pem"}},
		"a fixed name behind a pattern":        {[]string{"/d/*/b.crt"}, nil, []string{"/d/sub/b.crt leaf=b.crt"}},
		"a pattern that matches nothing":       {[]string{"/d/*.none"}, nil, nil},
		"a pattern in a directory not there":   {[]string{"/none/*.pem"}, nil, []string{"/none fault not_found"}},
		"a file that is not there":             {[]string{"/d/none.pem"}, nil, []string{"/d/none.pem fault not_found"}},
		"a named file without certificates":    {[]string{"/d/key.pem"}, nil, []string{"/d/key.pem fault malformed"}},
		"several paths that name a file twice": {[]string{"/d/a.pem", "/d/*.pem"}, []string{"**/key.pem"}, []string{"/d/a.pem leaf=a.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.paths...)
			r.config.Sources[0].Exclude = c.exclude
			tree(r)
			r.expect(c.want...)
		})
	}
}

func TestWhatMayBeMissingIsNoFault(t *testing.T) {
	r := newRig(t, "/none/a.pem", "/none", "/none/*.pem")
	r.config.Sources[0].Optional = true
	r.expect()
}

// Each way in which a certificate is replaced is seen in the next run, however
// the file looks from outside.
func TestEveryWayToReplaceACertificateIsSeenAtOnce(t *testing.T) {
	same := func(t *testing.T) (before, after []byte) { // of the same size
		for {
			before, after = text(t, "old"), text(t, "new")
			if len(before) == len(after) {
				return before, after
			}
		}
	}
	for name, c := range map[string]struct{ prepare, replace func(r *rig) }{
		"rewritten in place": {
			func(r *rig) { r.write("/s/c.pem", text(r.t, "old")) },
			func(r *rig) { r.write("/s/c.pem", text(r.t, "new")) },
		},
		"renamed over": {
			func(r *rig) { r.write("/s/c.pem", text(r.t, "old")) },
			func(r *rig) {
				r.write("/s/c.tmp", text(r.t, "new"))
				r.do(os.Rename(r.real("/s/c.tmp"), r.real("/s/c.pem")))
			},
		},
		"the target of a link rewritten in place": {
			func(r *rig) { r.write("/t/real", text(r.t, "old")); r.link("/t/real", "/s/c.pem") },
			func(r *rig) { r.write("/t/real", text(r.t, "new")) },
		},
		"certbot: a link to another version": {
			func(r *rig) {
				r.write("/archive/c1.pem", text(r.t, "old"))
				r.write("/archive/c2.pem", text(r.t, "new"))
				r.link("../archive/c1.pem", "/s/c.pem")
			},
			func(r *rig) { r.remove("/s/c.pem"); r.link("../archive/c2.pem", "/s/c.pem") },
		},
		"kubelet: a link of a directory swapped below": {
			func(r *rig) {
				r.write("/s/..v1/c.pem", text(r.t, "old"))
				r.write("/s/..v2/c.pem", text(r.t, "new"))
				r.link("..v1", "/s/..data")
				r.link("..data/c.pem", "/s/c.pem")
			},
			func(r *rig) {
				r.link("..v2", "/s/..tmp")
				r.do(os.Rename(r.real("/s/..tmp"), r.real("/s/..data")))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			c.prepare(r)
			r.expect("/s/c.pem leaf=old")
			r.settle()
			r.expect("/s/c.pem leaf=old")
			c.replace(r)
			r.expect("/s/c.pem leaf=new")
		})
	}
	t.Run("the same size and modification time", func(t *testing.T) {
		r := newRig(t, "/s")
		before, after := same(t)
		r.write("/s/c.pem", before)
		at := time.Now().Add(-time.Hour)
		r.do(os.Chtimes(r.real("/s/c.pem"), at, at))
		r.expect("/s/c.pem leaf=old")
		r.settle()
		time.Sleep(10 * time.Millisecond) // the tick of the file system's clock
		r.write("/s/c.pem", after)
		r.do(os.Chtimes(r.real("/s/c.pem"), at, at))
		r.expect("/s/c.pem leaf=new")
	})
	t.Run("within the same tick of the clock", func(t *testing.T) {
		r := newRig(t, "/s")
		before, after := same(t)
		for range 50 {
			r.write("/s/c.pem", before)
			r.expect("/s/c.pem leaf=old")
			r.write("/s/c.pem", after)
			r.expect("/s/c.pem leaf=new")
		}
	})
}

func TestAnUnchangedFileIsNotReadAgain(t *testing.T) {
	r := newRig(t, "/s")
	r.write("/s/c.pem", text(t, "a"))
	r.run()
	before := r.probe.files["/s/c.pem"]
	r.settle()
	r.run()
	if r.probe.files["/s/c.pem"] != before {
		t.Error("it was read again")
	}
}

// What is no file that can be read to its end costs nothing and blocks nothing.
func TestOddFilesHarmNobody(t *testing.T) {
	prepare := func(r *rig) {
		r.write("/s/good.pem", text(r.t, "good"))
		r.do(syscall.Mkfifo(r.real("/s/fifo.pem"), 0o644))
		r.do(syscall.Mknod(r.real("/s/socket.pem"), syscall.S_IFSOCK|0o644, 0))
		r.do(os.Mkdir(r.real("/s/directory.pem"), 0o755))
		r.link("/dev/zero", "/s/endless.pem")
		r.do(os.Mkdir(r.real("/dev"), 0o755))
		r.write("/dev/zero", bytes.Repeat([]byte{0}, 64<<10))
		r.link("/s/loop2.pem", "/s/loop.pem")
		r.link("/s/loop.pem", "/s/loop2.pem")
		r.link("/s/nowhere", "/s/dangling.pem")
	}
	t.Run("in a directory", func(t *testing.T) {
		r := newRig(t, "/s")
		r.config.MaxFileSize = 32 << 10
		prepare(r)
		r.expect(
			"/s/good.pem leaf=good",
			"/s/dangling.pem fault not_found",
			"/s/endless.pem fault too_large",
			"/s/loop.pem fault other", "/s/loop2.pem fault other",
		)
	})
	t.Run("named", func(t *testing.T) {
		r := newRig(t, "/s/fifo.pem", "/s/socket.pem", "/s/good.pem")
		prepare(r)
		r.expect("/s/good.pem leaf=good", "/s/fifo.pem fault unsupported", "/s/socket.pem fault unsupported")
	})
	t.Run("a real device", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("making a device needs root")
		}
		r := newRig(t, "/s/zero.pem")
		r.write("/s/good.pem", text(t, "good"))
		r.do(syscall.Mknod(r.real("/s/zero.pem"), syscall.S_IFCHR|0o666, 1<<8|5))
		r.expect("/s/zero.pem fault unsupported")
	})
}

func TestWhatCannotBeReadHoldsWhatWasKnown(t *testing.T) {
	t.Run("an unreadable file", func(t *testing.T) {
		r := newRig(t, "/s")
		r.write("/s/a.pem", text(t, "a"))
		r.write("/s/b.pem", text(t, "b"))
		r.expect("/s/a.pem leaf=a", "/s/b.pem leaf=b")
		r.do(os.Chmod(r.real("/s/a.pem"), 0))
		unprivileged(t, func() { r.expect("/s/a.pem fault permission_denied", "/s/b.pem leaf=b") })
	})
	t.Run("an unreadable directory", func(t *testing.T) {
		r := newRig(t, "/s/*/*.pem")
		r.write("/s/x/a.pem", text(t, "a"))
		r.write("/s/y/b.pem", text(t, "b"))
		r.expect("/s/x/a.pem leaf=a", "/s/y/b.pem leaf=b")
		r.do(os.Chmod(r.real("/s/x"), 0))
		defer os.Chmod(r.real("/s/x"), 0o755)
		unprivileged(t, func() {
			r.expect("/s/x fault permission_denied", "/s/x/a.pem fault unavailable", "/s/y/b.pem leaf=b")
		})
	})
	t.Run("an unreadable directory with a fixed name in it is told once", func(t *testing.T) {
		r := newRig(t, "/s/**/a.pem")
		r.write("/s/x/a.pem", text(t, "a"))
		r.do(os.Chmod(r.real("/s/x"), 0))
		defer os.Chmod(r.real("/s/x"), 0o755)
		unprivileged(t, func() { r.expect("/s/x fault permission_denied") })
	})
	t.Run("rubbish in place of a good file, over a restart", func(t *testing.T) {
		r := newRig(t, "/s")
		r.write("/s/a.pem", text(t, "a"))
		r.expect("/s/a.pem leaf=a")
		for _, rubbish := range []string{"", "rubbish", "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n", "0\x82\x01\x00"} {
			r.write("/s/a.pem", []byte(rubbish))
			r.expect("/s/a.pem fault malformed")
			r.restart()
			r.expect("/s/a.pem fault malformed")
		}
		r.write("/s/a.pem", text(t, "b"))
		r.expect("/s/a.pem leaf=b")
	})
}

func TestRemovedObjectsAreGoneForAWeek(t *testing.T) {
	prepare := func(t *testing.T) *rig {
		r := newRig(t, "/s")
		r.write("/s/x/a.pem", text(t, "a"))
		r.write("/s/b.pem", text(t, "b"))
		r.expect("/s/b.pem leaf=b", "/s/x/a.pem leaf=a")
		return r
	}
	for name, remove := range map[string]func(r *rig){
		"the file":                   func(r *rig) { r.remove("/s/x/a.pem") },
		"its directory":              func(r *rig) { r.remove("/s/x") },
		"a file became a directory":  func(r *rig) { r.remove("/s/x"); r.write("/s/x", []byte("no directory")) },
		"an exclusion names it":      func(r *rig) { r.config.Sources[0].Exclude = []string{"**/a.pem"}; r.restart() },
		"no source names it anymore": func(r *rig) { r.config.Sources[0].Paths = []string{"/s/b.pem"}; r.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			r := prepare(t)
			remove(r)
			r.expect("/s/b.pem leaf=b", "/s/x/a.pem gone")
			r.restart()
			r.expect("/s/b.pem leaf=b", "/s/x/a.pem gone")
		})
	}
	t.Run("and not any more when it returns", func(t *testing.T) {
		r := prepare(t)
		r.remove("/s/x/a.pem")
		r.expect("/s/b.pem leaf=b", "/s/x/a.pem gone")
		r.write("/s/x/a.pem", text(t, "c"))
		r.expect("/s/b.pem leaf=b", "/s/x/a.pem leaf=c")
	})
	t.Run("a week is over", func(t *testing.T) {
		r := prepare(t)
		r.remove("/s/x/a.pem")
		r.run()
		object, _ := r.probe.memory.Object("/s/x/a.pem")
		if left := time.Until(object.Removed.Add(memory.Keep)); left < 6*day {
			t.Errorf("it is forgotten in %s", left)
		}
	})
	t.Run("a file that is named is missed, never gone", func(t *testing.T) {
		r := newRig(t, "/s/a.pem")
		r.write("/s/a.pem", text(t, "a"))
		r.run()
		r.remove("/s/a.pem")
		r.expect("/s/a.pem fault not_found")
	})
}

func TestTheFilesOfAVanishedMountAreNotGone(t *testing.T) {
	r := newRig(t, "/s")
	r.write("/s/a.pem", text(t, "a"))
	r.run()
	// As if the file had been on a file system of its own, which is not there.
	r.probe.memory.Saw("/s/a.pem", place{Mount: "/s"}, time.Now())
	r.remove("/s/a.pem")
	r.expect("/s/a.pem fault unavailable")
}

func TestBundlesHaveSlots(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"a leaf and its chain":               {text(t, "www", "ca1", "ca2"), []string{"/s/c.pem leaf=www", "/s/c.pem chain1=ca1", "/s/c.pem chain2=ca2"}},
		"a leaf at the end":                  {text(t, "ca1", "www"), []string{"/s/c.pem leaf=www", "/s/c.pem chain1=ca1"}},
		"two leaves":                         {text(t, "a", "ca1", "b"), []string{"/s/c.pem leaf=a", "/s/c.pem leaf2=b", "/s/c.pem chain1=ca1"}},
		"a single CA":                        {text(t, "ca1"), []string{"/s/c.pem leaf=ca1"}},
		"the same certificate twice":         {text(t, "www", "www"), []string{"/s/c.pem leaf=www", "/s/c.pem leaf2=www"}},
		"a key before and text between":      {[]byte("Bag Attributes\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\nsubject=x\n" + string(text(t, "www")) + "trailing\n"), []string{"/s/c.pem leaf=www"}},
		"DER under the extension of PEM":     {der(t, "www"), []string{"/s/c.pem leaf=www"}},
		"a bad block between two good ones":  {bytes.Join([][]byte{text(t, "www"), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), text(t, "ca1")}, nil), []string{"/s/c.pem leaf=www", "/s/c.pem chain1=ca1", "/s/c.pem fault malformed"}},
		"a block without an end at the end":  {append(text(t, "www"), []byte("-----BEGIN CERTIFICATE-----\nMIIB\n")...), []string{"/s/c.pem leaf=www", "/s/c.pem fault malformed"}},
		"lines that end as on other systems": {bytes.ReplaceAll(text(t, "www", "ca1"), []byte("\n"), []byte("\r\n")), []string{"/s/c.pem leaf=www", "/s/c.pem chain1=ca1"}},
		"files joined without a line break":  {bytes.ReplaceAll(text(t, "www", "ca1"), []byte("-----\n-----"), []byte("----------")), []string{"/s/c.pem leaf=www", "/s/c.pem chain1=ca1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "/s")
			r.write("/s/c.pem", c.data)
			r.expect(c.want...)
		})
	}
	t.Run("a set of roots, told apart by their subjects", func(t *testing.T) {
		r := newRig(t, "/s")
		r.write("/s/c.pem", text(t, "ca1", "ca2", "ca1"))
		lines := r.run()
		if len(lines) != 3 || strings.Contains(strings.Join(lines, " "), "leaf") {
			t.Errorf("got %q", lines)
		}
	})
	t.Run("a trust store is counted and not listed", func(t *testing.T) {
		r := newRig(t, "/s")
		var names []string
		for i := range 25 {
			names = append(names, fmt.Sprintf("ca%d", i))
		}
		r.write("/s/c.pem", text(t, names...))
		r.expect("/s/c.pem expired=25", "/s/c.pem not_yet_valid=0", "/s/c.pem valid=0")
	})
}

// A file that is called a certificate and holds nothing is broken; one that may
// just as well be a key is not.
func TestWhatIsCalledACertificateMustBeOne(t *testing.T) {
	r := newRig(t, "/s")
	key := "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for name, data := range map[string]string{
		"empty.crt": "", "rubbish.p12": "rubbish", "text.jks": "hello", "zeros.crl": "\x00\x00", "empty.pem": "", "key.pem": key, "key.crt": key, "other.txt": "",
	} {
		r.write("/s/"+name, []byte(data))
	}
	r.expect("/s/empty.crt fault malformed", "/s/rubbish.p12 fault malformed", "/s/text.jks fault malformed", "/s/zeros.crl fault malformed")
}

// All that is wrong with a file is told on one line, and not without end.
func TestErrorsAreToldOnOneLine(t *testing.T) {
	r := newRig(t, "/s")
	r.write("/s/a.pem", append(text(t, "a"), []byte(strings.Repeat("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 100))...))
	result, err := r.probe.Run(t.Context())
	r.do(err)
	if len(result.Faults) != 1 {
		t.Fatalf("got %v", result.Faults)
	}
	told := result.Faults[0].Err.Error()
	if strings.Contains(told, "\n") || !strings.HasSuffix(told, "; and 97 more") {
		t.Errorf("got %q", told)
	}
}

func TestTwoSourcesShareNothing(t *testing.T) {
	r := newRig(t, "/s")
	r.config.Sources = []Source{{Name: "one", Owner: "a", Paths: []string{"/s/a.pem", "/none.pem"}}, {Name: "two", Owner: "b", Paths: []string{"/s"}}}
	r.restart()
	r.write("/s/a.pem", text(t, "a"))
	r.write("/s/b.pem", text(t, "b"))
	r.write("/s/k.pem", []byte("no certificate"))
	result, err := r.probe.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, s := range result.Samples {
		switch s.Metric {
		case sourceSuccess:
			got[s.Label("source")+" success"] = s.Value
		case sourceObjects:
			got[s.Label("source")+" "+s.Label("state")] = s.Value
		case notAfter:
			got[s.Object()+" owned by "+s.Label("owner")] = 1
		}
	}
	for key, want := range map[string]float64{
		"one success": 0, "one ok": 1, "one fault": 1, "one ignored": 0,
		"two success": 1, "two ok": 1, "two fault": 0, "two ignored": 1,
		"/s/a.pem owned by a": 1, "/s/b.pem owned by b": 1,
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s is %v, want %v", key, value, want)
		}
	}
}

func TestTooManyFilesAreAFaultOfTheirSource(t *testing.T) {
	r := newRig(t, "/s")
	r.config.MaxFiles = 2
	for i := range 4 {
		r.write(fmt.Sprintf("/s/%d.pem", i), text(t, "a"))
	}
	r.expect("/s fault too_large", "/s/0.pem leaf=a", "/s/1.pem leaf=a")
}

func TestACancelledRunEnds(t *testing.T) {
	r := newRig(t, "/s")
	r.write("/s/a.pem", text(t, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.probe.Run(ctx); err == nil {
		t.Error("it succeeded")
	}
}
