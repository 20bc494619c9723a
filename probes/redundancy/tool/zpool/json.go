package zpool

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/raid"
)

type jsonPool struct {
	Name    string              `json:"name"`
	State   string              `json:"state"`
	GUID    raid.Word           `json:"pool_guid"`
	Status  string              `json:"status"`
	Scan    jsonScan            `json:"scan_stats"`
	Vdevs   map[string]jsonVdev `json:"vdevs"`
	Logs    map[string]jsonVdev `json:"logs"`
	Special map[string]jsonVdev `json:"special"`
	Dedup   map[string]jsonVdev `json:"dedup"`
	Spares  map[string]jsonVdev `json:"spares"`
	Errors  raid.Word           `json:"error_count"`
}

type jsonVdev struct {
	Name     string              `json:"name"`
	Type     string              `json:"vdev_type"`
	GUID     raid.Word           `json:"guid"`
	State    string              `json:"state"`
	Read     raid.Word           `json:"read_errors"`
	Write    raid.Word           `json:"write_errors"`
	Checksum raid.Word           `json:"checksum_errors"`
	Scanned  raid.Word           `json:"resilver_processed"` // only while it is brought up to date
	Vdevs    map[string]jsonVdev `json:"vdevs"`
}

type jsonScan struct {
	Function string    `json:"function"`
	State    string    `json:"state"`
	End      raid.Word `json:"end_time"`
	Total    raid.Word `json:"to_examine"`
	Done     raid.Word `json:"examined"`
	Issued   raid.Word `json:"issued"`
	Errors   raid.Word `json:"errors"`
}

// JSON reads what "zpool status -j --json-int" prints.
func JSON(data []byte) ([]group.Group, error) {
	var answer struct {
		Pools map[string]jsonPool `json:"pools"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("the output is no JSON: %w", err))
	}
	var pools []pool
	for _, name := range slices.Sorted(maps.Keys(answer.Pools)) {
		pools = append(pools, answer.Pools[name].pool(name))
	}
	return groups(pools), nil
}

func (j jsonPool) pool(name string) pool {
	p := pool{name: name, guid: string(j.GUID), state: j.State, status: j.Status, scan: j.Scan.scan()}
	if p.status == "OK" {
		p.status = ""
	}
	p.errors, _ = count(string(j.Errors))
	for _, root := range list(j.Vdevs) { // the pool itself, with what it is made of
		if len(root.children) == 0 {
			p.tops = append(p.tops, root)
		}
		p.tops = append(p.tops, root.children...)
	}
	p.tops = append(p.tops, list(j.Special)...)
	p.tops = append(p.tops, list(j.Dedup)...)
	p.logs, p.spares = list(j.Logs), list(j.Spares)
	return p
}

// list returns devices in the order of their names; that of JSON is none.
func list(devices map[string]jsonVdev) (all []vdev) {
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		d := devices[name]
		v := vdev{name: name, guid: string(d.GUID), state: d.State, children: list(d.Vdevs)}
		for _, text := range []raid.Word{d.Read, d.Write, d.Checksum} {
			n, _ := count(string(text)) // absent for what has none
			v.errors += n
		}
		if d.Type == "replacing" || d.Type == "spare" {
			old(v.children)
		}
		if d.Scanned != "" && d.Scanned != "0" {
			v.note = "(resilvering)"
		}
		all = append(all, v)
	}
	return all
}

// old brings the disk that is replaced to the front, as the text has it: the one
// that does not work.
func old(children []vdev) {
	slices.SortStableFunc(children, func(a, b vdev) int {
		switch x, y := healthy(a.state), healthy(b.state); {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
}

func (j jsonScan) scan() scan {
	s := scan{resilver: strings.EqualFold(j.Function, "RESILVER"), running: j.State == "SCANNING" || j.State == "ACTIVE"}
	total, err := count(string(j.Total))
	done, errDone := count(string(j.Issued))
	if errDone != nil {
		done, errDone = count(string(j.Done))
	}
	if err == nil && errDone == nil && total > 0 && done <= total {
		s.ratio, s.hasRatio = done/total, true
	}
	if !s.resilver && j.State == "FINISHED" {
		s.ended = instant(string(j.End))
		n, err := count(string(j.Errors))
		s.errors, s.counted = n, err == nil
	}
	return s
}

// instant reads seconds since the epoch, or the date that is printed without
// --json-int, in UTC because the tool runs so.
func instant(text string) time.Time {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return time.Unix(n, 0)
	}
	for _, layout := range []string{time.ANSIC, "Mon Jan _2 15:04:05 MST 2006", "Mon 02 Jan 2006 15:04:05 PM MST"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
