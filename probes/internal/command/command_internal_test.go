package command

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// example declares commands whose programs every host has, and one that none
// has.
func example() []probes.Spec {
	return []probes.Spec{
		{Name: "p", Commands: []probes.Command{
			{Entry: "say", Argv: []string{"echo", "said:{0}"}, Objects: patterns("[a-z ]+")},
			{Entry: "id", Argv: []string{"id", "-u"}, Privileged: true},
			{Entry: "told", Argv: []string{"printenv", "WORD"}, Objects: patterns("[a-z]+"), Secrets: map[string]string{"WORD": "/secrets/{0}"}},
			{Entry: "given", Argv: []string{"printenv", "KEY_A", "{0}"}, Objects: patterns("[A-Z_]+", `(KEY_[A-Z]+=[^\x00\n]*\n)*`), Environment: "{1}"},
			{Entry: "through", Through: []string{"env", "X=1"}, Argv: []string{"printenv", "X"}},
			{Entry: "absent", Through: []string{"env", "X=1"}, Argv: []string{"no-such-program"}},
			{Entry: "missing", Argv: []string{"no-such-program"}, Privileged: true},
		}},
		{Name: "q"},
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: closed, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
	for _, test := range []struct {
		name    string
		options Options
		probe   string // default p
		call    []string
		want    string // stdout
		reason  probes.Reason
		text    string
	}{
		{name: "a command runs", options: Options{Own: true}, call: []string{"say", "a b"}, want: "said:a b\n"},
		{
			name: "an object that is not allowed is refused", options: Options{Own: true},
			call: []string{"say", "A"}, reason: probes.Malformed, text: `command say: "A" is no object that it may be given`,
		},
		{
			name: "an undeclared command is refused", options: Options{Own: true},
			call: []string{"rm"}, reason: probes.Other, text: `probe p declares no command "rm"`,
		},
		{
			name: "a command of another probe is refused", options: Options{Own: true}, probe: "q",
			call: []string{"say", "a"}, reason: probes.Other, text: `probe q declares no command "say"`,
		},
		{
			name: "outside its root nothing runs", options: Options{Root: true},
			call: []string{"say", "a"}, reason: probes.Unavailable,
			text: "tool_outside_root: echo belongs to another root than the agent's; name a wrapper for it under commands",
		},
		{
			name: "outside its root a wrapper runs", options: Options{Wrappers: map[string][]string{"echo": {"env", "--", "echo", "wrapped"}}},
			call: []string{"say", "a"}, want: "wrapped said:a\n",
		},
		{
			name: "a wrapper may be nothing but the place of the program", options: Options{Own: true, Wrappers: map[string][]string{"echo": {"/bin/echo"}}},
			call: []string{"say", "a"}, want: "said:a\n",
		},
		{name: "a secret is in the environment, without its line end", options: Options{Own: true, Read: secrets}, call: []string{"told", "good"}, want: "open sesame\n"},
		{name: "an environment", options: Options{Own: true}, call: []string{"given", "KEY_B", "KEY_A=one two\nKEY_B=" + strings.Repeat("x", 5000) + "\n"}, want: "one two\n" + strings.Repeat("x", 5000) + "\n"},
		{
			name: "an environment of another name is not told", options: Options{Own: true}, call: []string{"given", "KEY_B", "KEY_A=sesame\nLD_PRELOAD=/sesame\n"},
			reason: probes.Malformed, text: "command given: it may not be given such an environment",
		},
		{
			name: "a secret that is not there", options: Options{Own: true, Read: secrets}, call: []string{"told", "none"},
			reason: probes.Auth, text: "the file of a secret, /secrets/none, does not exist",
		},
		{
			name: "an empty secret", options: Options{Own: true, Read: secrets}, call: []string{"told", "empty"},
			reason: probes.Auth, text: "the file of a secret, /secrets/empty, is empty or holds no text",
		},
		{
			name: "a secret that may not be read", options: Options{Own: true, Read: secrets}, call: []string{"told", "closed"},
			reason: probes.PermissionDenied, text: "the file of a secret: permission denied",
		},
		{name: "a program is started through another", options: Options{Own: true}, call: []string{"through"}, want: "1\n"},
		{
			name: "a wrapper replaces what is started through another", call: []string{"through"}, want: "1\n",
			options: Options{Wrappers: map[string][]string{"printenv": {"env", "Y=2", "printenv"}}},
		},
		{
			name: "it is the program that is not installed", options: Options{Own: true}, call: []string{"absent"},
			reason: probes.NotFound, text: "no-such-program is not installed",
		},
		{name: "root runs privileged commands itself", options: Options{Own: true, Root: true}, call: []string{"id"}, want: uid()},
		{
			name: "without a helper the fault says what is missing", options: Options{Own: true, Socket: "/nowhere/helper.sock"},
			call: []string{"id"}, reason: probes.PermissionDenied,
			text: "p/id needs root: install the helper unit hygiene_exporter-helper.socket (there is no /nowhere/helper.sock)",
		},
		{
			name: "a helper that does not run is unavailable", options: Options{Own: true, Socket: closed},
			call: []string{"id"}, reason: probes.Unavailable,
			text: "p/id needs the root helper, which does not run: dial unix " + closed + ": connect: connection refused",
		},
		{
			name: "a tool that is not installed needs no helper", options: Options{Own: true, Socket: closed},
			call: []string{"missing"}, reason: probes.NotFound, text: "no-such-program is not installed",
		},
		{
			name: "a wrapper goes before the helper", options: Options{Own: true, Socket: closed, Wrappers: map[string][]string{"id": {"echo"}}},
			call: []string{"id"}, want: "-u\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.options.Specs = example()
			broker, err := New(test.options)
			must(t, err)
			if test.probe == "" {
				test.probe = "p"
			}
			out, err := broker.For(test.probe).Run(t.Context(), test.call[0], test.call[1:]...)
			if string(out.Stdout) != test.want || (err == nil) != (test.reason == "") {
				t.Fatalf("Run = %q, %v; want %q", out.Stdout, err, test.want)
			}
			if err != nil && (err.Error() != test.text || probes.ReasonOf(err) != test.reason) {
				t.Errorf("error of reason %s:\n%v\nwant %s:\n%s", probes.ReasonOf(err), err, test.reason, test.text)
			}
		})
	}
}

