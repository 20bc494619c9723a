package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
)

// maxObject bounds an object, as the kernel bounds a path.
const maxObject = 4096

// A key names an entry of a probe.
type key struct{ probe, entry string }

// An entry is a declared command whose declaration was checked.
type entry struct {
	command probes.Command
	objects []pattern
}

// A pattern is what an object must look like.
type pattern struct {
	*regexp.Regexp
	dash bool // the declaration itself begins with a dash
}

// placeholder matches the place of an object in an argument.
var placeholder = regexp.MustCompile(`\{(\d+)\}`)

// compile checks all declarations and returns all complaints.
func compile(specs []probes.Spec) (map[key]*entry, error) {
	entries := map[key]*entry{}
	var errs []error
	for _, spec := range specs {
		for _, command := range spec.Commands {
			k := key{spec.Name, command.Entry}
			e, err := newEntry(command)
			if err == nil && entries[k] != nil {
				err = errors.New("declared twice")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("probe %s, command %q: %w", spec.Name, command.Entry, err))
			}
			entries[k] = e
		}
	}
	return entries, errors.Join(errs...)
}

func newEntry(command probes.Command) (*entry, error) {
	if command.Entry == "" || len(command.Argv) == 0 || command.Argv[0] == "" {
		return nil, errors.New("needs a name and a program")
	}
	e := &entry{command: command}
	for _, declared := range command.Objects {
		whole, err := regexp.Compile(`\A(?:` + declared.String() + `)\z`)
		if err != nil {
			return nil, err
		}
		text := strings.TrimPrefix(strings.TrimPrefix(declared.String(), "^"), `\A`)
		dash := strings.HasPrefix(text, "-") || strings.HasPrefix(text, `\-`)
		e.objects = append(e.objects, pattern{whole, dash})
	}
	if command.Privileged && (len(command.Secrets) > 0 || command.Environment != "") {
		return nil, errors.New("a privileged command has no secrets")
	}
	used := make([]bool, len(e.objects))
	for i, argument := range slices.Concat(command.Argv, command.Through, slices.Collect(maps.Values(command.Secrets)), []string{command.Environment}) {
		for _, match := range placeholder.FindAllStringSubmatch(argument, -1) {
			n, err := strconv.Atoi(match[1])
			if err != nil || n >= len(used) || i == 0 {
				return nil, fmt.Errorf("%s in %q stands for no object", match[0], argument)
			}
			used[n] = true
		}
	}
	for n, ok := range used {
		if !ok {
			return nil, fmt.Errorf("object {%d} is in no argument", n)
		}
	}
	return e, nil
}

// argv returns what starts the program, the program and its arguments with the
// objects in their places,
// or which object is not what the declaration allows.
func (e *entry) argv(objects []string) ([]string, error) {
	if err := e.accepts(objects); err != nil {
		return nil, err
	}
	argv := slices.Concat(e.command.Through, e.command.Argv)
	for i, argument := range argv {
		argv[i] = fill(argument, objects)
	}
	return argv, nil
}

// fill puts the objects in their places.
func fill(text string, objects []string) string {
	return placeholder.ReplaceAllStringFunc(text, func(place string) string {
		n, err := strconv.Atoi(place[1 : len(place)-1])
		if err != nil {
			return place // cannot be: newEntry converted it
		}
		return objects[n]
	})
}

// maxSecret bounds a secret, as the kernel bounds a variable.
const maxSecret = 64 << 10

// environment returns the variables that hold the secrets and the like. The objects
// are those that argv has accepted.
func (e *entry) environment(objects []string, read func(path string, limit int64) ([]byte, error)) ([]string, error) {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.command.Secrets)) {
		path := fill(e.command.Secrets[name], objects)
		text, err := read(path, maxSecret)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, probes.Because(probes.Auth, fmt.Errorf("the file of a secret, %s, does not exist", path))
		}
		if err != nil {
			return nil, fmt.Errorf("the file of a secret: %w", err)
		}
		value := strings.TrimRight(string(text), "\r\n")
		if value == "" || strings.ContainsRune(value, 0) {
			return nil, probes.Because(probes.Auth, fmt.Errorf("the file of a secret, %s, is empty or holds no text", path))
		}
		list = append(list, name+"="+value)
	}
	for assignment := range strings.Lines(fill(e.command.Environment, objects)) {
		list = append(list, strings.TrimSuffix(assignment, "\n"))
	}
	return list, nil
}

// accepts says which object is not what the declaration allows.
func (e *entry) accepts(objects []string) error {
	if len(objects) != len(e.objects) {
		return fmt.Errorf("command %s takes %d objects, not %d", e.command.Entry, len(e.objects), len(objects))
	}
	for i, object := range objects {
		secret, longest := e.command.Environment == fmt.Sprintf("{%d}", i), maxObject
		if secret {
			longest = maxSecret
		}
		p := e.objects[i]
		switch {
		case len(object) <= longest && !strings.ContainsRune(object, 0) && (p.dash || !strings.HasPrefix(object, "-")) && p.MatchString(object):
		case secret:
			return probes.Because(probes.Malformed, fmt.Errorf("command %s: it may not be given such an environment", e.command.Entry))
		default:
			return probes.Because(probes.Malformed,
				fmt.Errorf("command %s: %.40q is no object that it may be given", e.command.Entry, object))
		}
	}
	return nil
}
