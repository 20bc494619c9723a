package failover

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"hygiene_exporter/probes"
)

// Facts are what the probe of redundancy says of an object now, measured by what
// it remembers of it.
type Facts struct {
	State     string
	Tolerated float64
	Active    float64
	Expected  float64
	Missing   float64
	Down      []string // members that do not do their part, or are not there
	Shared    string   // what all members fail with
	Doubt     string   // why it may be worse than it seems
	Fault     error    // why nothing is known
	known     bool
}

// FactsOf picks those of one object from samples of the probe of redundancy. The
// fault is why the object could not be looked at; nil when it was.
func FactsOf(object string, samples []probes.Sample, fault error) Facts {
	f := Facts{Fault: fault}
	for _, s := range samples {
		if s.Object() != object {
			continue
		}
		switch s.Metric.Name {
		case "hygiene_redundancy_state":
			if s.Value == 1 {
				f.State = s.Label("state")
			}
		case "hygiene_redundancy_failures_tolerated":
			f.Tolerated, f.known = s.Value, true
		case "hygiene_redundancy_members_active":
			f.Active = s.Value
		case "hygiene_redundancy_members_expected":
			f.Expected = s.Value
		case "hygiene_redundancy_members_missing":
			f.Missing = s.Value
		case "hygiene_redundancy_member_active":
			if s.Value == 0 {
				f.Down = append(f.Down, s.Label(probes.LabelMember))
			}
		case "hygiene_redundancy_shared_failure_domain":
			f.Shared = s.Label("domain")
		case "hygiene_redundancy_unverifiable":
			f.Doubt = s.Label("reason")
		}
	}
	return f
}

// Refuse returns why an object must not be failed over; nil if it may. It must be
// whole, as far as the baseline knows, and survive the loss of a member. What it
// would not survive is the failure of something that all members share, such as a
// card with two ports: that is how it was built, and no failover touches it.
func (f Facts) Refuse(object string) error {
	built := f.Shared != "" && f.State == "none" && f.Active > 1
	switch {
	case f.Fault != nil:
		return fmt.Errorf("%s could not be looked at: %w", object, f.Fault)
	case f.State == "":
		return fmt.Errorf("the probe redundancy knows no %s", object)
	case f.Doubt != "":
		return fmt.Errorf("whether %s is whole is not certain: %s", object, f.Doubt)
	case f.Missing > 0 || f.Active < f.Expected:
		why := fmt.Sprintf("%s is not whole: %.0f of %.0f members do their part", object, f.Active, f.Expected)
		if len(f.Down) > 0 {
			why += ", without " + strings.Join(f.Down, ", ")
		}
		return errors.New(why)
	case !f.known || f.Tolerated < 1 && !built:
		return fmt.Errorf("%s would not survive the loss of a member: its state is %s", object, f.State)
	case f.State != "redundant" && !built:
		return fmt.Errorf("the state of %s is %s, and not redundant", object, cmp.Or(f.State, "unknown"))
	}
	return nil
}
