package barman

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// info is what Barman 3.4 wrote, shortened.
const info = `backup_label='START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\nLABEL: x\n'
begin_wal=000000010000000000000003
deduplicated_size=23859200
end_time=2026-11-25 23:02:51.072468+00:00
end_wal=000000010000000000000003
error=None
mode=postgres
size=23859300
status=DONE
tablespaces=None
xlog_segment_size=16777216
`

func TestParseBackup(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(info, old, with, 1) }
	for _, c := range []struct{ name, text, want string }{
		{"as Barman writes it", info, "good"},
		{"in another zone", replace("+00:00", "+07:00"), "good"},
		{"with a zone of seconds less", replace("072468", "0"), "good"},
		{"failed", "status=FAILED\nerror=failure copying\n", "good"},
		{"begun", "status=STARTED\n", "good"},
		{"empty", "", "bad truncated"},
		{"cut within a line", info[:len(info)-3], "bad damaged"},
		{"cut behind a line", info[:strings.Index(info, "status")], "bad truncated"},
		{"no line", replace("size=23859300", "size"), "bad damaged"},
		{"no size", replace("size=23859300", "size=x"), "bad damaged"},
		{"no time", replace("2026-11-25", "yesterday"), "bad damaged"},
		{"no segment", replace("end_wal=000000010000000000000003", "end_wal=x"), "bad damaged"},
		{"segments that cannot be", replace("16777216", "1"), "bad damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := backup{id: "20261125T230243"}
			err := b.parse(c.text)
			if got := answer(err); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, err)
			}
		})
	}
	b := backup{}
	if err := b.parse(info); err != nil || !b.end.Equal(time.Date(2026, 11, 25, 23, 2, 51, 72468000, time.UTC)) || b.size != 23859300 || b.tablespaces {
		t.Errorf("%+v %v", b, err)
	}
}

func TestSettings(t *testing.T) {
	const text = `; a comment
[barman]
barman_home = /srv/barman
[main]
description: the main one
[far]
backup_directory = /mnt/far
wals_directory = %(barman_home)s/wals/%(name)s
barman_lock_directory = /run/barman
`
	sections := map[string]map[string]string{}
	form().Parse(text, sections)
	for server, want := range map[string]settings{
		"main": {"/srv/barman/main/base", "/srv/barman/main/wals", "/srv/barman/main/incoming", "/srv/barman/main/errors", "/srv/barman"},
		"far":  {"/mnt/far/base", "/srv/barman/wals/far", "/mnt/far/incoming", "/mnt/far/errors", "/run/barman"},
	} {
		if diff := cmp.Diff(want, settingsOf(server, sections), cmp.AllowUnexported(settings{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", server, diff)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ server, config, want string }{
		{"main", "", ""},
		{"", "", "server: is missing"},
		{"all", "", "cannot be the name of a server"},
		{"-x", "", "cannot be the name of a server"},
		{"main", "barman.conf", "not an absolute path"},
	} {
		err := Kind().Validate(job.Options{Server: c.server, ConfigFile: c.config})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// FuzzParseBackup: what is whole has a size, a time and segments.
func FuzzParseBackup(f *testing.F) {
	f.Add(info)
	f.Add("status=DONE\n")
	f.Fuzz(func(t *testing.T, text string) {
		b := backup{id: "20261125T230243"}
		if err := b.parse(text); err == nil && b.status == "DONE" && (b.size < 0 || b.end.IsZero() && !strings.Contains(text, "0001-01-01") || b.segment <= 0) {
			t.Errorf("%+v", b)
		}
	})
}
