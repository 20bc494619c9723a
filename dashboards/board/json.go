package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// schemaVersion is that of the classic model of dashboards, which every Grafana
// from 9 on reads.
const schemaVersion = 39

// tag marks all dashboards, so that each links to the others.
const tag = "hygiene"

// object is a JSON object. encoding/json sorts its keys.
type object = map[string]any

// source is the data source that the reader chooses.
func source() object { return object{"type": "prometheus", "uid": "${datasource}"} }

// JSON returns a dashboard in the classic model of Grafana, for provisioning and
// for import.
func (b Board) JSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(object{
		"uid": b.UID, "title": b.Title, "description": b.Description,
		"tags": []string{tag}, "editable": false, "graphTooltip": 1, "schemaVersion": schemaVersion,
		"timezone": "browser", "refresh": "1m", "time": object{"from": "now-24h", "to": "now"},
		"annotations": object{"list": []any{}},
		"links": []any{object{
			"type": "dashboards", "tags": []string{tag}, "title": "hygiene", "asDropdown": true,
			"includeVars": true, "keepTime": true, "icon": "external link",
		}},
		"templating": object{"list": b.variables()},
		"panels":     b.panels(),
	})
	return out.Bytes(), err
}

// anchor is a metric that every agent exports.
const anchor = "hygiene_build_info"

func (b Board) variables() []any {
	list := []any{object{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0}}
	for _, name := range b.Variables {
		switch name {
		case "job":
			list = append(list, variable(name, "Job", "label_values("+anchor+", job)", ".+"))
		case "instance":
			list = append(list, variable(name, "Instance", `label_values(`+anchor+`{job=~"$job"}, instance)`, ".+"))
		case "owner":
			// Facts of nobody have no owner at all.
			list = append(list, variable(name, "Owner", `label_values({__name__=~"hygiene_.+", job=~"$job", owner!=""}, owner)`, ".*"))
		}
	}
	return list
}

func variable(name, title, query, all string) object {
	return object{
		"name": name, "label": title, "type": "query", "datasource": source(),
		"definition": query, "query": object{"query": query, "refId": name},
		"refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": all,
		"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
	}
}

// panels lays the panels out from left to right, line by line.
func (b Board) panels() []any {
	list := []any{}
	x, y, line := 0, 0, 0
	for i, p := range b.Panels {
		if x+p.Width > columns {
			x, y, line = 0, y+line, 0
		}
		one := p.json()
		one["id"] = i + 1
		one["gridPos"] = object{"x": x, "y": y, "w": p.Width, "h": p.Height}
		list = append(list, one)
		x, line = x+p.Width, max(line, p.Height)
	}
	return list
}

// columns is the width of a dashboard.
const columns = 24

func (p Panel) json() object {
	if p.Kind == Header {
		return object{"type": "row", "title": p.Title, "collapsed": false, "panels": []any{}}
	}
	one := object{
		"type": string(p.Kind), "title": p.Title, "description": p.Description, "datasource": source(),
		"targets":     p.targets(),
		"fieldConfig": object{"defaults": p.defaults(), "overrides": p.overrides()},
		"options":     p.options(),
	}
	if p.Kind == Table {
		one["transformations"] = p.transformations()
	}
	return one
}

// refID names a query as Grafana does: A, B, C and so on.
func refID(i int) string { return string(rune('A' + i)) }

func (p Panel) targets() []any {
	var list []any
	for i, q := range p.Queries {
		one := object{"refId": refID(i), "datasource": source(), "expr": q.Expr, "editorMode": "code"}
		switch p.Kind {
		case Lines:
			one["range"], one["instant"] = true, false
			one["legendFormat"] = q.Legend
		case Table:
			one["range"], one["instant"], one["format"] = false, true, "table"
		default:
			one["range"], one["instant"] = false, true
			one["legendFormat"] = q.Legend
		}
		list = append(list, one)
	}
	return list
}

func (p Panel) defaults() object {
	steps := p.Steps
	if len(steps) == 0 {
		steps = []Step{{Color: neutral}}
	}
	var colors []any
	for i, step := range steps {
		one := object{"color": step.Color, "value": step.From}
		if i == 0 {
			one["value"] = nil
		}
		colors = append(colors, one)
	}
	mode := "thresholds"
	if p.Kind == Lines {
		mode = "palette-classic"
	}
	one := object{
		"unit": p.Unit, "noValue": p.empty(),
		"color": object{"mode": mode}, "thresholds": object{"mode": "absolute", "steps": colors},
		"mappings": mappings(p.Words),
	}
	if p.Kind == Lines {
		one["custom"] = object{"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false}
		one["min"] = 0
	}
	if p.Kind == Table {
		one["custom"] = object{"filterable": true, "align": "auto"}
	}
	return one
}

// empty is what stands where there is no value.
func (p Panel) empty() string {
	if p.Quiet {
		return "none"
	}
	return "no data"
}

func mappings(words []Word) []any {
	list := []any{}
	if len(words) == 0 {
		return list
	}
	texts := object{}
	for i, word := range words {
		texts[strconv.FormatFloat(word.Value, 'f', -1, 64)] = object{"text": word.Text, "color": word.Color, "index": i}
	}
	return append(list, object{"type": "value", "options": texts})
}

func (p Panel) overrides() []any {
	list := []any{}
	for _, c := range p.Columns {
		if c.Label != "" {
			continue
		}
		properties := []any{object{"id": "unit", "value": c.Unit}}
		if len(c.Words) > 0 {
			properties = append(properties,
				object{"id": "mappings", "value": mappings(c.Words)},
				object{"id": "custom.cellOptions", "value": object{"type": "color-text"}})
		}
		list = append(list, object{"matcher": object{"id": "byName", "options": c.Title}, "properties": properties})
	}
	return list
}

func (p Panel) options() object {
	reduce := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.Kind {
	case Stat:
		return object{"reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "textMode": "auto", "justifyMode": "auto"}
	case Bars:
		return object{"reduceOptions": reduce, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": true}
	case Lines:
		return object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	}
	return object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false}}
}

// transformations bring the values of several queries into one line for each
// object, and leave only the columns that are named.
func (p Panel) transformations() []any {
	rename, order := object{}, object{}
	names := []string{}
	for i, c := range p.Columns {
		field := c.field(len(p.Queries))
		rename[field], order[field] = c.Title, i
		names = append(names, field)
	}
	return []any{
		object{"id": "merge", "options": object{}},
		object{"id": "filterFieldsByName", "options": object{"include": object{"names": names}}},
		object{"id": "organize", "options": object{"excludeByName": object{}, "indexByName": order, "renameByName": rename}},
	}
}

// field is the name that Grafana gives a column before it is renamed.
func (c Column) field(queries int) string {
	switch {
	case c.Label != "":
		return c.Label
	case queries == 1:
		return "Value"
	}
	return fmt.Sprintf("Value #%s", refID(c.Query))
}
