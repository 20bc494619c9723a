package ses_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/ses"
)

// Pages as sg_ses printed them, of an enclosure with four bays, two power supplies
// and three fans.
const (
	configuration = "010000430000000011000324" + "5001405e00000001" +
		"4558414d504c4520456e636c6f7375726520202020202020312e3020" + "170400030202000503030003" + "626179706f77657266616e"
	status = "0200003400000000" + "00000000" + "01000000010000000100000001000000" + "00000000" + "01000000" + "01000000" +
		"00000000" + "010000000100000001000000"
)

func bytes(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func text(groups []group.Group, err error) string {
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s tolerates %d/%d of %d:", g.Object(), g.Tolerated, g.Design, g.Expected)
		for _, m := range g.Members {
			fmt.Fprintf(&b, " [%s: %s", m.Name, m.State)
			if m.Active {
				b.WriteString(", active")
			}
			b.WriteString("]")
		}
		if g.Err != nil {
			fmt.Fprintf(&b, " unclear: %v", g.Err)
		}
		b.WriteString("\n")
	}
	if err != nil {
		fmt.Fprintf(&b, "%v\n", err)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	power := strings.Index(status, "00000000"+"01000000"+"01000000"+"00000000")
	set := func(first, second string) string {
		return status[:power+8] + first + "000000" + second + "000000" + status[power+24:]
	}
	const fans = "enclosure/0x5001405e00000001/cooling tolerates 1/1 of 3: [fan 0: OK, active] [fan 1: OK, active] [fan 2: OK, active]\n"
	const supplies = "enclosure/0x5001405e00000001/power tolerates "
	for _, c := range []struct{ name, configuration, status, want string }{
		{"all in order", configuration, status, supplies + "1/1 of 2: [power supply 0: OK, active] [power supply 1: OK, active]\n" + fans},
		{"one supply has failed", configuration, set("01", "02"), supplies + "0/1 of 2: [power supply 0: OK, active] [power supply 1: critical]\n" + fans},
		{"one is not there", configuration, set("01", "05"), supplies + "0/0 of 1: [power supply 0: OK, active] [power supply 1: not installed]\n" + fans},
		{"both have failed", configuration, set("04", "02"), supplies + "-1/1 of 2: [power supply 0: unrecoverable] [power supply 1: critical]\n" + fans},
		{"one predicts its failure", configuration, set("43", "01"), supplies + "1/1 of 2: [power supply 0: noncritical, it predicts a failure, active] [power supply 1: OK, active]\n" + fans},
		{
			"a code that nobody knows", configuration, set("0f", "01"),
			supplies + `0/0 of 1: [power supply 0: code 15] [power supply 1: OK, active] unclear: the status of power supply 0 is "code 15", which is not understood` + "\n" + fans,
		},
		{"the enclosure changed", configuration, status[:14] + "07" + status[16:], "the enclosure changed while it was asked\n"},
		{"the status is cut off", configuration, status[:40], "page 2 is shorter than it says\n"},
		{"another page", status, status, "this is no page 1 of an enclosure\n"},
		{"nothing", "", "", "this is no page 1 of an enclosure\n"},
	} {
		got := text(ses.Parse(bytes(t, c.configuration), bytes(t, c.status)))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Whatever an enclosure says, nothing panics, and no group survives more than by
// design.
func FuzzParse(f *testing.F) {
	f.Add(bytes(f, configuration), bytes(f, status))
	f.Fuzz(func(t *testing.T, configuration, status []byte) {
		groups, _ := ses.Parse(configuration, status)
		for _, g := range groups {
			if g.Tolerated > g.Design || g.Active() > g.Expected {
				t.Errorf("too much: %+v", g)
			}
		}
	})
}
