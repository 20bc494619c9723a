package tool

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/areca"
	"hygiene_exporter/probes/redundancy/tool/ses"
)

// Tools that are asked for each thing that the kernel has named. One that cannot
// be read is its fault alone.

// askAreca asks about one controller as every version of the tool can be asked.
// Of several, each is named; one that cannot be read is its fault alone.
func askAreca(a *asking) ([]group.Group, error) {
	if len(a.present) < 2 {
		return askArecaController(a, "c1", "cli64")
	}
	var groups []group.Group
	var errs []error
	serials := map[string]bool{}
	for i := range a.present {
		n := strconv.Itoa(i + 1)
		system, err := a.run("cli64-controller-system", "ctrl="+n)
		serial := areca.Serial(system)
		if err == nil && serial != "" && serials[serial] {
			err = probes.Because(probes.Unsupported, fmt.Errorf("cli64 tells of the same controller again when it is asked for number %s", n))
		}
		serials[serial] = true
		var told []group.Group
		if err == nil {
			told, err = askArecaController(a, "c"+n, "cli64-controller", "ctrl="+n)
		}
		if err != nil && len(told) == 0 {
			told = []group.Group{{Kind: group.Areca, Name: "c" + n, Err: err}}
		} else if err != nil {
			errs = append(errs, err)
		}
		told[0].ID = serial
		groups = append(groups, told...)
	}
	return groups, errors.Join(errs...)
}

func askArecaController(a *asking, name, entry string, number ...string) ([]group.Group, error) {
	var outputs [3][]byte
	for i, what := range []string{"-sets", "-volumes", "-disks"} {
		out, err := a.run(entry+what, number...)
		if err != nil {
			return nil, err
		}
		outputs[i] = out
	}
	return areca.Parse(name, areca.Outputs{Sets: outputs[0], Volumes: outputs[1], Disks: outputs[2]})
}

func askEnclosures(a *asking) ([]group.Group, error) {
	var groups []group.Group
	var errs []error
	for _, device := range a.present {
		var pages [2][]byte
		var err error
		for i, page := range []string{"--page=0x1", "--page=0x2"} {
			if err == nil {
				pages[i], err = a.strictly("sg_ses", page, "/dev/"+device)
			}
		}
		told := []group.Group(nil)
		if err == nil {
			told, err = ses.Parse(pages[0], pages[1])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", device, err))
		}
		for _, g := range told {
			same := func(have group.Group) bool { return have.Name == g.Name }
			if !slices.ContainsFunc(groups, same) {
				groups = append(groups, g)
			}
		}
	}
	return groups, errors.Join(errs...)
}
