//go:build live

package dnf

import (
	"maps"

	"hygiene_exporter/probes/patch/rpm/rpmtest"
)

// plugins is where test/packages.sh unpacks the plugins of dnf, which cannot be
// installed beside zypper.
const plugins = "/usr/local/share/hygiene-test/dnf-plugins-core/usr/lib/python3/dist-packages"

type repos = map[string]rpmtest.Repo

func one(packages ...string) repos { return repos{"base": {Packages: packages}} }

func security(id, severity string, packages ...string) rpmtest.Advisory {
	return rpmtest.Advisory{ID: id, Type: "security", Severity: severity, Issued: "2026-01-02 03:04:05", Packages: packages}
}

func bugfix(id string, packages ...string) rpmtest.Advisory {
	return rpmtest.Advisory{ID: id, Type: "bugfix", Issued: "2026-02-03 00:00:00", Packages: packages}
}

func scenarios() []scenario {
	return append(append(versions(), policies()...), modules()...)
}

func versions() []scenario {
	return []scenario{
		{name: "nothing is newer", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-1.x86_64")},
		{name: "a newer release", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-2.x86_64")},
		{name: "only an older version", installed: []string{"a-2-1.x86_64"}, repos: one("a-1-1.x86_64")},
		{name: "the newest of several", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-2.x86_64", "a-1-10.x86_64", "a-1-9.x86_64")},
		{name: "an epoch beats a version", installed: []string{"a-9-1.x86_64"}, repos: one("a-1:1-1.x86_64", "a-10-1.x86_64")},
		{name: "a lower epoch is older", installed: []string{"a-1:1-1.x86_64"}, repos: one("a-5-1.x86_64")},
		{name: "a tilde is older than the release", installed: []string{"a-1-1.x86_64", "b-1~rc1-1.x86_64"}, repos: one("a-1~rc2-1.x86_64", "b-1-1.x86_64")},
		{name: "a caret is newer than the release", installed: []string{"a-1-1.x86_64", "b-1^git2-1.x86_64"}, repos: one("a-1^git1-1.x86_64", "b-1^git10-1.x86_64")},
		{name: "a package that no repository has", installed: []string{"a-1-1.x86_64", "own-1-1.noarch"}, repos: one("a-2-1.x86_64")},
		{name: "packages that are not installed", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-1.x86_64", "b-7-1.x86_64")},
		{name: "from noarch to an architecture", installed: []string{"a-1-1.noarch"}, repos: one("a-2-1.x86_64")},
		{name: "from an architecture to noarch", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.noarch")},
		{name: "two architectures of a package", installed: []string{"a-1-1.x86_64", "a-1-1.i686"}, repos: one("a-2-1.x86_64", "a-2-1.i686")},
		{name: "another architecture is no update", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.i686")},
		{name: "one of two architectures lags behind", installed: []string{"a-2-1.x86_64", "a-1-1.i686"}, repos: one("a-2-1.x86_64", "a-2-1.i686")},
		{name: "kernels of which several are kept", installed: []string{"kernel-5-1.x86_64", "kernel-5-2.x86_64"}, repos: one("kernel-5-1.x86_64", "kernel-5-3.x86_64", "kernel-5-2.x86_64")},
		{name: "the newest kernel is installed", installed: []string{"kernel-5-1.x86_64", "kernel-5-3.x86_64"}, repos: one("kernel-5-2.x86_64", "kernel-5-3.x86_64")},
		{name: "another vendor", installed: []string{"a-1-1.x86_64 vendor=X"}, repos: one("a-2-1.x86_64 vendor=Y")},
		{name: "metadata in xz", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Compress: "xz", Packages: []string{"a-2-1.x86_64"}, Advisories: []rpmtest.Advisory{security("S-1", "Low", "a-2-1.x86_64")}}}},
		{name: "metadata in bzip2", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Compress: "bz2", Packages: []string{"a-2-1.x86_64"}, Advisories: []rpmtest.Advisory{security("S-1", "Low", "a-2-1.x86_64")}}}},
	}
}

func policies() []scenario {
	return []scenario{
		{name: "the newest of two repositories", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository has an older version", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository has only what is installed", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-1-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a disabled repository", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-1-1.x86_64"}}, "extra": {Packages: []string{"a-3-1.x86_64"}, Options: []string{"enabled=0"}}}},
		{name: "an exclude by a pattern", installed: []string{"kernel-1-1.x86_64", "kernel-core-1-1.x86_64", "a-1-1.x86_64"}, repos: one("kernel-2-1.x86_64", "kernel-core-2-1.x86_64", "a-2-1.x86_64"), main: []string{"exclude=kernel*,", "  zzz"}},
		{name: "an exclude of one version", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.x86_64", "a-3-1.x86_64"), main: []string{"excludepkgs=a-3-1"}},
		{name: "an exclude of an architecture", installed: []string{"a-1-1.x86_64", "a-1-1.i686"}, repos: one("a-2-1.x86_64", "a-2-1.i686"), main: []string{"excludepkgs=*.i?86"}},
		{name: "an exclude with a version that has a wildcard", installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: one("a-2.1-1.x86_64", "b-2.1-1.x86_64"), main: []string{"excludepkgs=a-2.*"}},
		{name: "an exclude of one repository", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}}, "extra": {Packages: []string{"a-3-1.x86_64"}, Options: []string{"excludepkgs=a"}}}},
		{name: "an include of one repository", installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "b-2-1.x86_64"}, Options: []string{"includepkgs=b"}}}},
		{name: "an include for all repositories", installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: one("a-2-1.x86_64", "b-2-1.x86_64"), main: []string{"includepkgs=a*"}},
		{name: "a package is replaced by another", installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old")},
		{name: "a package is replaced up to a version that is not installed", installed: []string{"old-3-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old_<_3")},
		{name: "a package is replaced below a version", installed: []string{"old-2-9.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old_<_3")},
		{name: "a package is replaced in a version without a release", installed: []string{"old-3-9.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old_=_3")},
		{name: "replaced and upgraded", installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old", "old-2-1.x86_64")},
		{name: "what replaces it is excluded", installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old"), main: []string{"excludepkgs=new"}},
		{name: "what is replaced is only provided", installed: []string{"old-1-1.x86_64 provides=virtual"}, repos: one("new-1-1.x86_64 obsoletes=virtual")},
		{name: "two replace one", installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old", "newer-1-1.noarch obsoletes=old")},
		{name: "what replaces comes from a repository that is not preferred", installed: []string{"old-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"new-1-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"new-2-1.x86_64 obsoletes=old"}}}},
		{name: "a security update", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}, Advisories: []rpmtest.Advisory{security("S-1", "Critical", "a-2-1.x86_64")}}}},
		{name: "a security update that another update has superseded", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-3-1.x86_64"}, Advisories: []rpmtest.Advisory{security("S-1", "Important", "a-2-1.x86_64"), bugfix("B-1", "a-3-1.x86_64")}}}},
		{name: "a security update that is installed", installed: []string{"a-2-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-3-1.x86_64"}, Advisories: []rpmtest.Advisory{security("S-1", "Important", "a-2-1.x86_64"), bugfix("B-1", "a-3-1.x86_64")}}}},
		{name: "an advisory for what is not installed", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "b-2-1.x86_64"}, Advisories: []rpmtest.Advisory{security("S-1", "Low", "b-2-1.x86_64")}}}},
		{name: "an advisory for another architecture", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "a-2-1.i686"}, Advisories: []rpmtest.Advisory{security("S-1", "Low", "a-2-1.i686")}}}},
		{name: "a versionlock", plugins: true, installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: one("a-2-1.x86_64", "b-2-1.x86_64"), files: lockedTo("# comment\na-0:1-1.*\n")},
		{name: "a versionlock that forbids a version", plugins: true, installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: one("a-2-1.x86_64", "a-3-1.x86_64", "b-2-1.x86_64"), files: lockedTo("!a-0:3-1.*\n")},
		{name: "a versionlock by name", plugins: true, installed: []string{"foo-bar-1-1.x86_64", "b-1-1.x86_64"}, repos: one("foo-bar-2-1.x86_64", "b-2-1.x86_64"), files: lockedTo("foo-bar\nb-1\n")},
		{name: "a versionlock against what replaces", plugins: true, installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old"), files: lockedTo("old-0:1-1.*\n")},
		{name: "a versionlock to a newer version", plugins: true, installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.x86_64", "a-3-1.x86_64"), files: lockedTo("a-0:2-*\n")},
	}
}

