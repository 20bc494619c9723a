package zpool

import (
	"regexp"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

// Text reads what "zpool status" prints.
func Text(data []byte) []group.Group {
	p := textParser{}
	for line := range strings.Lines(string(data)) {
		p.line(strings.TrimRight(line, "\n"))
	}
	for i := range p.pools {
		p.pools[i].finish()
	}
	var pools []pool
	for _, t := range p.pools {
		pools = append(pools, t.pool)
	}
	return groups(pools)
}

type textParser struct {
	pools   []*textPool
	section string
}

// textPool is a pool with the lines of its configuration.
type textPool struct {
	pool
	rows []row
}

type row struct {
	indent int
	fields []string
}

var (
	headLine = regexp.MustCompile(`^ {0,7}(pool|state|status|action|see|scan|scrub|remove|expand|checkpoint|config|errors): ?(.*)$`)
	endTime  = regexp.MustCompile(` on (\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})`)
	errorsIn = regexp.MustCompile(`with (\d+) errors`)
	dataLost = regexp.MustCompile(`^(\d+) (?:data|recent) errors`)
)

func (p *textParser) line(line string) {
	if m := headLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(line, "\t") {
		p.head(m[1], m[2])
		return
	}
	if len(p.pools) == 0 {
		return
	}
	now := p.pools[len(p.pools)-1]
	switch p.section {
	case "config":
		now.row(strings.TrimPrefix(line, "\t"), line)
	case "status":
		now.status += " " + strings.TrimSpace(line)
	case "scan", "scrub":
		if ratio, ok := raid.Percent(line); ok {
			now.scan.ratio, now.scan.hasRatio = ratio, true
		}
	}
}

func (p *textParser) head(key, value string) {
	if p.section = key; key == "pool" {
		p.pools = append(p.pools, &textPool{pool: pool{name: value}})
		return
	}
	if len(p.pools) == 0 {
		return
	}
	now := p.pools[len(p.pools)-1]
	switch key {
	case "state":
		now.state = strings.TrimSpace(value)
	case "status":
		now.status = value
	case "scan", "scrub":
		now.scan = scanOf(value)
	case "errors":
		if m := dataLost.FindStringSubmatch(value); m != nil {
			now.errors, _ = count(m[1])
		} else if strings.HasPrefix(value, "Permanent errors") {
			now.errors = 1
		}
	}
}

// scanOf reads "scrub repaired 0B in 00:00:01 with 0 errors on Sun Nov 10
// 00:24:02 2024", or "resilver in progress since …".
func scanOf(text string) (s scan) {
	s.resilver = strings.HasPrefix(text, "resilver")
	s.running = strings.Contains(text, "in progress")
	if m := endTime.FindStringSubmatch(text); m != nil && !s.resilver {
		s.ended = instant(m[1])
		if m := errorsIn.FindStringSubmatch(text); m != nil {
			n, err := count(m[1])
			s.errors, s.counted = n, err == nil
		}
	}
	if ratio, ok := raid.Percent(text); ok {
		s.ratio, s.hasRatio = ratio, true
	}
	return s
}

// row takes in a line of the configuration.
func (t *textPool) row(text, line string) {
	fields := strings.Fields(text)
	if len(fields) == 0 || fields[0] == "NAME" || !strings.HasPrefix(line, "\t") {
		return
	}
	t.rows = append(t.rows, row{indent: raid.Indent(text), fields: fields})
}

// finish builds the tree from the lines.
func (t *textPool) finish() {
	class := ""
	var top, leaf *vdev
	for _, r := range t.rows {
		if r.indent == 0 {
			switch name := r.fields[0]; {
			case len(r.fields) == 1: // logs, cache, spares, special, dedup
				class = name
			default:
				class = "data" // the pool itself
			}
			top, leaf = nil, nil
			continue
		}
		into := t.class(class)
		if into == nil {
			continue
		}
		switch {
		case r.indent <= 2 || top == nil:
			*into = append(*into, r.vdev())
			top, leaf = &(*into)[len(*into)-1], nil
		case r.indent <= 4 || leaf == nil:
			top.children = append(top.children, r.vdev())
			leaf = &top.children[len(top.children)-1]
		default:
			leaf.children = append(leaf.children, r.vdev())
		}
	}
}

// class returns where devices of a class belong; nil for those that may fail
// without harm.
func (t *textPool) class(name string) *[]vdev {
	switch name {
	case "data", "special", "dedup":
		return &t.tops
	case "logs":
		return &t.logs
	case "spares":
		return &t.spares
	}
	return nil
}

func (r row) vdev() vdev {
	v := vdev{name: r.fields[0]}
	if len(r.fields) > 1 {
		v.state = r.fields[1]
	}
	rest := r.fields[min(2, len(r.fields)):]
	for len(rest) > 0 && len(r.fields)-len(rest) < 5 {
		n, err := count(rest[0])
		if err != nil {
			break
		}
		v.errors += n
		rest = rest[1:]
	}
	v.note = strings.Join(rest, " ")
	return v
}