// secrets reads a file of a secret.
func secrets(path string, _ int64) ([]byte, error) {
	switch path {
	case "/secrets/good":
		return []byte("open sesame\r\n"), nil
	case "/secrets/empty":
		return []byte("\n"), nil
	case "/secrets/closed":
		return nil, fs.ErrPermission
	}
	return nil, fs.ErrNotExist
}

// uid is what id -u prints for the user of the tests.
func uid() string {
	return strconv.Itoa(os.Geteuid()) + "\n"
}

func TestWrappersAreReplacedWhole(t *testing.T) {
	t.Parallel()
	broker, err := New(Options{Specs: example(), Wrappers: map[string][]string{"echo": {"echo", "first"}}})
	must(t, err)
	run := func() string {
		out, err := broker.For("p").Run(t.Context(), "say", "a")
		if err != nil {
			return err.Error()
		}
		return string(out.Stdout)
	}
	err = broker.Wrap(map[string][]string{"echo": {"echo", "second"}, "zpol": {"/sbin/zpool"}, "id": nil})
	want := "id: names no program\nzpol: no probe runs a program of this name; known are [echo id no-such-program printenv]"
	if err == nil || err.Error() != want {
		t.Errorf("Wrap = %v; want %s", err, want)
	}
	if got := run(); got != "first said:a\n" {
		t.Errorf("after a refused change: %q", got)
	}
	must(t, broker.Wrap(map[string][]string{"echo": {"echo", "second"}}))
	if got := run(); got != "second said:a\n" {
		t.Errorf("after a change: %q", got)
	}
	must(t, broker.Wrap(nil))
	if got := run(); !strings.HasPrefix(got, "tool_outside_root: ") {
		t.Errorf("without wrappers: %q", got)
	}
}

func TestNewComplains(t *testing.T) {
	t.Parallel()
	broken := one(probes.Command{Entry: "e", Argv: []string{"x", "{0}"}})
	if broker, err := New(Options{Specs: broken}); err == nil || broker != nil {
		t.Errorf("New with a broken declaration = %v, %v", broker, err)
	}
	_, err := New(Options{Specs: example(), Wrappers: map[string][]string{"echo": {}}})
	if diff := cmp.Diff("commands.echo: names no program", err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
