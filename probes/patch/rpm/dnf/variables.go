package dnf

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
)

// releaseProvides are the names by which dnf asks the installed packages for the
// release of the distribution, in its order.
var releaseProvides = []string{
	"system-release(releasever)", "system-release", "distribution-release(releasever)",
	"distribution-release", "redhat-release", "suse-release",
}

// variableDirs are the places of variables; the later ones win.
var variableDirs = []string{"/usr/share/dnf5/vars.d", "/etc/yum/vars", "/etc/dnf/vars"}

// readVariables returns the values of $releasever and its like.
func (c *configuration) readVariables(files *rootfs.FS, installed []rpmdb.Package) map[string]string {
	arch := machine(installed)
	variables := map[string]string{"arch": arch, "basearch": baseArch(arch)}
	if release := releaseOf(installed); release != "" {
		variables["releasever"] = release
	}
	dirs := variableDirs
	if own := ini.List(c.main["varsdir"]); len(own) > 0 {
		dirs = own
	}
	for _, dir := range dirs {
		entries, err := files.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.problems = append(c.problems, fmt.Errorf("%s: %w", dir, err))
		}
		for _, e := range entries {
			data, err := files.ReadFile(dir+"/"+e.Name(), 64<<10)
			if err != nil {
				c.problems = append(c.problems, fmt.Errorf("%s/%s: %w", dir, e.Name(), err))
				continue
			}
			line, _, _ := strings.Cut(string(data), "\n")
			variables[e.Name()] = strings.TrimSpace(line)
		}
	}
	if release := variables["releasever"]; release != "" {
		major, minor, _ := strings.Cut(release, ".")
		variables["releasever_major"], variables["releasever_minor"] = major, minor
	}
	return variables
}

// releaseOf returns the release of the distribution: the version of what is
// provided, or else of the package that provides it.
func releaseOf(installed []rpmdb.Package) string {
	for _, name := range releaseProvides {
		for _, p := range installed {
			for _, provide := range p.Provides {
				if provide.Name != name {
					continue
				}
				if strings.HasSuffix(name, "(releasever)") && provide.Version != "" {
					return provide.Version
				}
				return p.Version
			}
		}
	}
	return ""
}

// builtFor is what rpm calls the architecture of the agent.
var builtFor = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}[runtime.GOARCH]

// architectures are those of packages for which a base architecture has another
// name.
var architectures = map[string]string{
	"i386": "i386", "i486": "i386", "i586": "i386", "i686": "i386", "athlon": "i386", "geode": "i386",
	"x86_64": "x86_64", "amd64": "x86_64", "ia32e": "x86_64", "x86_64_v2": "x86_64", "x86_64_v3": "x86_64", "x86_64_v4": "x86_64",
	"armv7l": "arm", "armv6l": "arm", "armv5tel": "arm", "armv7hl": "armhfp", "armv7hnl": "armhfp", "armv6hl": "armv6hl",
}

func baseArch(arch string) string {
	if base, ok := architectures[arch]; ok {
		return base
	}
	return arch
}

// machine returns the architecture of the host as its packages have it: the most
// frequent one that is not noarch. A host of 64 bits may have packages of 32.
// Where all are noarch, it is the one that the agent was built for.
func machine(installed []rpmdb.Package) string {
	counts := map[string]int{}
	best := builtFor
	for _, p := range installed {
		if p.Arch == "noarch" || p.Arch == "" {
			continue
		}
		counts[p.Arch]++
		if counts[p.Arch] > counts[best] {
			best = p.Arch
		}
	}
	return best
}

var variable = regexp.MustCompile(`\$(\w+|\{\w+\})`)

// replace replaces variables; unknown ones stay as they are.
func (c *configuration) replace(text string) string {
	return variable.ReplaceAllStringFunc(text, func(use string) string {
		if value, ok := c.variables[strings.Trim(use, "${}")]; ok {
			return value
		}
		return use
	})
}
