#!/usr/bin/env bash
# foreign.sh ROOT SUITE PACKAGE... unpacks packages of another suite of Debian, with
# all that they need, into the directory ROOT, for a chroot. Nothing of the host is
# touched, and no script of a package runs. What is there already stays as it is.
set -euo pipefail
root=$1 suite=$2
shift 2
[ -e "$root" ] && exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$work"/files
: >"$work/status"
# The mirror is the one that this host has its own suite from.
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk -v own="$codename" '$2 == own { print $1; exit }')
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$work/sources"
apt() {
	apt-get -qq -o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" \
		-o Dir::State::Status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o APT::Install-Recommends=0 -o Acquire::Retries=3 "$@"
}
apt update
apt install -y --download-only "$@"
for package in "$work"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$work/files"
done
cd "$work/files"
printf '%s\n' root:x:0:0:root:/root:/bin/bash nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin >etc/passwd
printf '%s\n' root:x:0: nogroup:x:65534: >etc/group
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/urandom c 1 9
ln -s /proc/self/fd dev/fd
mkdir -p "$(dirname "$root")"
chmod 755 .
mv "$work/files" "$root"
