package apt

import (
	"strings"
	"testing"
)

// What apt said of each scenario is recorded in it; the live tests ask again.
func TestScenariosAsAptSeesThem(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			said := strings.FieldsFunc(s.file("apt"), func(r rune) bool { return r == '\n' })
			if len(said) == 0 {
				t.Fatal("apt was never asked; run the live tests with -update")
			}
			if diff := compare(said, verdicts(read(t, s.build(t)))); diff != "" {
				t.Errorf("%s (-apt +reader):\n%s", s.archive.Comment, diff)
			}
		})
	}
}
