package megaraid

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// A Checks is what the tools say of the two ways in which a controller reads all
// disks in turn: the patrol read finds sectors that cannot be read, and the
// consistency check compares. Either is the outputs of one command; both may be
// empty.
type Checks struct{ Patrol, Consistency []byte }

// check is one of the two on one controller.
type check struct {
	known    bool
	text     string    // the words of the tool
	count    int       // how many whole ones there were
	last     time.Time // when the last one began, by the clock of the controller; zero if that is not known
	excluded []string  // numbers of volumes
}

// clock is the form in which the tools write times.
const clock = "01/02/2006, 15:04:05"

var digits = regexp.MustCompile(`\d+`)

// newCheck reads the properties of a check. Tools and checks differ in the
// first words of a property.
func newCheck(properties [][2]string) (c check) {
	var (
		next    time.Time
		delay   int
		running bool
		words   []string
	)
	for _, p := range properties {
		key, value := strings.ToLower(p[0]), strings.TrimSpace(p[1])
		has := func(part string) bool { return strings.Contains(key, part) }
		switch {
		case has("iterations"):
			n, err := strconv.Atoi(value)
			c.known, c.count = err == nil && n >= 0, max(0, n)
		case has("next start"):
			next, _ = time.Parse(clock, value) // zero where there is no schedule
		case has("execution delay"):
			delay, _ = strconv.Atoi(digits.FindString(value))
		case has("current state"):
			running = strings.HasPrefix(strings.ToLower(value), "active")
		case has("excluded"):
			c.excluded = digits.FindAllString(value, -1)
		case !has("mode"):
			continue
		}
		words = append(words, p[0]+" "+value)
	}
	c.text = strings.Join(words, ", ")
	// While one runs it is not clear whether the next one is the one after it.
	if c.count > 0 && !next.IsZero() && delay > 0 && !running {
		c.last = next.Add(-time.Duration(delay) * time.Hour)
	}
	return c
}

// jsonChecks returns the check of each controller from the JSON of storcli.
func jsonChecks(data []byte) map[string]check {
	var a answer
	if json.Unmarshal(data, &a) != nil {
		return nil // it is not known when anything was checked
	}
	all := map[string]check{}
	for _, c := range a.Controllers {
		var said struct {
			Properties []struct {
				Name  string    `json:"Ctrl_Prop"`
				Value raid.Word `json:"Value"`
			} `json:"Controller Properties"`
		}
		_ = json.Unmarshal(c.Data, &said) // as above
		var properties [][2]string
		for _, p := range said.Properties {
			properties = append(properties, [2]string{p.Name, string(p.Value)})
		}
		all["c"+string(c.Status.Controller)] = newCheck(properties)
	}
	return all
}

var checkedAdapter = regexp.MustCompile(`^\s*Adapter #?(\d+)\b`)

// textChecks returns the check of each controller from what MegaCli prints.
func textChecks(data []byte) map[string]check {
	properties, adapter := map[string][][2]string{}, ""
	for line := range strings.Lines(string(data)) {
		if m := checkedAdapter.FindStringSubmatch(line); m != nil {
			adapter = m[1]
			continue
		}
		if key, value, ok := raid.Pair(line); ok && adapter != "" {
			properties[adapter] = append(properties[adapter], [2]string{key, value})
		}
	}
	all := map[string]check{}
	for number, said := range properties {
		all["c"+number] = newCheck(said)
	}
	return all
}

// checked says of a volume when all its data were read. Either check does that.
// The clock of the controller is ahead of that of the host by so much; if that is
// not known, nothing is dated.
func checked(g *group.Group, id string, ahead *time.Duration, checks ...check) {
	if g.Design == 0 || g.Err != nil {
		return // what cannot be read could not be made good
	}
	s := group.Scrub{Possible: true}
	for _, c := range checks {
		if !c.known {
			return // a count that lacks one would seem to grow when it is back
		}
		g.Note("The controller checks: %s.", c.text)
		if slices.Contains(c.excluded, id) {
			continue
		}
		s.Count += c.count
		if ahead == nil || c.last.IsZero() {
			continue
		}
		if last := c.last.Add(-*ahead); last.After(s.Last) {
			s.Last = last
		}
	}
	g.Scrub = s
}
