package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStateDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const unusable = "/proc/self/no/such/place"
	for _, test := range []struct {
		name, flag, system string
		env                map[string]string
		want               string
	}{
		{name: "the flag decides", flag: "relative/and/unusable", system: dir, want: "relative/and/unusable"},
		{name: "the directory of the service is used when it is there", system: dir, env: map[string]string{"HOME": "/home/kim"}, want: dir},
		{name: "the directory of the service is used when it can be made", system: dir + "/new", want: dir + "/new"},
		{name: "a file is no directory", system: file, env: map[string]string{"HOME": "/home/kim"}, want: "/home/kim/.local/state/hygiene_exporter"},
		{name: "the user's directory comes next", system: unusable, env: map[string]string{"HOME": "/home/kim"}, want: "/home/kim/.local/state/hygiene_exporter"},
		{name: "the user may have named another one", system: unusable, env: map[string]string{"HOME": "/home/kim", "XDG_STATE_HOME": "/state"}, want: "/state/hygiene_exporter"},
		{name: "a relative one is ignored", system: unusable, env: map[string]string{"HOME": "/home/kim", "XDG_STATE_HOME": "state"}, want: "/home/kim/.local/state/hygiene_exporter"},
		{name: "otherwise there is none", system: unusable, env: map[string]string{"HOME": ""}, want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := stateDir(test.flag, test.system, func(name string) string { return test.env[name] }); got != test.want {
				t.Errorf("stateDir = %q; want %q", got, test.want)
			}
		})
	}
	if _, err := os.Lstat(dir + "/new"); !os.IsNotExist(err) {
		t.Errorf("looking for a directory made one: %v", err)
	}
	if got := StateDir("here"); got != "here" {
		t.Errorf("StateDir = %q; want the flag", got)
	}
}
