#!/usr/bin/env bash
# Installs the Debian packages of test/packages.txt that are missing. No service
# that comes with one is started: the tests start what they need themselves. A
# package written as unpack:NAME cannot be installed beside another one; its files
# go to a directory of their own instead.
set -euo pipefail
cd "$(dirname "$0")"

mapfile -t missing < <(
	sed 's/#.*//' packages.txt | tr -s ' \t' '\n' | sed '/^$/d; /^unpack:/d' | sort -u | while read -r package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
	done
)
unpacked=/usr/local/share/hygiene-test
for package in $(sed -n 's/^unpack://p' packages.txt); do
	[ -d "$unpacked/$package" ] && continue
	work=$(mktemp -d)
	(cd "$work" && chmod 755 . && { apt-get -qq download "$package" || { apt-get -qq update && apt-get -qq download "$package"; }; } && dpkg-deb -x "$package"_*.deb files)
	mkdir -p "$unpacked" && mv "$work/files" "$unpacked/$package"
	rm -r "$work"
done

[ ${#missing[@]} -eq 0 ] && exit

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
# inn2 cannot be installed on a host without a domain, so it is told one.
INNCONF=$(mktemp)
export INNCONF
printf '%s\n' 'domain: example.test' 'mta: "/bin/false"' 'hismethod: hisv6' 'enableoverview: false' \
	'pathnews: /usr/lib/news' 'pathdb: /var/lib/news' 'pathetc: /etc/news' 'pathspool: /var/spool/news' >"$INNCONF"
chmod 644 "$INNCONF"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=600 update
apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}"
rm -f "$INNCONF"
