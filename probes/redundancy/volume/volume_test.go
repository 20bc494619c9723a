package volume

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/redundancy/group"
)

func brief(g group.Group) string {
	text := fmt.Sprintf("%d/%d %d/%d", g.Tolerated, g.Design, g.Active(), g.Expected)
	if !g.Known {
		text = fmt.Sprintf("? %d/%d", g.Active(), g.Expected)
	}
	if g.Failed != "" {
		text += " failed"
	}
	if g.Err != nil {
		text += " unclear"
	}
	if g.Doubt != nil {
		text += " doubted"
	}
	return text
}

// made makes a btrfs of words: "d=profile,profile" for data, "m=" for metadata, and
// devices, of which one with "!" is missing.
func made(text string) Btrfs {
	b := Btrfs{UUID: "u", Profiles: map[string][]string{}}
	for word := range strings.FieldsSeq(text) {
		class, profiles, is := strings.Cut(word, "=")
		if is {
			b.Profiles[map[string]string{"d": "data", "m": "metadata"}[class]] = strings.Split(profiles, ",")
			continue
		}
		missing := "0"
		if strings.HasSuffix(word, "!") {
			missing = "1"
		}
		b.Devices = append(b.Devices, BtrfsDevice{ID: strings.TrimSuffix(word, "!"), Attr: map[string]string{"missing": missing}})
	}
	return b
}

func TestBtrfs(t *testing.T) {
	for text, want := range map[string]string{
		"d=raid1 m=raid1 1 2":         "1/1 2/2",
		"d=raid1 m=raid1 1 2!":        "0/1 1/2",
		"d=raid1 m=raid1 1 2 3 4":     "1/1 4/4",
		"d=raid1c3 m=raid1c4 1 2 3 4": "2/2 4/4",
		"d=raid6 m=raid1c3 1 2 3 4!":  "1/2 3/4",
		"d=raid10 m=raid1 1 2 3 4":    "1/1 4/4",
		"d=single m=raid1 1 2":        "0/0 2/2",
		"d=single m=dup 1":            "0/0 1/1",
		"d=raid0 m=raid1 1 2":         "0/0 2/2",
		"d=raid1,single m=raid1 1 2":  "0/1 2/2", // written while a device was missing
		"d=raid1,single m=raid1 1 2!": "0/1 1/2",
		"d=raid1 m=raid1 1! 2! 3":     "0/1 1/3", // it is mounted
		"d=raid7 m=raid1 1 2":         "1/1 2/2 unclear",
		"1 2":                         "? 2/2 doubted",
		"d=raid1 m=raid1":             "? 0/0 doubted",
		"d=raid5 m=raid1c3 1 2 3":     "1/1 3/3",
	} {
		if got := brief(made(text).Group()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAScrubOfBtrfsIsWholeWhenEveryDeviceIs(t *testing.T) {
	const head = "scrub status:1\n"
	done := "u:1|data_extents_scrubbed:9|read_errors:0|csum_errors:2|verify_errors:0|super_errors:0|t_start:1000|t_resumed:0|duration:50|canceled:0|finished:1\n"
	for name, c := range map[string]struct {
		text string
		want group.Scrub
	}{
		"one that has finished":        {head + done, group.Scrub{Possible: true, Counted: true, Errors: 2, Last: time.Unix(1050, 0)}},
		"one that was resumed":         {head + strings.Replace(done, "t_resumed:0", "t_resumed:5000", 1), group.Scrub{Possible: true, Counted: true, Errors: 2, Last: time.Unix(5050, 0)}},
		"one device is not done":       {head + done + strings.Replace(done, "finished:1", "finished:0", 1), group.Scrub{Possible: true, Errors: 4}},
		"one that was given up":        {head + strings.Replace(done, "canceled:0", "canceled:1", 1), group.Scrub{Possible: true, Errors: 2}},
		"a file that says nothing yet": {head, group.Scrub{Possible: true}},
	} {
		if got := ParseScrub([]byte(c.text)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A scrub without a count has not ended, whatever the file holds.
func FuzzParseScrub(f *testing.F) {
	f.Add("scrub status:1\nu:1|t_start:1|duration:2|canceled:0|finished:1\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := ParseScrub([]byte(text))
		if s.Counted == s.Last.IsZero() && s.Counted || math.IsNaN(s.Errors) {
			t.Errorf("%+v", s)
		}
	})
}

func TestPoolsByTheirStateAlone(t *testing.T) {
	for state, want := range map[string]string{
		"ONLINE": "? 0/0 doubted", "DEGRADED": "0/1 0/0", "FAULTED": "? 0/0 failed", "UNAVAIL": "? 0/0 failed",
		"SUSPENDED": "? 0/0 failed", "SPLIT": "? 0/0 doubted", "ODD": "? 0/0 unclear",
	} {
		if got := brief(Pool("tank", state)); got != want {
			t.Errorf("%s: %s, want %s", state, got, want)
		}
	}
}

func TestBcachefs(t *testing.T) {
	device := func(state string, online bool) BcachefsDevice {
		return BcachefsDevice{Name: "dev-" + state, State: state, Online: online}
	}
	const rw = "[rw] ro evacuating spare"
	for name, c := range map[string]struct {
		fs   Bcachefs
		want string
	}{
		"two copies":                {Bcachefs{Data: "2", Metadata: "2", Devices: []BcachefsDevice{device(rw, true), device(rw, true)}}, "1/1 2/2"},
		"two copies, one gone":      {Bcachefs{Data: "2", Metadata: "2", Devices: []BcachefsDevice{device(rw, true), device(rw, false)}}, "0/1 1/2"},
		"one copy of the data":      {Bcachefs{Data: "1", Metadata: "2", Devices: []BcachefsDevice{device(rw, true), device(rw, true)}}, "0/0 2/2"},
		"one that is being emptied": {Bcachefs{Data: "2", Metadata: "3", Devices: []BcachefsDevice{device(rw, true), device("rw ro [evacuating] spare", true)}}, "0/1 1/2"},
		"a word that nobody knows":  {Bcachefs{Data: "2", Metadata: "2", Devices: []BcachefsDevice{device("[odd]", true)}}, "0/0 0/1 unclear"},
		"a number that is none":     {Bcachefs{Data: "x", Metadata: "", Devices: []BcachefsDevice{device(rw, true)}}, "0/0 1/1 unclear"},
	} {
		if got := brief(c.fs.Group()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
