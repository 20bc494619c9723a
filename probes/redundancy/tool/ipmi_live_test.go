//go:build live

package tool_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
	"hygiene_exporter/probes/redundancy/tool"
)

// sensor encodes a discrete sensor as a compact record; see section 43.2 of the
// IPMI specification.
func sensor(number, entity, instance, kind, event byte, name string) string {
	body := []byte{
		0x20, 0, number, entity, instance, 0x67, 0x40, kind, event,
		0xff, 0x0f, 0xff, 0x0f, 0xff, 0x0f, // all states can be asserted, deasserted and read
		0xc0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0 | byte(len(name)),
	}
	body = append(body, name...)
	record := append([]byte{number, 0, 0x51, 0x02, byte(len(body))}, body...)
	text := fmt.Sprintf("sensor_add 0x20 0 %d %d %d\nmain_sdr_add 0x20", number, kind, event)
	for _, b := range record {
		text += fmt.Sprintf(" 0x%02x", b)
	}
	return text + fmt.Sprintf("\nsensor_set_event_support 0x20 0 %d enable scanning per-state%s\n", number, strings.Repeat(" 000111111111111", 4))
}

// simulator starts the management controller of OpenIPMI on loopback, and
// returns its port and where it takes commands.
func simulator(t *testing.T) (port int, commands io.Writer) {
	t.Helper()
	dir := t.TempDir()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = conn.LocalAddr().(*net.UDPAddr).Port
	_ = conn.Close()
	for name, content := range map[string]string{
		"lan": fmt.Sprintf(`name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %d
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "reader" "secret" admin 10 none md2 md5 straight
`, port),
		"emu": "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nsel_enable 0x20 1000 0x0a\n" +
			sensor(1, 0x0a, 1, 0x08, 0x6f, "PS1 Status") + sensor(2, 0x0a, 2, 0x08, 0x6f, "PS2 Status") +
			sensor(3, 0x07, 1, 0x08, 0x0b, "PS Redundancy") + "mc_enable 0x20\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "ipmi_sim", "-c", filepath.Join(dir, "lan"), "-f", filepath.Join(dir, "emu"), "-s", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return port, in
}

// What the real ipmitool prints of a management controller is understood: two
// supplies, one that loses its power, and one that is pulled out.
func TestLiveIPMI(t *testing.T) {
	port, commands := simulator(t)
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "dev", "ipmi0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hosts, err := host.New(host.Options{
		Root:  root,
		Specs: []probes.Spec{{Name: "redundancy", Commands: tool.Commands()}},
		Wrappers: map[string][]string{
			"ipmitool": {"ipmitool", "-I", "lan", "-H", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "reader", "-P", "secret"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ name, set, want string }{
		{"both", "1 0 1;2 0 1;3 0 1", "power/bmc tolerates 1/1 active 2/2\n"},
		{"one without power", "2 3 1;3 0 0;3 1 1", "power/bmc tolerates 0/1 active 1/2\n"},
		{"one that failed for good, which is not enough", "2 3 0;2 1 1;3 1 0;3 5 1", "power/bmc tolerates failed/1 active 1/2\n"},
		{"one pulled out", "2 1 0;2 0 0;3 5 0;3 1 1", "power/bmc tolerates 0/1 active 1/1\n"},
		{"both again", "2 0 1;3 1 0;3 0 1", "power/bmc tolerates 1/1 active 2/2\n"},
	} {
		for set := range strings.SplitSeq(step.set, ";") {
			if _, err := fmt.Fprintf(commands, "sensor_set_bit 0x20 0 %s 0\n", set); err != nil {
				t.Fatal(err)
			}
		}
		// The simulator takes commands when it comes to them.
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			h := hosts.For("redundancy")
			h.State = (&state{}).host(t).State // without a memory
			got := told(tool.New(h, h.State, tool.Options{}).Read(t.Context(), time.Now()))
			if got == step.want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %swant %s", step.name, got, step.want)
			}
		}
	}
}
