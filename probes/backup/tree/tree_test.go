package tree

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// words puts tabs between the words of lines, as rsnapshot demands.
func words(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintln(&b, strings.ReplaceAll(line, " ", "\t"))
	}
	return b.String()
}

func TestConfiguration(t *testing.T) {
	good := words("snapshot_root /srv/snapshots/", "retain alpha 6", "interval beta 7", "backup /etc/ host/", "backup root@web:/srv/./data/ web/",
		"backup rsync://web/module/ web/", "backup_script /bin/dump db/", "lockfile /run/r.pid", "logfile /var/log/r")
	files := map[string]string{
		"/good":     good,
		"/comments": "# a comment\n\n" + good,
		"/long":     words("snapshot_root /srv", "retain alpha 6", "backup /a/", " host/ one_fs=1"),
		"/includes": words("include_conf /good", "include_conf `ls`"),
		"/loop":     words("include_conf /loop"),
		"/blanks":   good + "retain gamma 3\n",
		"/short":    good + "backup\t/etc/\n",
		"/number":   good + "retain\tgamma\tmany\n",
		"/rootless": words("retain alpha 6"),
		"/level":    words("snapshot_root /srv"),
		"/relative": words("snapshot_root srv", "retain alpha 6"),
	}
	for _, c := range []struct{ name, want string }{
		{"/good", "/srv/snapshots alpha 6, beta 7: host/etc web/data web/ db/"},
		{"/comments", "/srv/snapshots alpha 6, beta 7: host/etc web/data web/ db/"},
		{"/long", "/srv alpha 6: host/a"},
		{"/includes", "/srv/snapshots alpha 6, beta 7: host/etc web/data web/ db/ and the configuration includes what a command prints, which is not looked at"},
		{"/loop", "unknown malformed: /loop line 1: /loop line 1: /loop line 1: /loop line 1: /loop line 1: /loop line 1: /loop line 1: /loop line 1: /loop line 1: /loop is one file too many, or includes itself"},
		{"/blanks", `unknown malformed: /blanks line 10: "retain gamma 3" lacks a value; are there blanks where a tab should be?`},
		{"/short", `unknown malformed: /short line 10: "backup" lacks a value; are there blanks where a tab should be?`},
		{"/number", `unknown malformed: /number line 10: "gamma" "many" is no level and its number`},
		{"/rootless", "unknown malformed: /rootless: there is no snapshot_root"},
		{"/level", "unknown malformed: /level: nothing is retained"},
		{"/relative", `unknown malformed: /relative: the snapshot_root "srv" is not an absolute path`},
		{"/none", "unknown not_found: there is no configuration of rsnapshot at /none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, err := parseConfiguration(c.name, func(name string) ([]byte, error) {
				text, there := files[name]
				if !there {
					return nil, fs.ErrNotExist
				}
				return []byte(text), nil
			})
			got := conf.root
			for i, l := range conf.levels {
				got += fmt.Sprintf("%s %s %d", []string{"", ","}[min(i, 1)], l.name, l.keep)
			}
			got += ":"
			for _, p := range conf.points {
				got += " " + conf.expected(p)
			}
			if len(conf.notes) > 0 {
				got += " and " + strings.Join(conf.notes, "; ")
			}
			if err != nil {
				j := job.Judge(err)
				got = string(j.Verdict) + " " + j.Reason + ": " + err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestExpectedWithoutRelative(t *testing.T) {
	c := configuration{longArguments: "--delete"}
	if got := c.expected(backupPoint{source: "/etc/", place: "host/"}); got != "host/" {
		t.Errorf("got %s", got)
	}
}

// log is what rsnapshot 1.4.5 writes, shortened.
const (
	program  = "/usr/bin/rsnapshot -c /etc/r.conf alpha: "
	wentWell = `[2026-01-01T00:00:00] ` + program + `started
[2026-01-01T00:00:00] echo 1 > /run/r.pid
[2026-01-01T00:00:01] /usr/bin/rsync -a --delete /etc/ /srv/alpha.0/host/
[2026-01-01T00:00:09] touch /srv/alpha.0/
[2026-01-01T00:00:09] ` + program + `completed successfully
`
	left = `[2026-01-02T00:00:00] ` + program + `started
[2026-01-02T00:00:01] /usr/bin/rsync -a --delete /etc/ /srv/alpha.0/host/
[2026-01-02T00:00:02] WARNING: Some files and/or directories in /etc/ only transferred partially during rsync operation
[2026-01-02T00:00:09] touch /srv/alpha.0/
[2026-01-02T00:00:09] WARNING: ` + program + `completed, but with some warnings
`
	away = `[2026-01-03T00:00:00] ` + program + `started
[2026-01-03T00:00:01] /usr/bin/rsync -a --delete web:/etc/ /srv/alpha.0/host/
[2026-01-03T00:00:02] ` + program + `ERROR: /usr/bin/rsync returned 255 while processing web:/etc/
[2026-01-03T00:00:09] touch /srv/alpha.0/
[2026-01-03T00:00:09] ` + program + `ERROR: ` + program + `completed, but with some errors
`
	killed = `[2026-01-04T00:00:00] ` + program + `started
[2026-01-04T00:00:01] /usr/bin/rsync -a --delete /etc/ /srv/alpha.0/host/
`
	refused = `[2026-01-05T00:00:00] ` + program + `ERROR: Lockfile /run/r.pid exists and so does its process, can not continue
`
)

func TestLog(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 9, 0, time.UTC) }
	for _, c := range []struct {
		name, text string
		tree       time.Time
		want       string
	}{
		{"a run that went well", wentWell, at(1), "made 1"},
		{"what could not be read", wentWell + left, at(2), "made 2 failed WARNING: Some files and/or directories in /etc/ only transferred partially during rsync operation"},
		{"a host that was away", wentWell + away, at(3), "made 3 failed /usr/bin/rsync returned 255 while processing web:/etc/"},
		{"a run that was killed after one that went well", wentWell + killed, at(1), "made 1 broken 4"},
		{"a killed run that another has repaired", killed + strings.ReplaceAll(wentWell, "2026-01-01", "2026-01-06"), at(6), "made 6"},
		{"a run that was refused changes nothing", wentWell + refused, at(1), "made 1"},
		{"no run", "", at(1), ""},
		{"a run of another level", strings.ReplaceAll(wentWell, "alpha: ", "beta: "), at(1), ""},
		{"the times of an earlier rsnapshot", strings.ReplaceAll(wentWell, "2026-01-01T", "01/Jan/2026:"), at(1), "made 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, broken := of(parseLog(c.text, time.UTC), "alpha", c.tree)
			var got []string
			if made != nil {
				got = append(got, fmt.Sprintf("made %d", made.begin.Day()))
				if made.failed != "" {
					got = append(got, "failed "+made.failed)
				}
			}
			if broken != nil {
				got = append(got, fmt.Sprintf("broken %d", broken.begin.Day()))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

func TestGaps(t *testing.T) {
	made := func(level string, number, hour int) generation {
		return generation{level: level, number: number, at: time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC).Add(-time.Duration(hour) * time.Hour)}
	}
	for _, c := range []struct {
		name string
		list []generation
		want []string
	}{
		{name: "evenly", list: []generation{made("alpha", 0, 0), made("alpha", 1, 4), made("alpha", 2, 8), made("alpha", 3, 12)}},
		{name: "too few to tell", list: []generation{made("alpha", 0, 0), made("alpha", 1, 100)}},
		{
			name: "runs that were skipped", list: []generation{made("alpha", 0, 0), made("alpha", 1, 4), made("alpha", 2, 8), made("alpha", 3, 20), made("alpha", 4, 24)},
			want: []string{"of alpha nothing was kept between 2026-01-09T04:00:00Z and 2026-01-09T16:00:00Z; the usual distance is 4h0m0s"},
		},
		{
			name: "a level that was turned without anything to take over", list: []generation{made("alpha", 0, 0), made("beta", 1, 30)},
			want: []string{"beta.0 is missing, and beta.1 is there: the level was turned without a tree to take over"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, gaps(configuration{levels: []level{{"alpha", 6}, {"beta", 3}}}, c.list)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAge(t *testing.T) {
	dir := t.TempDir()
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"alpha.0":               "2001-02-03T04:05:06Z",
		"2026-03-04":            "2026-03-04T00:00:00Z",
		"web-20260304":          "2026-03-04T00:00:00Z",
		"2026-03-04T05:06:07":   "2026-03-04T05:06:07Z",
		"2026-03-04_05-06":      "2026-03-04T05:06:00Z",
		"20260304050607":        "2026-03-04T05:06:07Z",
		"back-2026-03-04-05h06": "2026-03-04T05:06:00Z",
		"2026-99-04":            "2001-02-03T04:05:06Z",
		"2026-03-04_99-06":      "2026-03-04T00:00:00Z",
		"2001-02-03":            "2001-02-03T04:05:06Z", // the directory tells more
	} {
		if got := age(name, info, time.UTC).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestUnfinished(t *testing.T) {
	for name, want := range map[string]bool{
		"alpha.0": false, "2026-03-04": false, "attempt": false, ".sync": true, "_delete.123": true,
		"2026-03-04.incomplete": true, "2026-03-04_inProgress": true, "tmp": true, "in-progress": true, "x.partial": true,
	} {
		if got := unfinished(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzTexts: a configuration that is accepted has a place and a level, runs have a
// level and a beginning, and nothing panics.
func FuzzTexts(f *testing.F) {
	f.Add(words("snapshot_root /srv", "retain alpha 6", "backup /a/ b/"), "2026-03-04")
	f.Add(wentWell+left+away+killed, "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		c, err := parseConfiguration("/c", func(string) ([]byte, error) { return []byte(text), nil })
		if err == nil && (c.root == "" || len(c.levels) == 0) {
			t.Errorf("%+v", c)
		}
		if err != nil && probes.ReasonOf(err) != probes.Malformed {
			t.Error(err)
		}
		for _, p := range c.points {
			_ = c.expected(p)
		}
		for _, r := range parseLog(text, time.UTC) {
			if r.level == "" || r.begin.IsZero() {
				t.Errorf("%+v", r)
			}
		}
		_ = unfinished(name)
	})
}