func lockedTo(content string) map[string]string {
	return map[string]string{"/etc/dnf/plugins/versionlock.list": content}
}

// stream is one build of a module of one package.
func stream(module, name, version, context, requires string, artifacts ...string) string {
	text := "---\ndocument: modulemd\nversion: 2\ndata:\n  name: " + module + "\n  stream: \"" + name + "\"\n  version: " + version +
		"\n  context: " + context + "\n  arch: x86_64\n  summary: s\n  description: d\n  license:\n    module: [MIT]\n" +
		"  dependencies:\n  - requires:\n" + requires
	if len(artifacts) > 0 {
		text += "  artifacts:\n    rpms:\n"
	}
	for _, a := range artifacts {
		text += "    - " + a + "\n"
	}
	return text + "...\n"
}

func defaults(module, name string) string {
	return "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: " + module + "\n  stream: \"" + name + "\"\n  profiles:\n    \"" + name + "\": []\n...\n"
}

func enabledStream(module, name, state string) map[string]string {
	return map[string]string{"/etc/dnf/modules.d/" + module + ".module": "[" + module + "]\nname=" + module + "\nstream=" + name + "\nprofiles=\nstate=" + state + "\n"}
}

const el9 = "      platform: [el9]\n"

func modules() []scenario {
	both := stream("m", "1", "1", "aa", el9, "a-0:1-1.x86_64", "a-0:1-2.x86_64") + stream("m", "2", "1", "bb", el9, "a-0:2-1.x86_64")
	packages := []string{"a-1-1.x86_64", "a-1-2.x86_64", "a-2-1.x86_64"}
	return []scenario{
		{name: "the enabled stream of a module", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both}}, files: enabledStream("m", "1", "enabled")},
		{name: "another stream of a module", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both}}, files: enabledStream("m", "2", "enabled")},
		{name: "no stream of a module", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both}}},
		{name: "a disabled module", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both + defaults("m", "1")}}, files: enabledStream("m", "", "disabled")},
		{name: "the default stream of a module", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both + defaults("m", "1")}}},
		{name: "an enabled stream instead of the default one", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both + defaults("m", "1")}}, files: enabledStream("m", "2", "enabled")},
		{name: "packages outside modules that a stream replaces", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both}, "extra": {Packages: []string{"a-9-1.x86_64"}}}, files: enabledStream("m", "1", "enabled")},
		{name: "packages of a repository of hotfixes", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both}, "extra": {Packages: []string{"a-9-1.x86_64"}, Options: []string{"module_hotfixes=1"}}}, files: enabledStream("m", "1", "enabled")},
		{name: "packages outside modules of which no stream is active", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both}, "extra": {Packages: []string{"a-9-1.x86_64"}}}},
		{name: "several versions of a stream", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: stream("m", "1", "1", "aa", el9, "a-0:1-2.x86_64") + stream("m", "1", "2", "aa", el9, "a-0:2-1.x86_64")}}, files: enabledStream("m", "1", "enabled")},
		{name: "a default stream for another platform", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: stream("m", "1", "1", "aa", "      platform: [el8]\n", "a-0:2-1.x86_64") + defaults("m", "1")}}},
		{name: "contexts for streams of another module", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: stream("m", "1", "1", "aa", "      platform: [el9]\n      n: [1]\n", "a-0:1-2.x86_64") + stream("m", "1", "1", "bb", "      platform: [el9]\n      n: [2]\n", "a-0:2-1.x86_64") + stream("n", "1", "1", "cc", el9) + stream("n", "2", "1", "dd", el9)}}, files: twoStreams("m", "1", "n", "1")},
		{name: "what provides the name of a package of an active stream", installed: []string{"a-1-1.x86_64", "z-1-1.x86_64"}, repos: repos{"base": {Packages: append([]string{"z-2-1.x86_64 provides=a"}, packages...), Modules: both}}, files: enabledStream("m", "1", "enabled")},
		{name: "an advisory for an active stream and one for another", installed: packages[:1], repos: repos{"base": {Packages: packages, Modules: both, Advisories: []rpmtest.Advisory{
			{ID: "S-1", Type: "security", Severity: "Low", Issued: "2026-01-02 00:00:00", Packages: []string{"a-1-2.x86_64"}, Module: "m:1:1:aa:x86_64"},
			{ID: "S-2", Type: "security", Severity: "Critical", Issued: "2026-01-02 00:00:00", Packages: []string{"a-1-2.x86_64"}, Module: "m:2:1:bb:x86_64"},
		}}}, files: enabledStream("m", "1", "enabled")},
	}
}

func twoStreams(a, streamA, b, streamB string) map[string]string {
	files := enabledStream(a, streamA, "enabled")
	maps.Copy(files, enabledStream(b, streamB, "enabled"))
	return files
}
