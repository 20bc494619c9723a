#!/usr/bin/env bash
# Installs the Debian packages of test/packages.txt that are missing. No service
# that comes with one is started: the tests start what they need themselves.
set -euo pipefail
cd "$(dirname "$0")"

mapfile -t missing < <(
	sed 's/#.*//' packages.txt | tr -s ' \t' '\n' | sed '/^$/d' | sort -u | while read -r package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
	done
)
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
