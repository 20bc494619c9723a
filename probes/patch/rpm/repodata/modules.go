package repodata

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"gopkg.in/yaml.v3"
)

// A Module is one build of a stream of a module.
type Module struct {
	Name, Stream, Context, Arch string
	Version                     uint64
	Artifacts                   []string // NEVRAs of its packages, with the epoch always written
	Requires                    []map[string][]string
}

// Modules is a modules.yaml.
type Modules struct {
	Builds   []Module
	Defaults map[string]string // name of a module → its default stream
}

// document is one document of modules.yaml, of those versions and kinds that
// matter.
type document struct {
	Document string `yaml:"document"`
	Data     struct {
		Name         scalar `yaml:"name"`
		Module       scalar `yaml:"module"`
		Stream       scalar `yaml:"stream"`
		Version      scalar `yaml:"version"`
		Context      scalar `yaml:"context"`
		Arch         scalar `yaml:"arch"`
		Dependencies []struct {
			Requires map[string][]scalar `yaml:"requires"`
		} `yaml:"dependencies"`
		Artifacts struct {
			RPMs []string `yaml:"rpms"`
		} `yaml:"artifacts"`
	} `yaml:"data"`
}

// A scalar keeps the text of a value: a stream 1.20 is not the number 1.2.
type scalar string

func (s *scalar) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: a list or a mapping where a value should be", node.Line)}}
	}
	*s = scalar(node.Value)
	return nil
}

// ReadModules reads modules.yaml. Documents of other kinds, such as
// translations, are passed over.
func ReadModules(r io.Reader) (Modules, error) {
	modules := Modules{Defaults: map[string]string{}}
	decoder := yaml.NewDecoder(r)
	for {
		var d document
		err := decoder.Decode(&d)
		var shape *yaml.TypeError
		switch {
		case errors.Is(err, io.EOF):
			return modules, nil
		case errors.As(err, &shape): // of a kind or a version that looks otherwise
			if d.Document != "modulemd" && d.Document != "modulemd-defaults" {
				continue
			}
			return modules, malformed("modules.yaml: %v", err)
		case err != nil:
			return modules, malformed("modules.yaml: %v", err)
		}
		switch d.Document {
		case "modulemd":
			modules.Builds = append(modules.Builds, d.module())
		case "modulemd-defaults":
			if d.Data.Stream != "" {
				modules.Defaults[string(d.Data.Module)] = string(d.Data.Stream)
			}
		}
	}
}

func (d document) module() Module {
	data := d.Data
	m := Module{
		Name: string(data.Name), Stream: string(data.Stream), Context: string(data.Context), Arch: string(data.Arch),
		Artifacts: data.Artifacts.RPMs,
	}
	m.Version, _ = strconv.ParseUint(string(data.Version), 10, 64)
	for _, dependency := range data.Dependencies {
		requires := map[string][]string{}
		for name, streams := range dependency.Requires {
			requires[name] = []string{}
			for _, stream := range streams {
				requires[name] = append(requires[name], string(stream))
			}
		}
		m.Requires = append(m.Requires, requires)
	}
	return m
}
