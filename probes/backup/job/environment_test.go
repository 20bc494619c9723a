package job_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/rootfs"
)

func TestEnvironment(t *testing.T) {
	files := rootfs.New(rootfs.Paths{})
	name := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(name, []byte("# keys\nexport KEY_A='a b'\nKEY_B=\"b\"\nLD_PRELOAD=/x\nXKEY_A=x\nKEY_AB=y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	values, err := job.Environment(files, name)
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`KEY_A|KEY_B`)
	given, others := job.Assignments(values, names)
	if given != "KEY_A=a b\nKEY_B=b\n" {
		t.Errorf("given is %q", given)
	}
	if diff := cmp.Diff([]string{"KEY_AB", "LD_PRELOAD", "XKEY_A"}, others); diff != "" {
		t.Error(diff)
	}
	notes := job.Withheld("x", others, regexp.MustCompile(`LD_.*|KEY_`))
	if diff := cmp.Diff([]string{"x is not given the variables KEY_AB, XKEY_A"}, notes); diff != "" {
		t.Error(diff)
	}
	if notes := job.Withheld("x", others, regexp.MustCompile(`.*`)); notes != nil {
		t.Error(notes)
	}
	if pattern := regexp.MustCompile(`\A(?:` + job.Variables(names).String() + `)\z`); !pattern.MatchString(given) || !pattern.MatchString("") || pattern.MatchString("LD_PRELOAD=/x\n"+given) {
		t.Errorf("%s does not match what is given alone", pattern)
	}
	if _, err := job.Environment(files, name+"s"); answer(err) != "unknown auth" {
		t.Errorf("a file that is not there: %v", err)
	}
	if values, err := job.Environment(files, ""); err != nil || len(values) > 0 {
		t.Errorf("no file: %v %v", values, err)
	}
}
