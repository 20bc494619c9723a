package redundancy

import (
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
)

func TestToolsAreChecked(t *testing.T) {
	t.Parallel()
	good := Redfish{Name: "bmc", URL: "https://192.0.2.7", Username: "reader", PasswordFile: "/etc/bmc"}
	for _, test := range []struct {
		name   string
		change func(c *Config)
		want   string // empty: nothing is wrong
	}{
		{"a tool and a service", func(c *Config) {
			c.Tools = []Tool{{"storcli", probes.Duration(time.Hour)}}
			c.Redfish = []Redfish{good}
		}, ""},
		{
			"a tool that nobody knows", func(c *Config) { c.Tools = []Tool{{"storcly", probes.Duration(time.Hour)}} },
			`tools[0].name: "storcly" is no tool; known are arcconf, cli64, dmsetup, drbdsetup, ipmitool, mpt-status, redfish, sas3ircu, sg_ses, ssacli, storcli, teamdctl, tw_cli, zpool`,
		},
		{"a tool that stands twice", func(c *Config) {
			c.Tools = []Tool{{"zpool", probes.Duration(time.Hour)}, {"zpool", probes.Duration(time.Hour)}}
		}, `tools[1].name: "zpool" stands here twice`},
		{
			"a tool that is asked all the time", func(c *Config) { c.Tools = []Tool{{"zpool", probes.Duration(time.Millisecond)}} },
			"tools[0].every: must be at least 1s, not 1ms",
		},
		{
			"a service without a name", func(c *Config) { r := good; r.Name = "a/b"; c.Redfish = []Redfish{r} },
			`redfish[0].name: "a/b" is no name; it has letters, digits, dots and dashes`,
		},
		{
			"a service without encryption", func(c *Config) { r := good; r.URL = "http://192.0.2.7"; c.Redfish = []Redfish{r} },
			"redfish[0].url: must begin with https://: a password goes there",
		},
		{
			"a service with a password in its address", func(c *Config) { r := good; r.URL = "https://a:b@192.0.2.7"; c.Redfish = []Redfish{r} },
			`redfish[0].url: "https://a:b@192.0.2.7" is no address like https://192.0.2.7`,
		},
		{
			"a fingerprint that is none", func(c *Config) { r := good; r.Fingerprint = "abc"; c.Redfish = []Redfish{r} },
			"redfish[0].fingerprint: must be 64 hexadecimal digits, with or without colons",
		},
		{"a pool that may overflow", func(c *Config) { c.PoolFull = 1.5 }, "pool_full: must be above 0 and at most 1, not 1.5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := defaultConfig()
			test.change(c)
			got := ""
			if err := c.Validate(); err != nil {
				got = err.Error()
			}
			if got != test.want && (test.want == "" || !strings.HasSuffix(got, test.want)) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// How full a pool is comes from the device mapper, and how full it may be from
// the configuration.
func TestAPoolIsMeasured(t *testing.T) {
	r := newRig(t)
	r.write("sys/block/dm-1/dm/name", "vg-pool_tdata\n")
	r.world.Programs = map[string]probes.Output{"dmsetup": {Stdout: []byte(
		"vg-pool-tpool: 0 2097152 thin-pool 1 120/1000 97/100 - rw no_discard_passdown queue_if_no_space - 1024\n")}}
	got := map[string]float64{}
	for _, s := range r.run().Samples {
		if s.Metric == poolUsed || s.Metric == poolLimit {
			got[s.Metric.Name[len("hygiene_redundancy_"):]+" "+s.Object()+" "+s.Label("part")] = s.Value
		}
	}
	for series, want := range map[string]float64{
		"pool_used_ratio lvm/vg/pool data": 0.97, "pool_used_ratio lvm/vg/pool metadata": 0.12,
		"pool_used_limit_ratio lvm/vg/pool data": 0.9, "pool_used_limit_ratio lvm/vg/pool metadata": 0.9,
	} {
		if got[series] != want {
			t.Errorf("%s is %g, want %g", series, got[series], want)
		}
	}
}
