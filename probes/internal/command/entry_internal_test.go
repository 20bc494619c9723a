package command

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// patterns compiles the objects of a declaration.
func patterns(texts ...string) []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, text := range texts {
		list = append(list, regexp.MustCompile(text))
	}
	return list
}

// one makes the specs of a probe "p" with one command.
func one(c probes.Command) []probes.Spec {
	return []probes.Spec{{Name: "p", Commands: []probes.Command{c}}}
}

func TestArgv(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		argv     []string
		patterns []string
		objects  []string
		want     []string // nil: refused
	}{
		{"arguments without objects stay as they are", []string{"x", "{print}", "{}"}, nil, nil, []string{"x", "{print}", "{}"}},
		{"objects take their places", []string{"x", "{1}", "--of={0},{1}"}, []string{"[a-z]+", "[a-z]+"}, []string{"a", "b"}, []string{"x", "b", "--of=a,b"}},
		{"an object that looks like a place is not replaced again", []string{"x", "{0}{1}"}, []string{".*", ".*"}, []string{"{1}", "b"}, []string{"x", "{1}b"}},
		{"spaces and quotes stay in one argument", []string{"x", "{0}"}, []string{".*"}, []string{`a "b" $(c); d`}, []string{"x", `a "b" $(c); d`}},
		{"the whole object must match", []string{"x", "{0}"}, []string{"[a-z]+"}, []string{"tank; rm"}, nil},
		{"any alternative may match the whole object", []string{"x", "{0}"}, []string{"a|ab"}, []string{"ab"}, []string{"x", "ab"}},
		{"an anchor of a line is none of the object", []string{"x", "{0}"}, []string{"(?m)^[a-z]+$"}, []string{"tank\nrm"}, nil},
		{"a newline at the end does not match", []string{"x", "{0}"}, []string{"^[a-z]+$"}, []string{"tank\n"}, nil},
		{"an option is no object", []string{"x", "{0}"}, []string{".*"}, []string{"-f"}, nil},
		{"an option is an object when declared", []string{"x", "{0}"}, []string{"-[fg]"}, []string{"-f"}, []string{"x", "-f"}},
		{"a declared option may be anchored and escaped", []string{"x", "{0}"}, []string{`^\-[fg]$`}, []string{"-g"}, []string{"x", "-g"}},
		{"a zero byte is refused", []string{"x", "{0}"}, []string{"(?s).*"}, []string{"a\x00b"}, nil},
		{"an endless object is refused", []string{"x", "{0}"}, []string{".*"}, []string{strings.Repeat("a", 4097)}, nil},
		{"an object too few is refused", []string{"x", "{0}"}, []string{".*"}, nil, nil},
		{"an object too many is refused", []string{"x"}, nil, []string{"a"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			entries, err := compile(one(probes.Command{Entry: "e", Argv: test.argv, Objects: patterns(test.patterns...)}))
			if err != nil {
				t.Fatal(err)
			}
			got, err := entries[key{"p", "e"}].argv(test.objects)
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want != nil) {
				t.Errorf("error %v, argv (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDeclarationsAreChecked(t *testing.T) {
	t.Parallel()
	ok := probes.Command{Entry: "e", Argv: []string{"x"}}
	specs := []probes.Spec{{Name: "p", Commands: []probes.Command{
		ok, ok,
		{Entry: "none"},
		{Argv: []string{"x"}},
		{Entry: "program", Argv: []string{"{0}"}, Objects: patterns("a")},
		{Entry: "undeclared", Argv: []string{"x", "{1}", "{0}"}, Objects: patterns("a")},
		{Entry: "unused", Argv: []string{"x", "{1}"}, Objects: patterns("a", "b")},
		{Entry: "secret", Argv: []string{"x"}, Secrets: map[string]string{"A": "/a"}, Privileged: true},
		{Entry: "huge", Argv: []string{"x", "{99999999999999999999}"}},
	}}, {Name: "q", Commands: []probes.Command{ok}}}
	_, err := compile(specs)
	want := strings.Join([]string{
		`probe p, command "e": declared twice`,
		`probe p, command "none": needs a name and a program`,
		`probe p, command "": needs a name and a program`,
		`probe p, command "program": {0} in "{0}" stands for no object`,
		`probe p, command "undeclared": {1} in "{1}" stands for no object`,
		`probe p, command "unused": object {0} is in no argument`,
		`probe p, command "secret": a privileged command has no secrets`,
		`probe p, command "huge": {99999999999999999999} in "{99999999999999999999}" stands for no object`,
	}, "\n")
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever a client of the helper sends: it is refused, or it is a declared
// program whose arguments differ from the declaration in allowed objects alone.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"probe":"p","entry":"e","objects":["tank","-v"]}`))
	f.Add([]byte(`{"probe":"p","entry":"e","objects":["{1}","-q"],"timeout_ms":-1}`))
	f.Add([]byte(`{"probe":"p","entry":"e","objects":null}`))
	f.Add([]byte(`{"probe":"p","entry":"e","objects":["tank\u0000","-q"],"argv":["sh"]}`))
	entries, err := compile(one(probes.Command{Entry: "e", Argv: []string{"x", "--pool={0}", "{1}"}, Objects: patterns(`[^/]*`, `-[qv]`)}))
	if err != nil {
		f.Fatal(err)
	}
	h := &helper{entries: entries}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := readRequest(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		argv, err := h.argv(r)
		if err != nil {
			return
		}
		if len(argv) != 3 || argv[0] != "x" || argv[1] != "--pool="+r.Objects[0] || argv[2] != r.Objects[1] ||
			strings.ContainsAny(argv[1], "/\x00") || (argv[2] != "-q" && argv[2] != "-v") {
			t.Errorf("%q runs %q", text, argv)
		}
		if limit := r.runtime(); limit <= 0 || limit > maxRuntime {
			t.Errorf("%q runs for %s", text, limit)
		}
	})
}
