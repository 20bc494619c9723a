package apt

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/apt/deb822"
)

// An entry is what dpkg knows of one package (the status file, dpkg(1)).
type entry struct {
	name, arch, version string
	want, state         string // the first and the third word of the status
	stanza              deb822.Stanza
}

// installed reports whether the package is there, whatever is wanted of it and
// however far dpkg has come with it.
func (e entry) installed() bool {
	return e.version != "" && e.state != "not-installed" && e.state != "config-files"
}

// readStatus reads the packages of one file of dpkg's.
func readStatus(source io.Reader, each func(entry)) error {
	scanner := deb822.NewScanner(source)
	for scanner.Next() {
		e := entry{state: "installed", stanza: scanner.Stanza()} // status.d of images without dpkg has no status
		e.stanza.Fields(func(name, value []byte) bool {
			switch strings.ToLower(string(name)) {
			case "package":
				e.name = string(value)
			case "architecture":
				e.arch = string(value)
			case "version":
				e.version = string(value)
			case "status":
				if words := strings.Fields(string(value)); len(words) == 3 {
					e.want, e.state = words[0], words[2]
				}
			}
			return true
		})
		if e.name == "" {
			return probes.Because(probes.Malformed, fmt.Errorf("a stanza without a name: %.60q", e.stanza))
		}
		each(e)
	}
	return scanner.Err()
}

// A database is where dpkg keeps what it knows.
type database struct {
	status  string // the file
	entries map[string]entry
	order   []string
	found   bool // whether there is one at all
	journal bool // whether dpkg has not yet merged its journal, because it is at work or was interrupted
}

// read reads the status file, the directory of images without dpkg, and the
// journal, whose newer entries replace older ones.
func (d *database) read(t *tracked) error {
	d.entries = map[string]entry{}
	if err := d.readFile(t, d.status); err != nil && !isMissing(err) {
		return err
	}
	dir := path.Dir(d.status)
	extra, err := t.list(path.Join(dir, "status.d"))
	if err != nil {
		return err
	}
	for _, file := range extra {
		if file.IsDir() || strings.HasSuffix(file.Name(), ".md5sums") {
			continue
		}
		if err := d.readFile(t, path.Join(dir, "status.d", file.Name())); err != nil {
			return err
		}
	}
	updates, err := t.list(path.Join(dir, "updates"))
	if err != nil {
		return err
	}
	for _, file := range updates {
		name := file.Name()
		if strings.Trim(name, "0123456789") != "" {
			continue // a new one that is being written
		}
		d.journal = true
		if err := d.readFile(t, path.Join(dir, "updates", name)); err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

func (d *database) readFile(t *tracked, name string) error {
	return t.stream(name, func(r io.Reader) error {
		d.found = true
		return readStatus(r, func(e entry) {
			key := e.name + ":" + e.arch
			if _, known := d.entries[key]; !known {
				d.order = append(d.order, key)
			}
			e.stanza = bytes.Clone(e.stanza)
			d.entries[key] = e
		})
	})
}

// native returns the architecture of dpkg itself, or else that of most
// packages.
func (d *database) native() string {
	counts := map[string]int{}
	for _, e := range d.entries {
		if e.arch == "all" || e.arch == "" || !e.installed() {
			continue
		}
		if e.name == "dpkg" {
			return e.arch
		}
		counts[e.arch]++
	}
	most := ""
	for arch, n := range counts {
		if n > counts[most] || n == counts[most] && cmp.Less(arch, most) {
			most = arch
		}
	}
	return most
}

// packages returns what is installed.
func (d *database) packages(native string) *packages {
	all := &packages{native: native, byName: map[string][]*pkg{}}
	for _, key := range d.order {
		e := d.entries[key]
		if !e.installed() {
			continue
		}
		p := all.add(e.name, all.architecture(e.arch))
		p.current, _ = p.at(e.version)
		p.current.fill(e.stanza)
		p.held = e.want == "hold"
	}
	return all
}

// sorted returns all packages in the order of their names.
func (p *packages) sorted() []*pkg {
	var list []*pkg
	for _, named := range p.byName {
		list = append(list, named...)
	}
	slices.SortFunc(list, func(a, b *pkg) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.arch, b.arch))
	})
	return list
}
