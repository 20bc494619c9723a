package job

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/assignments"
)

// maxEnvironment bounds a file with variables.
const maxEnvironment = 64 << 10

// Environment reads the variables of a file, by their names; of no file when path is
// empty. Without it the reason of the error is auth: it holds what opens the backup.
func Environment(files Files, path string) (map[string]string, error) {
	if path == "" {
		return map[string]string{}, nil
	}
	data, err := files.ReadFile(path, maxEnvironment)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, probes.Because(probes.Auth, fmt.Errorf("there is no file with variables at %s", path))
	}
	if err != nil {
		return nil, fmt.Errorf("the file with variables: %w", err)
	}
	return assignments.Parse(data), nil
}

// Variables is the pattern of an environment (see probes.Command) that may hold the
// variables whose whole name matches.
func Variables(names *regexp.Regexp) *regexp.Regexp {
	return regexp.MustCompile(`(?:(?:` + names.String() + `)=[^\x00\n]*\n)*`)
}

// Assignments writes an environment of the variables whose whole name matches, and
// lists the names of the others.
func Assignments(values map[string]string, names *regexp.Regexp) (environment string, others []string) {
	whole := regexp.MustCompile(`\A(?:` + names.String() + `)\z`)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if whole.MatchString(name) {
			environment += name + "=" + values[name] + "\n"
		} else {
			others = append(others, name)
		}
	}
	return environment, others
}

// Withheld tells people which variables a program is not given, but for those whose
// whole name matches done: what they say, options of the job say.
func Withheld(program string, others []string, done *regexp.Regexp) []string {
	whole := regexp.MustCompile(`\A(?:` + done.String() + `)\z`)
	names := slices.DeleteFunc(slices.Clone(others), whole.MatchString)
	if len(names) == 0 {
		return nil
	}
	return []string{program + " is not given the variables " + strings.Join(names, ", ")}
}
