package apt

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/apt/deb822"
)

// A source is a place that apt fetches from: one suite at one address
// (sources.list(5)).
type source struct {
	uri        string // ends in a slash
	suite      string // ends in a slash when it is a flat repository
	components []component
	place      string // where it is configured
	forever    bool   // its metadata may be used beyond its end, says the configuration
}

// A component is a part of a suite, with the architectures that are wanted of
// it.
type component struct {
	name          string
	architectures []string
	all           bool // whether packages for all architectures are wanted too
}

// flat reports whether the packages are listed beside the release file.
func (s source) flat() bool { return strings.HasSuffix(s.suite, "/") }

// base returns the address below which the files of the suite are.
func (s source) base() string {
	switch {
	case s.suite == "/":
		return s.uri
	case s.flat():
		return s.uri + s.suite
	}
	return s.uri + "dists/" + s.suite + "/"
}

// object returns the name of the source in metrics: its address without the
// way to it and without credentials, and its suite.
func (s source) object() string {
	at := s.uri
	if _, rest, found := strings.Cut(at, ":"); found {
		at = rest
	}
	at = strings.TrimLeft(at, "/")
	host, rest, _ := strings.Cut(at, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	parts := []string{strings.Trim(host+"/"+rest, "/"), strings.Trim(s.suite, "/")}
	return strings.Trim(strings.Join(parts, "/"), "/")
}

// stored returns the name under which apt stores a file of the source in its
// lists. It encodes suite and component for the address, and all of that once
// more for the name of the file.
func (s source) stored(name string) string {
	encoded := s
	encoded.suite = encode(s.suite)
	return storedName(encoded.base() + encode(name))
}

// encode replaces what apt does not put into an address as it is.
func encode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; strings.IndexByte("+~%", c) >= 0 || c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// storedName turns an address into the name of a file as apt does.
func storedName(uri string) string {
	_, rest, found := strings.Cut(uri, ":")
	if !found {
		rest = uri
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		host, path, slash := strings.Cut(after, "/")
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = host[i+1:]
		}
		rest = strings.NewReplacer("[", "", "]", "").Replace(host)
		if slash {
			rest += "/" + path
		}
	}
	var b strings.Builder
	for i := range len(rest) {
		switch c := rest[i]; {
		case strings.IndexByte(`\|{}[]<>"^~_=!@#$%^&*`, c) >= 0, c <= ' ', c >= 0x7f:
			fmt.Fprintf(&b, "%%%02x", c)
		case c == '/':
			b.WriteByte('_')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// sources collects what is configured, each suite at each address once.
type sources struct {
	native  string
	foreign []string
	list    []*source
}

// A wish is one entry of a file of sources.
type wish struct {
	uris, suites, components []string
	options                  map[string]string // arch, arch+ and arch-, with commas
	place                    string
}

// add takes over an entry.
func (s *sources) add(w wish) error {
	if len(w.uris) == 0 || len(w.suites) == 0 {
		return errors.New("an address or a suite is missing")
	}
	for _, uri := range w.uris {
		uri = strings.ReplaceAll(uri, "$(ARCH)", s.native)
		if !strings.Contains(uri, ":") {
			return fmt.Errorf("%.80q is no address", redact(uri))
		}
		if !strings.HasSuffix(uri, "/") {
			uri += "/"
		}
		for _, suite := range w.suites {
			suite = strings.ReplaceAll(suite, "$(ARCH)", s.native)
			components := w.components
			if flat := strings.HasSuffix(suite, "/"); flat != (len(components) == 0) {
				return fmt.Errorf("the suite %.80q has no component, or has one and must not", suite)
			} else if flat {
				components = []string{""}
			}
			forever := slices.Contains(falsehoods(), strings.ToLower(w.options["check-valid-until"]))
			s.merge(source{uri: uri, suite: suite, place: w.place, forever: forever}, components, w.options)
		}
	}
	return nil
}

// merge adds components to the source of the same address and suite.
func (s *sources) merge(n source, components []string, options map[string]string) {
	i := slices.IndexFunc(s.list, func(known *source) bool { return known.uri == n.uri && known.suite == n.suite })
	if i < 0 {
		s.list = append(s.list, &n)
		i = len(s.list) - 1
	}
	architectures, all := s.architectures(options)
	for _, name := range components {
		s.list[i].components = append(s.list[i].components, component{name, architectures, all})
	}
}

// architectures applies the options of an entry to the architectures of the
// host.
func (s *sources) architectures(options map[string]string) (list []string, all bool) {
	split := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	}
	list = append([]string{s.native}, s.foreign...)
	if only, ok := options["arch"]; ok {
		list = split(only)
	}
	for _, more := range split(options["arch+"]) {
		if !slices.Contains(list, more) {
			list = append(list, more)
		}
	}
	less := split(options["arch-"])
	list = slices.DeleteFunc(list, func(a string) bool { return slices.Contains(less, a) })
	return list, !slices.Contains(less, "all")
}

// readFile reads a file of either format.
func (s *sources) readFile(name string, data []byte) error {
	if strings.HasSuffix(name, ".sources") {
		return s.readStanzas(name, data)
	}
	return s.readLines(name, data)
}

// readStanzas reads a file in the newer format, *.sources.
func (s *sources) readStanzas(name string, data []byte) error {
	var errs []error
	for i, fields := range deb822.Parse(data) {
		if !slices.Contains(strings.Fields(fields["types"]), "deb") || slices.Contains(falsehoods(), strings.ToLower(fields["enabled"])) {
			continue
		}
		w := wish{
			uris: strings.Fields(fields["uris"]), suites: strings.Fields(fields["suites"]), components: strings.Fields(fields["components"]),
			options: map[string]string{}, place: fmt.Sprintf("%s, entry %d", name, i+1),
		}
		for key, option := range map[string]string{"architectures": "arch", "architectures-add": "arch+", "architectures-remove": "arch-", "check-valid-until": "check-valid-until"} {
			if value, ok := fields[key]; ok {
				w.options[option] = value
			}
		}
		if err := s.add(w); err != nil {
			errs = append(errs, probes.Because(probes.Malformed, fmt.Errorf("entry %d: %w", i+1, err)))
		}
	}
	return errors.Join(errs...)
}

// falsehoods are what apt takes for no.
func falsehoods() []string { return []string{"no", "false", "without", "off", "disable", "0"} }

// readLines reads a file in the older format, *.list.
func (s *sources) readLines(name string, data []byte) error {
	var errs []error
	for i, line := range strings.Split(string(data), "\n") {
		w, err := parseLine(line)
		if err == nil && w != nil {
			w.place = fmt.Sprintf("%s, line %d", name, i+1)
			err = s.add(*w)
		}
		if err != nil {
			errs = append(errs, probes.Because(probes.Malformed, fmt.Errorf("line %d: %w", i+1, err)))
		}
	}
	return errors.Join(errs...)
}

// parseLine reads one line. Without an entry for binary packages it is nil.
func parseLine(line string) (*wish, error) {
	if i := strings.IndexByte(line, '#'); i >= 0 {
		line = line[:i]
	}
	words := quotedFields(line)
	if len(words) == 0 || words[0] != "deb" {
		if len(words) > 0 && words[0] != "deb-src" {
			return nil, fmt.Errorf("%.40q is no type of source", words[0])
		}
		return nil, nil
	}
	words = words[1:]
	w := &wish{options: map[string]string{}}
	if len(words) > 0 && strings.HasPrefix(words[0], "[") {
		end := slices.IndexFunc(words, func(word string) bool { return strings.HasSuffix(word, "]") })
		if end < 0 {
			return nil, errors.New("the options are not closed")
		}
		text := strings.Trim(strings.Join(words[:end+1], " "), "[] ")
		for option := range strings.FieldsSeq(text) {
			key, value, found := strings.Cut(option, "=")
			if !found {
				return nil, fmt.Errorf("the option %.40q has no value", option)
			}
			w.options[key] = value
		}
		words = words[end+1:]
	}
	if len(words) < 2 {
		return nil, errors.New("an address or a suite is missing")
	}
	w.uris, w.suites, w.components = words[:1], words[1:2], words[2:]
	return w, nil
}

// quotedFields splits a line at spaces. Quotes, and the brackets of a medium
// such as cdrom:[name of the disc], hold a field together; %xx is a byte.
func quotedFields(line string) []string {
	var fields []string
	var field strings.Builder
	quoted, bracket := false, false
	flush := func() {
		if field.Len() > 0 {
			text := field.String()
			if decoded, err := url.PathUnescape(text); err == nil {
				text = decoded
			}
			fields = append(fields, text)
			field.Reset()
		}
	}
	for _, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
			continue
		case c == '[' && field.Len() > 0:
			bracket = true
		case c == ']':
			bracket = false
		case (c == ' ' || c == '\t' || c == '\r') && !quoted && !bracket:
			flush()
			continue
		}
		field.WriteRune(c)
	}
	flush()
	return fields
}

// redact hides credentials in an address that is shown.
func redact(uri string) string {
	scheme, rest, found := strings.Cut(uri, "//")
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); found && i >= 0 {
		return scheme + "//…@" + host[i+1:] + "/" + path
	}
	return uri
}

// named puts the name of a file before what is wrong in it.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
