package certificate

import (
	"math/rand/v2"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes/certificate/bundle"
)

func living(life time.Duration) bundle.Certificate {
	return bundle.Certificate{NotBefore: begin, NotAfter: begin.Add(life)}
}

func TestDefaultDeadlinesFitEveryLife(t *testing.T) {
	for _, c := range []struct {
		life                   time.Duration
		due, overdue, critical time.Duration // before the end
	}{
		{time.Hour, 1188 * time.Second, 15 * time.Minute, 450 * time.Second},
		{day, 28512 * time.Second, 6 * time.Hour, 3 * time.Hour},
		{3 * day, 85536 * time.Second, 18 * time.Hour, 9 * time.Hour},
		{6 * day, 171072 * time.Second, 36 * time.Hour, 18 * time.Hour},
		{160 * time.Hour, 190080 * time.Second, 40 * time.Hour, 20 * time.Hour},
		{45 * day, 1283040 * time.Second, 270 * time.Hour, 108 * time.Hour},
		{64 * day, 1824768 * time.Second, 384 * time.Hour, 552960 * time.Second},
		{90 * day, 2566080 * time.Second, 540 * time.Hour, 216 * time.Hour},
		{398 * day, 11347776 * time.Second, 2388 * time.Hour, 3438720 * time.Second},
		{7300 * day, 208137600 * time.Second, 1825 * day, 730 * day},
	} {
		d := Renew{}.withDefaults().deadlines(living(c.life))
		end := begin.Add(c.life)
		if d.due != end.Add(-c.due) || d.overdue != end.Add(-c.overdue) || d.critical != end.Add(-c.critical) {
			t.Errorf("a life of %s: due %s, overdue %s, critical %s before the end, want %s, %s, %s",
				c.life, end.Sub(d.due), end.Sub(d.overdue), end.Sub(d.critical), c.due, c.overdue, c.critical)
		}
	}
}

// Whatever certificate and policy: deadlines come in their order, none before
// 1970 for a certificate after it, and none after the end.
func TestDeadlinesNeverFall(t *testing.T) {
	margin := func() Margin {
		switch rand.IntN(3) {
		case 0:
			return Margin{}
		case 1:
			return Margin{Percent: 1 + 98*rand.Float64()}
		}
		return Margin{Fixed: time.Duration(rand.Int64N(int64(1000 * day)))}
	}
	for range 20_000 {
		c := bundle.Certificate{NotBefore: begin.Add(time.Duration(rand.Int64N(int64(1000*day)) - int64(500*day)))}
		c.NotAfter = c.NotBefore.Add(time.Duration(rand.Int64N(int64(9000*day)) - int64(10*day)))
		if rand.IntN(10) == 0 {
			c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280: no end
		}
		policy := Renew{Due: margin(), Overdue: margin(), Critical: margin()}.withDefaults()
		for name, d := range map[string]deadlines{"leaf": policy.deadlines(c), "chain": chainDeadlines(c)} {
			if d.due.After(d.overdue) || d.overdue.After(d.critical) || d.critical.After(c.NotAfter) {
				t.Fatalf("%s of %s to %s with %+v: %+v", name, c.NotBefore, c.NotAfter, policy, d)
			}
		}
	}
}

func TestMarginsAreSharesOrTimes(t *testing.T) {
	for text, want := range map[string]Margin{
		"33%": {Percent: 33}, "0.5%": {Percent: 0.5}, "30d": {Fixed: 30 * day}, "36h": {Fixed: 36 * time.Hour}, `""`: {},
	} {
		var m Margin
		if err := yaml.Unmarshal([]byte(text), &m); err != nil || m != want {
			t.Errorf("%s: got %+v, %v", text, m, err)
		}
		written, err := yaml.Marshal(m)
		if err != nil {
			t.Error(err)
		}
		var back Margin
		if err := yaml.Unmarshal(written, &back); err != nil || back != m {
			t.Errorf("%s is written as %s", text, written)
		}
	}
	for text, want := range map[string]string{
		"0%":    `yaml: unmarshal errors:` + "\n" + `  line 1: "0%" is not a share between 0% and 100%`,
		"100%":  `yaml: unmarshal errors:` + "\n" + `  line 1: "100%" is not a share between 0% and 100%`,
		"-1%":   `yaml: unmarshal errors:` + "\n" + `  line 1: "-1%" is not a share between 0% and 100%`,
		"x%":    `yaml: unmarshal errors:` + "\n" + `  line 1: "x%" is not a share between 0% and 100%`,
		"soon":  `yaml: unmarshal errors:` + "\n" + `  line 1: "soon" is neither a share like 33% nor a time like 30d`,
		"NaN%":  `yaml: unmarshal errors:` + "\n" + `  line 1: "NaN%" is not a share between 0% and 100%`,
		"[33%]": `yaml: unmarshal errors:` + "\n" + `  line 1: must be a share like 33% or a time like 30d`,
	} {
		var m Margin
		if err := yaml.Unmarshal([]byte(text), &m); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, %v", text, m, err)
		}
	}
}

func TestTheDefaultsAreValid(t *testing.T) {
	if err := defaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"max_file_size: must be above 0, not 0":                                         func(c *Config) { c.MaxFileSize = 0 },
		"max_files: must be above 0, not -1":                                            func(c *Config) { c.MaxFiles = -1 },
		"trust_store_size: must be above 0, not 0":                                      func(c *Config) { c.TrustStoreSize = 0 },
		"sources[0].name: is missing":                                                   func(c *Config) { c.Sources[0].Name = "" },
		"sources[0].paths: is missing; name files, directories or patterns":             func(c *Config) { c.Sources[0].Paths = nil },
		`sources[0].paths[0]: "a.pem" is not an absolute path`:                          func(c *Config) { c.Sources[0].Paths = []string{"a.pem"} },
		`sources[0].paths[0]: "/[" is not a valid pattern`:                              func(c *Config) { c.Sources[0].Paths = []string{"/["} },
		`sources[0].paths[0]: "/{a/b,c}" has a slash inside braces; write two patterns`: func(c *Config) { c.Sources[0].Paths = []string{"/{a/b,c}"} },
		`sources[0].exclude[0]: "[" is not a valid pattern`:                             func(c *Config) { c.Sources[0].Exclude = []string{"["} },
		`sources[1].name: "system" is the name of an earlier source too`:                func(c *Config) { c.Sources = append(c.Sources, c.Sources[0]) },
		"sources[0].renew.overdue: 40% is earlier than due, which is 33%":               func(c *Config) { c.Sources[0].Renew.Overdue.Percent = 40 },
		"sources[0].renew.critical: 40d is earlier than overdue, which is 30d": func(c *Config) {
			c.Sources[0].Renew = Renew{Overdue: Margin{Fixed: 30 * day}, Critical: Margin{Fixed: 40 * day}}
		},
		`sources[0].passwords_file: "a/b" is neither an absolute path nor the name of a credential`:               func(c *Config) { c.Sources[0].PasswordsFile = "a/b" },
		`sources[0].renew.profile: "certbot" is not one of ["kubelet" "swarm" "vault" "last_month" "last_weeks"]`: func(c *Config) { c.Sources[0].Renew.Profile = "certbot" },
		`overrides[0]: fits everything; name paths or issuers, or set authorities`:                                func(c *Config) { c.Overrides = []Override{{Owner: "x"}} },
		`overrides[0]: changes nothing; set owner, renew or max_lifetime`:                                         func(c *Config) { c.Overrides = []Override{{Authorities: true}} },
		`overrides[0].issuers[0]: "[" is not a valid pattern`:                                                     func(c *Config) { c.Overrides = []Override{{Issuers: []string{"["}, Owner: "x"}} },
		`trust[0]: "ca.pem" is not an absolute path`:                                                              func(c *Config) { c.Trust = []string{"ca.pem"} },
		"timeout: must be above 0 and below the interval of 5m, not 0s":                                           func(c *Config) { c.Timeout = 0 },
	} {
		c := defaultConfig()
		change(c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
